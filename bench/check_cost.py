"""What checks cost: seconds before a run, and their share of its steps.

    python bench/check_cost.py FOLDER [STEPS [PROBLEMS SAMPLES]]

Trains the arithmetic world from its warm-started policy, which is made once and kept in FOLDER, and times every call
that checks add to a step, within the very steps that they watch: a busy machine slows both alike.  The greedy probe
rides along in the sampling of a step and is charged with its share of the tokens there.  Seconds are those of this
process on the CPUs; those of the clock, which wait for the disk too, stand beside them.
"""

from __future__ import annotations

import inspect
import os
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

from trueloop.config import resolve
from trueloop.faults.beds import beds, warm_model
from trueloop.loop.liveness import Liveness
from trueloop.loop.loop import Loop
from trueloop.loop.monitor import Monitor
from trueloop.preflight.gate import Gate
from trueloop.store.run import Run
from trueloop.store.trace import read_rollouts

STEP = ("Loop._fill", "Loop._one")
CHECKS = ((Loop, "_before"), (Monitor, "measure"), (Monitor, "after_step"), (Liveness, "row"))
WITHIN = ((Liveness, "before"),)
"""A part of what is before it."""

TIMED = ((Loop, "_fill"), (Loop, "_one"), *CHECKS, *WITHIN)
Seconds = tuple[float, float]


def timed(call: Callable[..., Any], seconds: list[Seconds]) -> Callable[..., Any]:
    """The same function or coroutine function, which notes how long each call took: on the CPUs, and by the clock."""

    def now() -> Seconds:
        return time.process_time(), time.perf_counter()

    def note(start: Seconds) -> None:
        end = now()
        seconds.append((end[0] - start[0], end[1] - start[1]))

    async def waited(*args: Any, **kwargs: Any) -> Any:
        start = now()
        try:
            return await call(*args, **kwargs)
        finally:
            note(start)

    def plain(*args: Any, **kwargs: Any) -> Any:
        start = now()
        try:
            return call(*args, **kwargs)
        finally:
            note(start)

    return waited if inspect.iscoroutinefunction(call) else plain


def run(folder: Path, overrides: Sequence[str], *, only: bool = False) -> tuple[dict[str, list[Seconds]], list[float]]:
    """Seconds of each call by name, and the probe's share of the tokens of each step.

    only  nothing but the preflight, whose seconds are at `before`
    """
    bed = beds(warm_model(folder))["rlvr"]
    resolved = resolve(bed.recipe.Config, bed.source, [*bed.overrides, *overrides])
    found: dict[str, list[Seconds]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as work, ExitStack() as stack:
        for kind, name in () if only else TIMED:
            call = timed(getattr(kind, name), found[f"{kind.__name__}.{name}"])
            stack.enter_context(mock.patch.object(kind, name, call))
        timed(bed.recipe.run, found["before"])(resolved.config, resolved, Path(work) / "run", False, Gate(only=only))
        return found, [] if only else probed(Run.open(Path(work) / "run"))


def probed(run: Run) -> list[float]:
    """The probe's share of the completions' tokens, step by step."""
    asked = {row["step"]: row["probe"]["answers"] for row in run.liveness() if "probe" in row}
    drawn: Counter[int] = Counter()
    for row in read_rollouts(run.path, columns=("step", "loss_mask")):
        drawn[row["step"]] += sum(row["loss_mask"])
    own = {step: sum(len(answer["tokens"]) for answer in asked.get(step, ())) for step in drawn}
    return [own[step] / (own[step] + drawn[step]) for step in sorted(drawn)]


def main(folder: Path, steps: int, size: Sequence[str]) -> None:
    """Print the table."""
    overrides = [f"loop.steps={steps}", f"loop.checkpoint_every={steps}"]
    if size:
        overrides += [f"flow.problems_per_step={size[0]}", f"flow.samples={{kind='fixed', n={size[1]}}}"]
    before = run(folder, overrides, only=True)[0]["before"][0]
    print(f"before the first step, start to end: {before[1]:.1f} s (CPUs {before[0]:.1f} s)")
    found, shares = run(folder, overrides)
    cpu, clock = (
        statistics.fmean(a[k] + b[k] for a, b in zip(*(found[name] for name in STEP), strict=False)) for k in (0, 1)
    )
    print(f"a step: {1e3 * cpu:.0f} ms on the CPUs, {1e3 * clock:.0f} ms by the clock (mean of {len(found[STEP[1]])})")
    print(f"load {os.getloadavg()[0]:.1f}")
    total = 0.0
    for kind, name in (*CHECKS, *WITHIN):
        spent = found[f"{kind.__name__}.{name}"]
        own, waited = (sum(s[k] for s in spent) / len(found[STEP[1]]) for k in (0, 1))
        total += own if (kind, name) in CHECKS else 0.0
        print(f"  {kind.__name__}.{name}: {1e3 * own:.2f} ms = {own / cpu:.2%}; clock {1e3 * waited:.2f} ms")
    rides = statistics.fmean(share * spent[0] for share, spent in zip(shares, found[STEP[0]], strict=False))
    print(f"  the probe's ride along: {1e3 * rides:.2f} ms = {rides / cpu:.2%}")
    print(f"  all: {(total + rides) / cpu:.2%} of a step")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 40, sys.argv[3:])
