"""Tells a loop that is stuck from one that is slow, and says where it stands.

Stuck is a loop in which nothing moves: no change of phase, and nothing that arrives for the step being filled (a
completion, a verdict).  It is reported, and ended when it stays so.  Slow is a loop in which things move and no step
ends; it is reported and never ended.  So is an evaluation that takes long, since what arrives in it is not counted.
"""

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
    """Report what takes `factor` medians of a step and at least `floor_s`.

    Where nothing at all has moved for `stop_after` times that, the run ends.
    """

    factor: Annotated[float, Field(gt=1)] = 5.0
    floor_s: Annotated[float, Field(gt=0)] = 120.0
    stop_after: Annotated[float, Field(ge=1)] = 10.0
    poll_s: Annotated[float, Field(gt=0)] = 5.0


class Watchdog:
    """Watches a loop from the same event loop, which stays alive because long work runs in threads.

    `describe` is asked what waits where; `report` gets the words; `life` is a count that grows as things arrive.
    """

    def __init__(
        self,
        config: WatchdogConfig,
        describe: Callable[[], str],
        report: Callable[[str], None],
        life: Callable[[], int],
    ) -> None:
        self.config, self._describe, self._report, self._life = config, describe, report, life
        self._times: list[float] = []
        self._began = self._moved = time.monotonic()
        self._phase, self._counted, self._seen = "starting", True, 0
        self._said_slow, self._said_stuck = False, False

    def phase(self, name: str, *, counted: bool = True) -> None:
        """What the loop does from now on; `counted` is False where nothing that arrives could be noticed."""
        self._phase, self._counted = name, counted
        self._move(time.monotonic())

    def beat(self) -> None:
        """An optimizer step has ended."""
        now = time.monotonic()
        self._times.append(now - self._began)
        self._began, self._said_slow = now, False
        self._move(now)

    @property
    def limit_s(self) -> float:
        """Seconds that are too many."""
        median = statistics.median(self._times[-50:]) if self._times else 0.0
        return max(self.config.factor * median, self.config.floor_s)

    async def watch(self) -> None:
        """Report each slow step and each standstill once; raise EngineError when one lasts.  Cancel it at the end."""
        self._began = self._moved = time.monotonic()
        while True:
            await asyncio.sleep(self.config.poll_s)
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        if (life := self._life()) != self._seen:
            self._seen = life
            self._move(now)
        still, limit = now - self._moved, self.limit_s
        if still > limit * self.config.stop_after and self._counted:
            raise EngineError(
                f"nothing has moved for {still:.0f} s; {self._words()}.  If that is usual here, raise "
                "loop.watchdog.floor_s"
            )
        if still > limit and not self._said_stuck:
            self._said_stuck = self._said_slow = True
            self._report(f"nothing has moved for {still:.0f} s (limit {limit:.0f} s); {self._words()}")
        if now - self._began > limit and not self._said_slow:
            self._said_slow = True
            self._report(f"no optimizer step for {now - self._began:.0f} s, though work goes on; {self._words()}")

    def _move(self, now: float) -> None:
        self._moved, self._said_stuck = now, False

    def _words(self) -> str:
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task() and not t.done()]
        frames = "; ".join(sorted(f"{t.get_name()} at {_where(t)}" for t in tasks)) or "none"
        return f"it is in phase {self._phase!r}: {self._describe()}. Waiting tasks: {frames}"


def _where(task: asyncio.Task[object]) -> str:
    stack = task.get_stack(limit=1)
    return f"{stack[-1].f_code.co_qualname}:{stack[-1].f_lineno}" if stack else "no Python frame"
