"""Why two lists of log-probabilities of the same tokens differ: the hypothesis that explains the gap is named."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

EXPLAINED = 0.1
"""A hypothesis explains a gap if it leaves at most this share of its root mean square."""

FLOAT32 = (1e-4, 1e-3)
"""Mean and largest difference of a log-probability between two float32 forward passes that passes for rounding: ten
and forty times what 300,000 tokens of a sharp small model showed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What lies between two lists: number of tokens, mean and largest absolute difference, root mean square, and the
    mean of the first minus the second."""

    n: int
    mean: float
    high: float
    rms: float
    bias: float


def gap(one: Sequence[float], other: Sequence[float]) -> Gap:
    """The gap between two lists of one length, at least one value each; nan and inf count as an infinite difference."""
    differences = [_finite(a - b) for a, b in zip(one, other, strict=True)]
    n = len(differences)
    return Gap(
        n=n,
        mean=math.fsum(map(abs, differences)) / n,
        high=max(map(abs, differences)),
        rms=math.sqrt(math.fsum(d * d for d in differences) / n),
        bias=math.fsum(differences) / n,
    )


def beyond(found: Gap, limits: tuple[float, float]) -> float:
    """How many times the gap exceeds the limits of its mean and of its largest difference, whichever is worse."""
    return max(found.mean / limits[0], found.high / limits[1])


def explain(
    claimed: Sequence[float],
    expected: Sequence[float],
    candidates: Mapping[str, Sequence[float]],
    noise: Mapping[str, float] | None = None,
) -> str:
    """The first hypothesis in words that leaves next to nothing of the gap, or what the gap looks like.

    claimed     log-probabilities whose difference from `expected` is to be explained
    candidates  hypothesis -> what `claimed` would be under it
    noise       reduced precision -> root mean square of the noise that it makes
    """
    whole = gap(claimed, expected)
    if (constant := _fallback(claimed, expected)) is not None:
        return constant
    left = {
        words: gap(claimed, values).rms for words, values in {**candidates, **_arithmetic(claimed, expected)}.items()
    }
    best = min(left.values(), default=math.inf)
    if best <= EXPLAINED * whole.rms:
        return next(words for words, rms in left.items() if rms <= max(1.5 * best, 1e-5))
    for words, rms in (noise or {}).items():
        if abs(whole.bias) < 0.3 * whole.rms and rms / 2.5 <= whole.rms <= 2.5 * rms:
            return words
    if abs(whole.bias) < 0.2 * whole.rms:
        return f"noise without direction, standard deviation {whole.rms:.2g}"
    return "none of the causes that were tried explains it"


def _arithmetic(claimed: Sequence[float], expected: Sequence[float]) -> dict[str, Sequence[float]]:
    """Hypotheses that need no model."""
    power = math.fsum(e * e for e in expected)
    factor = math.fsum(c * e for c, e in zip(claimed, expected, strict=True)) / power if power else 0.0
    known = {1 / math.log(2): "in base 2", 1 / math.log(10): "in base 10", -1.0: "with their sign turned"}
    near = next((words for value, words in known.items() if abs(factor / value - 1) < 0.01), f"times {factor:.3g}")
    return {
        f"the log-probabilities are given {near}": [factor * e for e in expected],
        "probabilities are given instead of their logarithms": [math.exp(min(e, 0.0)) for e in expected],
    }


def _fallback(claimed: Sequence[float], expected: Sequence[float]) -> str | None:
    """Whether the tokens that are off have one and the same value, as a default for a missing one has."""
    off = [c for c, e in zip(claimed, expected, strict=True) if not abs(c - e) <= FLOAT32[1]]
    if len(off) < 2:
        return None
    value, count = Counter(off).most_common(1)[0]
    if count < 0.9 * len(off) or count < 2:
        return None
    return f"{len(off)} of {len(claimed)} tokens have the same value {value:g}, as a default for a missing one"


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.inf
