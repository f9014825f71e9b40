"""A curve as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

BARS = " ▁▂▃▄▅▆▇█"


def plot(points: Sequence[tuple[int, float]], *, width: int = 60, height: int = 5) -> list[str]:
    """Lines of a plot of (step, value): means of equal parts of the steps, from the least to the greatest value.

    No lines for fewer than two finite values.
    """
    finite = [(step, value) for step, value in points if math.isfinite(value)]
    if len(finite) < 2:
        return []
    columns = min(width, len(finite))
    cuts = [round(i * len(finite) / columns) for i in range(columns + 1)]
    means = [fmean(v for _, v in finite[a:b]) for a, b in pairwise(cuts)]
    low, high = min(means), max(means)
    eighths = [round((m - low) / (high - low) * (8 * height - 1)) + 1 if high > low else 4 for m in means]
    label = max(len(f"{low:.3g}"), len(f"{high:.3g}"))
    lines = []
    for row in range(height - 1, -1, -1):
        name = f"{high:.3g}" if row == height - 1 else f"{low:.3g}" if row == 0 else ""
        lines.append(f"{name:>{label}} |" + "".join(BARS[max(0, min(8, e - 8 * row))] for e in eighths))
    ends = f"{finite[0][0]}", f"{finite[-1][0]}"
    lines.append(f"{'step':>{label}}  {ends[0]}{ends[1]:>{max(1, columns - len(ends[0]))}}")
    return lines
