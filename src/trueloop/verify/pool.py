"""The boundary around verifiers: whatever one raises becomes a Score with status "error", is timed and counted.

Graders run in this process, which suits pure Python that is known to end.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from trueloop.errors import DataError
from trueloop.records import Json, Problem, Score

Grade = Callable[..., Score]
"""(problem, text, **options) -> Score"""

GRACE = 100
"""Calls that the share of errors is taken of at least, so that one early error does not stop a run."""


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

    More than `max_error_share` errors of one task's verifier raise `DataError` with the first traceback, since a
    broken verifier makes every later reward meaningless.  The share is taken of at least `GRACE` calls.
    """

    def __init__(self, grade: Grade, *, max_error_share: float = 0.01) -> None:
        self.grade = grade
        self.max_error_share = max_error_share
        self.stats: dict[str, VerifierStats] = {}

    async def score(self, problem: Problem, text: str, **options: Any) -> Score:
        """The verdict on one completion; `options` (such as leniency) are passed on to the grader."""
        stats = self.stats.setdefault(problem.task, VerifierStats())
        started = time.perf_counter()
        score = _guarded(self.grade, problem, text, options)
        stats.seconds.append(time.perf_counter() - started)
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

    def _require_few_errors(self, task: str, stats: VerifierStats) -> None:
        if stats.errors > self.max_error_share * max(stats.calls, GRACE):
            raise DataError(
                f"verifier of task {task!r}: {stats.errors} errors in {stats.calls} calls, more than the allowed "
                f"{self.max_error_share:.1%}; mend the verifier or its data.  The first error:\n{stats.first_error}"
            )


def _guarded(grade: Grade, problem: Problem, text: str, options: dict[str, Any]) -> Score:
    """The boundary: also `SystemExit`, by which a verifier would end the run without a word."""
    try:
        score = grade(problem, text, **options)
        if not isinstance(score, Score):
            raise TypeError(f"grade must return a Score, got {type(score).__name__}: {score!r:.200}")
    except (Exception, SystemExit):
        return Score(status="error", why=traceback.format_exc())
    return score
