"""What checks cost: seconds before a run, and their share of its steps.

    python bench/check_cost.py FOLDER [STEPS]

Trains the arithmetic world from its warm-started policy, which is made once and kept in FOLDER, and times every call of
the monitor and of the ledger of liveness within the very steps that they watch: a busy machine slows both alike.
"""

from __future__ import annotations

import inspect
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
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

TIMED = ((Loop, "_fill"), (Loop, "_one"), (Monitor, "measure"), (Monitor, "after_step"), (Liveness, "row"))
TIMED += ((Liveness, "before"),)


def timed(call: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """The same function or coroutine function, which notes how long each call took."""

    async def waited(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return await call(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - start)

    def plain(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - start)

    return waited if inspect.iscoroutinefunction(call) else plain


def run(folder: Path, steps: int) -> dict[str, list[float]]:
    """Seconds of each call by name; `before` has those of the whole preflight."""
    bed = beds(warm_model(folder))["rlvr"]
    resolved = resolve(bed.recipe.Config, bed.source, [*bed.overrides, f"loop.steps={steps}"])
    found: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as work:
        start = time.perf_counter()
        bed.recipe.run(resolved.config, resolved, Path(work) / "checked", False, Gate(only=True))
        found["before"].append(time.perf_counter() - start)
        with ExitStack() as stack:
            for kind, name in TIMED:
                call = timed(getattr(kind, name), found[f"{kind.__name__}.{name}"])
                stack.enter_context(mock.patch.object(kind, name, call))
            bed.recipe.run(resolved.config, resolved, Path(work) / "run", False, Gate())
    return found


if __name__ == "__main__":
    found = run(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 40)
    print(f"before the first step, start to end: {found.pop('before')[0]:.1f} s")
    fills, ones = found.pop("Loop._fill"), found.pop("Loop._one")
    step = statistics.median(a + b for a, b in zip(fills, ones, strict=False))
    print(f"a step: {1e3 * step:.0f} ms (median of {len(ones)})")
    for name, seconds in found.items():
        print(
            f"  {name}: {1e3 * statistics.median(seconds):.2f} ms = {statistics.median(seconds) / step:.2%} of a step"
        )
