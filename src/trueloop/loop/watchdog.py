"""Says what is stuck when no optimizer step has ended for several medians."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from trueloop.config import Config
from trueloop.errors import EngineError


class WatchdogConfig(Config):
    """Report when a step takes `factor` medians and at least `floor_s`; stop the run at `stop_after` times that."""

    factor: Annotated[float, Field(gt=1)] = 5.0
    floor_s: Annotated[float, Field(gt=0)] = 120.0
    stop_after: Annotated[float, Field(ge=1)] = 10.0
    poll_s: Annotated[float, Field(gt=0)] = 5.0


class Watchdog:
    """Watches a loop from the same event loop, which stays alive because long work runs in threads.

    `describe` is asked what waits where; `report` gets the words.
    """

    def __init__(self, config: WatchdogConfig, describe: Callable[[], str], report: Callable[[str], None]) -> None:
        self.config, self._describe, self._report = config, describe, report
        self._times: list[float] = []
        self._began, self._phase, self._reported = time.monotonic(), "starting", False

    def phase(self, name: str) -> None:
        """What the loop does from now on: rollouts, step, sync, evaluation, checkpoint."""
        self._phase = name

    def beat(self) -> None:
        """An optimizer step has ended."""
        now = time.monotonic()
        self._times.append(now - self._began)
        self._began, self._reported = now, False

    @property
    def limit_s(self) -> float:
        """Seconds without a step that are too many."""
        median = statistics.median(self._times[-50:]) if self._times else 0.0
        return max(self.config.factor * median, self.config.floor_s)

    async def watch(self) -> None:
        """Report once per stuck step; raise EngineError when it stays stuck.  Cancel it when the loop ends."""
        while True:
            await asyncio.sleep(self.config.poll_s)
            waited = time.monotonic() - self._began
            if waited > self.limit_s * self.config.stop_after:
                raise EngineError(f"no optimizer step for {waited:.0f} s; {self._words()}")
            if waited > self.limit_s and not self._reported:
                self._reported = True
                self._report(f"no optimizer step for {waited:.0f} s (limit {self.limit_s:.0f} s); {self._words()}")

    def _words(self) -> str:
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task() and not t.done()]
        frames = "; ".join(sorted(f"{t.get_name()} at {_where(t)}" for t in tasks)) or "none"
        return f"it is in phase {self._phase!r}: {self._describe()}. Waiting tasks: {frames}"


def _where(task: asyncio.Task[object]) -> str:
    stack = task.get_stack(limit=1)
    return f"{stack[-1].f_code.co_qualname}:{stack[-1].f_lineno}" if stack else "no Python frame"
