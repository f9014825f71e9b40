"""The boundary around verifiers: whatever one raises becomes a Score with status "error", is timed and counted.

Graders run in a thread of this process, one call after another, so that a slow one holds up verdicts and nothing else.
A thread cannot be killed: one that hangs is left behind, the next call gets a new thread, and after `MAX_HUNG` such
threads the run ends.  This suits pure Python that is known to end.  Untrusted or native code, and regular expressions
that may backtrack for ever (they hold the interpreter's lock, which freezes every thread), need a worker process that
can be killed; a grader may start one and wait for it.

The way through the thread costs 11 us a call where calls come together, 76 us where each is awaited before the next.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from trueloop.errors import DataError
from trueloop.records import Json, Problem, Score

Grade = Callable[..., Score]
"""(problem, text, **options) -> Score"""

GRACE = 100
"""Calls that the share of errors is taken of at least, so that one early error does not stop a run."""

MAX_HUNG = 4
"""Threads that may hang at once; each takes its share of the interpreter's time for as long as the process lives."""


@dataclass(slots=True)
class VerifierStats:
    """What one verifier has done so far.  `seconds` holds the latest calls only; the counts are of all calls."""

    calls: int = 0
    errors: int = 0
    unscorable: int = 0
    first_error: str | None = None
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=4096))

    def percentile(self, q: float) -> float | None:
        """Seconds within which the share `q` of the latest calls ended (nearest rank); None before the first call."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else None

    def report(self) -> dict[str, Json]:
        """Counts, error share and timing percentiles in seconds, ready for a metrics row."""
        return {
            "calls": self.calls,
            "errors": self.errors,
            "unscorable": self.unscorable,
            "error_share": self.errors / self.calls if self.calls else None,
            "p50": self.percentile(0.50),
            "p95": self.percentile(0.95),
            "p99": self.percentile(0.99),
        }


class VerifierPool:
    """Scores completions through `grade` and never raises what `grade` raises.

    limit_s  seconds that one call may grade (waiting for its turn not counted); beyond, its verdict is an error

    More than `max_error_share` errors of one task's verifier raise `DataError` with the first traceback, since a
    broken verifier makes every later reward meaningless.  The share is taken of at least `GRACE` calls.  `DataError`
    too, for every call that waits and every later one, while `MAX_HUNG` calls hang.
    """

    def __init__(self, grade: Grade, *, max_error_share: float = 0.01, limit_s: float = 30.0) -> None:
        self.grade = grade
        self.max_error_share, self.limit_s = max_error_share, limit_s
        self.stats: dict[str, VerifierStats] = {}
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._waiting: dict[_Call, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._worker: _Worker | None = None
        self._hung: list[_Worker] = []
        weakref.finalize(self, self._queue.put, None)

    async def score(self, problem: Problem, text: str, **options: Any) -> Score:
        """The verdict on one completion; `options` (such as leniency) are passed on to the grader."""
        stats = self.stats.setdefault(problem.task, VerifierStats())
        score, seconds = await self._graded(problem, text, options)
        stats.seconds.append(seconds)
        stats.calls += 1
        stats.unscorable += score.status == "unscorable"
        if score.status == "error":
            stats.errors += 1
            stats.first_error = stats.first_error or score.why
            self._require_few_errors(problem.task, stats)
        return score

    def report(self) -> dict[str, dict[str, Json]]:
        """Per task: calls, errors, unscorable rows, and how long a verdict takes."""
        return {task: stats.report() for task, stats in self.stats.items()}

    async def _graded(self, problem: Problem, text: str, options: dict[str, Any]) -> tuple[Score, float]:
        """The verdict and the seconds that it took."""
        loop = asyncio.get_running_loop()
        call = _Call(self.grade, problem, text, options, loop.create_future())
        self._open_worker()
        self._waiting[call] = None
        self._queue.put(call)
        if self._timer is None:
            self._timer = loop.call_later(self.limit_s, self._look)
        try:
            return await call.answer
        finally:
            del self._waiting[call]
            if not self._waiting and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _open_worker(self) -> None:
        """Start a thread where none is left to grade; `DataError` if too many hang."""
        if self._worker is not None:
            return
        self._hung = [worker for worker in self._hung if worker.thread.is_alive()]
        if len(self._hung) >= MAX_HUNG:
            places = "\n".join(sorted({worker.place() for worker in self._hung}))
            raise DataError(
                f"{len(self._hung)} verifier calls got no verdict within {self.limit_s:g} s and still run, so no "
                f"thread is left to grade; mend the verifier, or grade in a process that can be killed.  They are at\n"
                f"{places}"
            )
        self._worker = _Worker(self._queue)

    def _look(self) -> None:
        """Leave a thread behind whose call is over the limit; the calls after it go to another one."""
        loop, left = asyncio.get_running_loop(), self.limit_s
        if self._worker is not None and (late := self._worker.give_up(self.limit_s)) is not None:
            self._hung.append(self._worker)
            self._worker = None
            _resolve(late, Score(status="error", why=f"no verdict within {self.limit_s:g} s"), self.limit_s)
            self._replace_worker()
        elif self._worker is not None:
            left -= self._worker.age()
        self._timer = loop.call_later(max(left, 0.0), self._look)

    def _replace_worker(self) -> None:
        try:
            self._open_worker()
        except DataError as error:
            for call in self._waiting:
                if not call.answer.done():
                    call.answer.set_exception(error)

    def _require_few_errors(self, task: str, stats: VerifierStats) -> None:
        if stats.errors > self.max_error_share * max(stats.calls, GRACE):
            raise DataError(
                f"verifier of task {task!r}: {stats.errors} errors in {stats.calls} calls, more than the allowed "
                f"{self.max_error_share:.1%}; mend the verifier or its data.  The first error:\n{stats.first_error}"
            )


@dataclass(slots=True, eq=False)
class _Call:
    """A completion on its way to its verdict."""

    grade: Grade
    problem: Problem
    text: str
    options: dict[str, Any]
    answer: asyncio.Future[tuple[Score, float]]


class _Worker:
    """A thread that grades what is in the queue, one call after another, until it is given up or finds None."""

    def __init__(self, queue: SimpleQueue[_Call | None]) -> None:
        self._lock = threading.Lock()
        self._call: _Call | None = None
        self._began, self._given_up = 0.0, False
        self.thread = threading.Thread(target=self._run, args=(queue,), name="trueloop-verifier", daemon=True)
        self.thread.start()

    def age(self) -> float:
        """Seconds for which the present call has been graded; 0 between calls."""
        with self._lock:
            return time.perf_counter() - self._began if self._call is not None else 0.0

    def give_up(self, limit_s: float) -> _Call | None:
        """The present call if it is over the limit; this thread then takes no other one."""
        with self._lock:
            self._given_up = self._call is not None and time.perf_counter() - self._began >= limit_s
            return self._call if self._given_up else None

    def place(self) -> str:
        """Where in the code the thread is."""
        frame = sys._current_frames().get(self.thread.ident or 0)
        return traceback.format_stack(frame, limit=1)[0].rstrip() if frame is not None else "an unknown place"

    def _run(self, queue: SimpleQueue[_Call | None]) -> None:
        while (call := queue.get()) is not None:
            if not call.answer.done() and not self._grade(call):
                return
            del call  # it holds the pool, which while it is held is never closed

    def _grade(self, call: _Call) -> bool:
        """Grade and hand over; False once given up."""
        with self._lock:
            self._call, self._began = call, time.perf_counter()
        try:
            verdict: Score | BaseException = _guarded(call.grade, call.problem, call.text, call.options)
        except BaseException as error:
            verdict = error
        seconds = time.perf_counter() - self._began
        with self._lock:
            self._call = None
            if self._given_up:
                return False
        _hand_over(call, verdict, seconds)
        return True


def _hand_over(call: _Call, verdict: Score | BaseException, seconds: float) -> None:
    with suppress(RuntimeError):  # the event loop was closed: nobody waits
        call.answer.get_loop().call_soon_threadsafe(_resolve, call, verdict, seconds)


def _resolve(call: _Call, verdict: Score | BaseException, seconds: float) -> None:
    if call.answer.done():
        return
    if isinstance(verdict, Score):
        call.answer.set_result((verdict, seconds))
    else:
        call.answer.set_exception(verdict)


def _guarded(grade: Grade, problem: Problem, text: str, options: dict[str, Any]) -> Score:
    """The boundary: also `SystemExit`, by which a verifier would end the run without a word."""
    try:
        score = grade(problem, text, **options)
        if not isinstance(score, Score):
            raise TypeError(f"grade must return a Score, got {type(score).__name__}: {score!r:.200}")
    except (Exception, SystemExit):
        return Score(status="error", why=traceback.format_exc())
    return score
