"""What the doctor says, in words and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from trueloop.checks.base import excerpt, listed
from trueloop.checks.transcripts.turns import Turn, target_of
from trueloop.doctor.asking import ask
from trueloop.doctor.beside import beside
from trueloop.doctor.causes import HEALTHY
from trueloop.doctor.examples import examples
from trueloop.doctor.plotting import plot
from trueloop.doctor.record import Record, read_record
from trueloop.doctor.weighing import Diagnosis, diagnose
from trueloop.records import CheckResult, Json

MOST = 4
"""Diagnoses that are told at length; the others are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found.

    diagnoses  the likeliest first; never empty
    asked      the answers that they rest on
    unknown    of these, what could not be known
    to_look_at results on record that warn, with how often
    expected   the diagnosis that the run declares, if it is unhealthy on purpose
    """

    record: Record
    diagnoses: Sequence[Diagnosis]
    asked: Sequence[CheckResult]
    expected: str | None = None

    @property
    def healthy(self) -> bool:
        """Nothing contradicts it."""
        return self.diagnoses[0].id == HEALTHY

    @property
    def unknown(self) -> list[CheckResult]:
        """What could not be known."""
        return [r for r in self.asked if r.status == "unknown"]

    @property
    def to_look_at(self) -> dict[str, tuple[CheckResult, int]]:
        """Check id -> the latest warning of it on record, and how many there are."""
        found: dict[str, tuple[CheckResult, int]] = {}
        for _, result in self.record.checks:
            if result.status == "warn" and not summed_up(result):
                found[result.id] = (result, found.get(result.id, (result, 0))[1] + 1)
        return found


def examine(path: Path, others: Sequence[Path] = (), varies: Sequence[str] = ()) -> Report:
    """Read a run directory or a file of transcripts, and say what is most likely wrong.

    others, varies  runs that it is to be compared with, and the keys in which they are meant to differ

    Raises `StoreError` or `DataError` where it is neither.
    """
    record = read_record(path)
    asked = ask(record)
    if others:
        compared = beside(path, others, varies)
        asked = [*(r for r in asked if r.id not in {c.id for c in compared}), *compared]
    expected = record.setting("expects")
    return Report(
        record=record,
        diagnoses=diagnose(asked, [result for _, result in record.checks]),
        asked=asked,
        expected=expected if isinstance(expected, str) else None,
    )


def summed_up(result: CheckResult) -> bool:
    """Whether it is what a run writes at its end of a check that has been told before."""
    return isinstance(result.value, dict) and {"asked", "wrong"} <= result.value.keys()


def words(report: Report) -> str:
    """The report as text."""
    lines = [_heading(report.record), ""]
    told = report.diagnoses[:MOST]
    for number, diagnosis in enumerate(told, start=1):
        lines += [*_told(diagnosis, number if len(report.diagnoses) > 1 else None, report.record), ""]
    if rest := report.diagnoses[MOST:]:
        lines += [f"Less likely: {listed([d.id for d in rest], 20)}", ""]
    lines += _warned(report)
    lines += _not_known(report)
    return "\n".join(lines).rstrip()


def _heading(record: Record) -> str:
    if record.kind == "rows":
        steps = sorted({t.step for t in record.turns if t.step is not None})
        over = f" of steps {steps[0]} to {steps[-1]}" if steps else ""
        return f"{record.path}: {len(record.turns)} completions{over}"
    why = f" ({record.why})" if record.why else ""
    warm = f"; warm start {record.warm_start.state}" if record.warm_start is not None else ""
    return f"{record.path}: {record.recipe}, {record.state} at step {record.step or 0}{why}{warm}"


def _told(diagnosis: Diagnosis, number: int | None, record: Record) -> list[str]:
    """One diagnosis with its evidence."""
    place = f"{number}. " if number is not None else ""
    lines = [f"{place}{diagnosis.id} (odds {_odds(diagnosis.odds)} to 1): {diagnosis.says}"]
    for reason in diagnosis.reasons:
        mark = f"{reason.weight:+.1f}" if reason.weight else "    "
        lines.append(f"   {mark}  {reason.result.status:<4} {reason.result.id}: {reason.result.evidence}")
    if diagnosis.then:
        lines.append(f"   next: {_with_path(diagnosis.then, record)}")
    lines.append(f"   more: {diagnosis.link}")
    key, points = _curve(diagnosis, record)
    if drawn := plot(points):
        lines += [f"   {key}", *(f"   {line}" for line in drawn)]
    if diagnosis.id != HEALTHY and record.turns:
        lines.append("   completions:")
        lines += [f"   - {_shown(t)}" for t in examples(record.turns, _shows(diagnosis))]
    return lines


def _with_path(command: str, record: Record) -> str:
    return command.replace("RUN", str(record.path)) if record.kind == "run" else command


def _odds(odds: float) -> str:
    return f"{min(odds, 1e6):.0f}" if odds >= 10 else f"{odds:.1f}"


def _shows(diagnosis: Diagnosis) -> str:
    return diagnosis.cause.shows if diagnosis.cause is not None else "last"


def _curve(diagnosis: Diagnosis, record: Record) -> tuple[str, list[tuple[int, float]]]:
    """The metric that shows it; without metrics the mean reward of the completions, step by step."""
    key = diagnosis.cause.curve if diagnosis.cause is not None else "reward/mean"
    points = record.curve(key)
    if points:
        return key, points
    if fallback := record.curve("reward/mean") or record.curve("loss"):
        return "reward/mean" if record.curve("reward/mean") else "loss", fallback
    return "mean reward", mean_rewards(record.turns)


def mean_rewards(turns: Sequence[Turn]) -> list[tuple[int, float]]:
    """(step, mean reward) of the completions that have both."""
    steps: dict[int, list[float]] = {}
    for turn in turns:
        if turn.step is not None and turn.reward is not None:
            steps.setdefault(turn.step, []).append(turn.reward)
    return [(step, fmean(values)) for step, values in sorted(steps.items())]


def _shown(turn: Turn) -> str:
    """One completion with what is known of it."""
    known = [
        f"step {turn.step}" if turn.step is not None else "",
        f"reward {turn.reward:g}" if turn.reward is not None else f"no reward ({turn.status})",
        f"target {target!r}" if (target := target_of(turn)) is not None else "",
        "cut" if turn.finish == "length" else "",
    ]
    return f"{excerpt(turn.prompt, 80)} -> {excerpt(turn.completion, 160)} ({', '.join(filter(None, known))})"


def _warned(report: Report) -> list[str]:
    if not report.to_look_at:
        return []
    lines = ["Warnings on record:"]
    for id, (result, n) in report.to_look_at.items():
        lines.append(f"   {id}{f' ({n} times)' if n > 1 else ''}: {result.evidence}")
    return [*lines, ""]


def _not_known(report: Report) -> list[str]:
    lines = [f"   {r.id}: {r.evidence}" for r in report.unknown]
    lines += [f"   damaged: {what}" for what in report.record.damaged]
    return ["Not known:", *lines] if lines else []


def as_json(report: Report) -> dict[str, Json]:
    """The report as plain JSON."""
    record = report.record
    return {
        "path": str(record.path),
        "kind": record.kind,
        "recipe": record.recipe,
        "state": record.state,
        "why": record.why,
        "step": record.step,
        "healthy": report.healthy,
        "expected": report.expected,
        "diagnoses": [
            {
                "id": d.id,
                "says": d.says,
                "next": _with_path(d.then, record),
                "odds": d.odds,
                "link": d.link,
                "reasons": [{"weight": r.weight, **asdict(r.result)} for r in d.reasons],
                "examples": [_plain(t) for t in examples(record.turns, _shows(d))] if record.turns else [],
            }
            for d in report.diagnoses
        ],
        "warnings": [{"count": n, **asdict(result)} for result, n in report.to_look_at.values()],
        "unknown": [asdict(r) for r in report.unknown],
        "damaged": list(record.damaged),
    }


def _plain(turn: Turn) -> dict[str, Json]:
    names = ("prompt", "completion", "reward", "step", "finish")
    return {name: getattr(turn, name) for name in names} | {"target": target_of(turn)}
