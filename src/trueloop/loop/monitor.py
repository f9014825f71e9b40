"""Watches a run: after each step it measures, asks the checks, writes down what is not well, and stops what cannot mean
anything.

A warn is written once, when it is first given; the run's last rows say of every check how often it was asked and how
often it did not pass.  What checks read is what metrics.jsonl and evaluations.jsonl hold, so a resumed run says the
same as one that was never stopped.  Only the checks of the machine (disk, memory, seconds) are asked of the moment.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from trueloop.checks.base import SEVERITY
from trueloop.checks.running import optimizer, resources
from trueloop.checks.running.asked import AFTER_A_STEP, AFTER_AN_EVALUATION
from trueloop.checks.running.seen import Row, Seen, Setup
from trueloop.loop.feed import Fill
from trueloop.loop.measures import Decode, Weights, of_rollouts
from trueloop.records import CheckResult, StepReport
from trueloop.store.run import Run
from trueloop.verify.stats import VerifierStats

MACHINE_EVERY = 5
"""Steps between two looks at disk and memory."""


@dataclass(slots=True)
class _Count:
    """How a check has answered so far."""

    asked: int = 0
    wrong: int = 0
    first: int = 0
    last: int = 0
    worst: CheckResult | None = None


class Monitor:
    """Holds a run against what it promised and against its own history.

    Its methods return what is to be written into the run: a result that is worse than what its check said before.

    allow      check id -> why a fail of it does not stop the run
    verifiers  the statistics of the run's verifiers by task, where it has any
    decode     token ids -> text, where something is sampled
    """

    def __init__(
        self,
        setup: Setup,
        *,
        allow: Mapping[str, str] | None = None,
        verifiers: Mapping[str, VerifierStats] | None = None,
        decode: Decode | None = None,
    ) -> None:
        self._decode = decode
        self.setup, self.allow, self._verifiers = setup, dict(allow or {}), verifiers if verifiers is not None else {}
        self.seen = Seen(setup)
        self._counts: dict[str, _Count] = {}
        self._told: dict[str, str] = {}
        self._weights: Weights | None = None
        self._calls: dict[str, int] = {}
        self._seconds: list[float] = []

    def begin(self, trainable: Mapping[str, Tensor]) -> None:
        """Look at the weights before the first step of this process."""
        self._weights = Weights(trainable)

    def restore(self, run: Run) -> None:
        """Go on after the steps and evaluations of a run, as if they had just been made."""
        waiting = deque(run.evaluations())
        for row in ({"step": 0}, *run.metrics()):
            if row["step"]:
                self._count(self._of_step(row), row["step"])
            while waiting and waiting[0]["step"] <= row["step"]:
                self._count(self._of_evaluation(waiting[0]), waiting.popleft()["step"])
        for row in run.checks():
            if row["step"] and row["id"] not in self._counts:
                self._told[row["id"]] = row["status"]

    def measure(self, fill: Fill, report: StepReport, version: int) -> dict[str, float]:
        """What the step's row is to hold besides; `version` is the weights' before the step."""
        found = of_rollouts(fill.rows, fill.streams, version, self._decode)
        if self._weights is not None and report.grad_norm > 0:
            found |= self._weights.of_step(report.lr)
        return found

    def after_step(self, row: Row, run: Run) -> list[CheckResult]:
        """Ask of the step that has just been written, and of the machine."""
        step = row["step"]
        return [*self._count(self._of_step(row), step), *self.beside([*self._of_machine(run, step)])]

    def after_evaluation(self, row: Row, step: int) -> list[CheckResult]:
        """Ask of a guard evaluation."""
        return self._count(self._of_evaluation(row), step)

    def beside(self, results: Sequence[CheckResult]) -> list[CheckResult]:
        """Take what was asked elsewhere or of the moment, which the run's rows do not repeat: it is not counted."""
        fresh = []
        for result in map(self._allowed, results):
            if result.status in ("warn", "fail") and self._told.get(result.id) not in (result.status, "fail"):
                self._told[result.id] = result.status
                fresh.append(result)
        return fresh

    def end(self, run: Run, step: int) -> list[CheckResult]:
        """How often each check was asked and how often it did not pass; a fail where nothing was trained."""
        written = {(row["id"], row["evidence"]) for row in run.checks() if row["step"] == step}
        last = self._allowed(optimizer.trained(self.seen, ended=True))
        if last.status == "fail":
            self._counts.pop(last.id, None)
        found = [_summary(id, count) for id, count in sorted(self._counts.items()) if count.asked]
        found += [last] if last.status == "fail" else []
        return [result for result in found if result.refuses or (result.id, result.evidence) not in written]

    # -- asking

    def _of_step(self, row: Row) -> list[CheckResult]:
        self.seen.add(row)
        return [ask(self.seen) for ask in AFTER_A_STEP]

    def _of_evaluation(self, row: Row) -> list[CheckResult]:
        self.seen.add_evaluation(row)
        return [ask(self.seen) for ask in AFTER_AN_EVALUATION]

    def _of_machine(self, run: Run, step: int) -> Iterator[CheckResult]:
        self._time_verdicts()
        yield resources.verifier_seconds(self._seconds[:5], self._seconds[5:][-2:])
        if step % MACHINE_EVERY == 0:
            kept = run.checkpoints.all()
            size = sum(file.stat().st_size for file in kept[-1].path.rglob("*") if file.is_file()) if kept else None
            rollouts = _size(run.path / "rollouts") / step * self.setup.every
            yield resources.disk(shutil.disk_usage(run.path).free, size, rollouts)
            yield resources.memory(*_memory())
            yield resources.checkpoint_age(step, kept[-1].step if kept else None, self.setup.every)

    def _time_verdicts(self) -> None:
        """The 95th percentile of the seconds of the verdicts since the last look."""
        fresh: list[float] = []
        for task, stats in self._verifiers.items():
            new, self._calls[task] = stats.calls - self._calls.get(task, 0), stats.calls
            fresh += list(stats.seconds)[-new:] if new else []
        if fresh:
            self._seconds.append(sorted(fresh)[int(0.95 * (len(fresh) - 1))])

    # -- what was said

    def _count(self, results: Sequence[CheckResult], step: int) -> list[CheckResult]:
        """Count them; those that are worse than what their check said before."""
        fresh = []
        for result in map(self._allowed, results):
            count = self._counts.setdefault(result.id, _Count())
            if result.status == "unknown":
                continue
            count.asked += 1
            if result.status == "pass":
                continue
            count.wrong, count.last, count.first = count.wrong + 1, step, count.first or step
            if count.worst is None or SEVERITY.index(result.status) > SEVERITY.index(count.worst.status):
                count.worst = result
                fresh.append(result)
        return fresh

    def _allowed(self, result: CheckResult) -> CheckResult:
        because = self.allow.get(result.id, "") if result.status == "fail" else ""
        return replace(result, allowed=because) if because else result


def _summary(id: str, count: _Count) -> CheckResult:
    if count.worst is None:
        return CheckResult(id=id, status="pass", value={"asked": count.asked}, evidence=f"passed {count.asked} times")
    evidence = f"{count.worst.status} {count.wrong} of {count.asked} times, steps {count.first} to {count.last}"
    return replace(count.worst, value={"asked": count.asked, "wrong": count.wrong}, evidence=evidence, advice="")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.parquet"))


def _memory() -> tuple[int | None, int | None]:
    """Bytes available and in all, as Linux says; None elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None, None
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if len(line.split()) > 1}
    available, total = kilobytes.get("MemAvailable"), kilobytes.get("MemTotal")
    return available and available * 1024, total and total * 1024
