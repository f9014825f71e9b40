"""Everything that a run directory, or a file of transcripts, says: read once, with what could not be read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar

from trueloop.checks.transcripts.turns import Turn
from trueloop.doctor.foreign import read_turns
from trueloop.errors import DataError, StoreError
from trueloop.evaluate import Evaluation
from trueloop.records import CheckResult, Json
from trueloop.store.journal import Journal
from trueloop.store.run import Run
from trueloop.store.trace import read_rollouts

Row = Mapping[str, Json]
T = TypeVar("T")

STEPS = 40
"""Steps whose rollouts are read: the first, the last, and some between."""

ROWS = 20_000
"""Most rollouts that are read."""

COLUMNS = [
    *("step", "id", "problem_id", "epoch", "version", "source", "finish", "status", "reward", "passed", "answer"),
    *(
        "parts",
        "audit",
        "prompt_length",
        "completion_length",
        "prompt",
        "text",
        "logprobs",
        "policy_logprobs",
        "fate",
        "read",
    ),
]

WARM = 0.2
"""Temperature of draws from which a policy's log-probabilities at it are not 0 for being cold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is on record.

    kind         a run directory, or rows of another trainer
    state, why   of the run: running, finished, failed, interrupted, killed
    metrics      one row per step
    checks       (step, result) of the checks that were asked in the run
    turns        rollouts of some steps; the policy's own
    audits       (step, problem, measures) of the same rollouts
    versions     (step, oldest version of the weights) of the steps whose rollouts were read
    damaged      what should be there and cannot be read
    """

    path: Path
    kind: Literal["run", "rows"]
    recipe: str = ""
    config: Mapping[str, Json] = field(default_factory=dict)
    seed: int | None = None
    state: str = "finished"
    why: str = ""
    step: int | None = None
    metrics: Sequence[Row] = ()
    checks: Sequence[tuple[int, CheckResult]] = ()
    evaluations: Sequence[tuple[int, Evaluation]] = ()
    turns: Sequence[Turn] = ()
    audits: Sequence[tuple[int, str, Mapping[str, float]]] = ()
    versions: Sequence[tuple[int, int]] = ()
    resumes: Sequence[Row] = ()
    stuck: str = ""
    failures: Sequence[str] = ()
    warm_start: Record | None = None
    damaged: Sequence[str] = ()

    def curve(self, key: str) -> list[tuple[int, float]]:
        """(step, value) of a metric where it was computed."""
        return [(row["step"], float(row[key])) for row in self.metrics if isinstance(row.get(key), int | float)]

    def setting(self, *keys: str) -> Json:
        """A value of the configuration; None where there is none."""
        value: Json = self.config
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value


def read_record(path: Path) -> Record:
    """A run directory, or a file of transcripts.  Raises `StoreError` or `DataError` where it is neither."""
    if path.is_file():
        return Record(path=path, kind="rows", turns=read_turns(path))
    run = Run.open(path)
    damaged: list[str] = []
    status: Row = _or(damaged, run.status, {"state": "unknown", "why": "", "step": None})
    drawn = run.info.config.get("draw")
    warm = isinstance(drawn, Mapping) and float(drawn.get("temperature", 0.0)) >= WARM
    turns, audits, versions = _rollouts(path, damaged, warm)
    inner = path / "warm_start"
    return Record(
        path=path,
        kind="run",
        recipe=run.info.recipe,
        config=run.info.config,
        seed=run.info.seed,
        state=status["state"],
        why=status["why"],
        step=status["step"],
        metrics=_journal(path / "metrics.jsonl", damaged),
        checks=[
            *((row["step"], _result(row)) for row in _journal(path / "checks.jsonl", damaged)),
            *((status["step"] or 0, result) for result in named_in(status["why"])),
        ],
        evaluations=_evaluations(path, damaged),
        turns=turns,
        audits=audits,
        versions=versions,
        resumes=_journal(path / "resumes.jsonl", damaged),
        stuck=_text(path / "stuck.log"),
        failures=[str(p) for p in sorted((path / "failures").glob("*")) if not p.name.startswith(".")],
        warm_start=read_record(inner) if (inner / "run.json").is_file() else None,
        damaged=damaged,
    )


def _or(damaged: list[str], read: Callable[[], T], instead: T) -> T:
    try:
        return read()
    except (OSError, ValueError, StoreError, DataError) as error:
        damaged.append(str(error))
        return instead


def _journal(path: Path, damaged: list[str]) -> list[Row]:
    """The rows of a journal; of a damaged one those that can be read."""
    try:
        return list(Journal(path).rows())
    except StoreError as error:
        damaged.append(str(error))
    found: list[Row] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "step" in row:
            found.append(row)
    return found


def _evaluations(path: Path, damaged: list[str]) -> list[tuple[int, Evaluation]]:
    found = []
    for row in _journal(path / "evaluations.jsonl", damaged):
        try:
            found.append((row["step"], Evaluation.from_json(row, ())))
        except (KeyError, TypeError, AttributeError) as error:
            damaged.append(f"evaluations.jsonl: step {row.get('step')}: not an evaluation of this version ({error})")
    return found


def named_in(why: str) -> list[CheckResult]:
    """The fails that the reason of an end names: a run that is refused before its first step has no other record."""
    if not why.startswith("CheckFailed"):
        return []
    found = re.findall(r"(?m)(?:^  |: )([a-z_]+\.[a-z_]+): (.*)$", why)
    return [CheckResult(id=id, status="fail", evidence=evidence) for id, evidence in found]


def _result(row: Row) -> CheckResult:
    fields = ("value", "limit", "evidence", "advice", "allowed")
    return replace(CheckResult(id=row["id"], status=row["status"]), **{k: row[k] for k in fields if k in row})


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _rollouts(
    path: Path, damaged: list[str], warm: bool
) -> tuple[list[Turn], list[tuple[int, str, Mapping[str, float]]], list[tuple[int, int]]]:
    turns: list[Turn] = []
    audits: list[tuple[int, str, Mapping[str, float]]] = []
    versions: list[tuple[int, int]] = []
    parts = [int(p.stem.removeprefix("step-")) for p in sorted((path / "rollouts").glob("step-*.parquet"))]
    for step in spaced(parts, STEPS):
        rows = _part(path, step, damaged)
        own = [row for row in rows if row["read"] in (1, None) and row["source"] != "teacher"]
        own = own[: max(64, ROWS // STEPS)]
        turns += [_turn(row, warm) for row in own if row["prompt"] is not None]
        audits += [(step, row["problem_id"], row["audit"]) for row in own if row["audit"]]
        seen = [row["version"] for row in rows if row["version"] is not None and row["fate"] == "used"]
        versions += [(step, min(seen))] if seen else []
    return turns, audits, versions


def _part(path: Path, step: int, damaged: list[str]) -> list[Row]:
    return _or(damaged, lambda: list(read_rollouts(path, COLUMNS, [step])), [])


def spaced(items: Sequence[int], most: int) -> list[int]:
    """At most so many of them, evenly, with the first and the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _turn(row: Row, warm: bool) -> Turn:
    """With the policy's own log-probabilities, before truncation."""
    logprobs, start = row["policy_logprobs"] or row["logprobs"], row["prompt_length"] or 0
    return Turn(
        prompt=row["prompt"],
        completion=row["text"] or "",
        reward=row["reward"],
        group=f"{row['problem_id']}/{row['epoch'] or 0}",
        step=row["step"],
        finish="length" if row["finish"] == "length" else "stop" if row["finish"] == "stop" else None,
        passed=row["passed"],
        length=row["completion_length"],
        logprobs=tuple(logprobs[start:]) if logprobs else None,
        whole_softmax=warm,
        status=row["status"] or "error",
        version=row["version"],
        parts=row["parts"] or {},
    )
