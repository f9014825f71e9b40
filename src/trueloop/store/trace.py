"""Every rollout of a run, also those that did not train: one Parquet part per step, `rollouts/step-000012.parquet`.

    duckdb -c "select fate, count(*), avg(reward) from 'runs/a/rollouts/*.parquet' group by fate"

One row is one rollout, in the order it was given.  `fate` is used, stale, failed, or filtered:<reason>.  A group that
several steps train on (max_reads above 1) has rows in each of them, with the advantages it had there; `read` counts
them from 1 and is 1 in every other row, so that `where read = 1` has every rollout once.  `parts`,
`audit` and `probes` are JSON text; a probe is [name, start, stop, value].  `tokens`, `loss_mask`, `logprobs` and
`policy_logprobs` have one entry per token of the prompt and the completion; log-probabilities are float32, and
`policy_logprobs` is null where it equals `logprobs`.

Size: about 5.8 bytes per completion token (3.5 of them the log-probabilities, whose low bits do not compress), and 3.5
more where sampling was truncated.  A run's budget bounds it: from three quarters of it on the token columns are left
out and the text stays (1.2 bytes per token), from the whole of it on prompt and text too (17 bytes per rollout); `kept`
says what a row still has.  Equal rows give equal bytes, so that a resumed run writes what an uninterrupted one would
have.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from trueloop.errors import DataError, StoreError
from trueloop.records import Group, Json, Rollout, Score
from trueloop.store.artefacts import Writing, atomic_file, sync

Row = dict[str, Json]
Kept = Literal["all", "text", "numbers"]

DIRECTORY = "rollouts"
TOKEN_COLUMNS = ("tokens", "loss_mask", "logprobs", "policy_logprobs")
TEXT_COLUMNS = ("prompt", "text", "answer", "why")
JSON_COLUMNS = ("parts", "audit", "probes")
REQUIRED = ("step", "id", "problem_id", "fate")
TOKEN_SHARE = 0.75

SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("id", pa.string()),
        ("problem_id", pa.string()),
        ("task", pa.string()),
        ("epoch", pa.int64()),
        ("group_index", pa.int64()),
        ("sample_index", pa.int64()),
        ("fate", pa.string()),
        ("read", pa.int64()),
        ("version", pa.int64()),
        ("source", pa.string()),
        ("finish", pa.string()),
        ("stop", pa.string()),
        ("status", pa.string()),
        ("reward", pa.float64()),
        ("passed", pa.bool_()),
        ("advantage", pa.float64()),
        ("answer", pa.string()),
        ("why", pa.string()),
        *((name, pa.string()) for name in JSON_COLUMNS),
        ("prompt_length", pa.int64()),
        ("completion_length", pa.int64()),
        ("prompt", pa.string()),
        ("text", pa.string()),
        ("kept", pa.string()),
        ("tokens", pa.list_(pa.int32())),
        ("loss_mask", pa.list_(pa.bool_())),
        ("logprobs", pa.list_(pa.float32())),
        ("policy_logprobs", pa.list_(pa.float32())),
    ]
)
_DICTIONARY = [f.name for f in SCHEMA if pa.types.is_string(f.type) and f.name not in ("id", "text")]
_ENCODING = {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in ("logprobs", "policy_logprobs")}


def rows_from_group(
    group: Group, *, step: int, fate: str, prompt_text: str, index: int | None = None, read: int = 1
) -> list[Row]:
    """One row per rollout of a group.

    fate         used, stale, failed, or filtered:<reason>
    prompt_text  the prompt as it was encoded, template included
    index        the group's place in the step's batch; None where it had none
    read         how many steps have trained on the group, this one included; 1 where none has
    """
    advantages = group.advantages or (None,) * len(group.rollouts)
    shared = {
        "step": step,
        "task": group.problem.task,
        "fate": fate,
        "read": read,
        "group_index": index,
        "prompt": prompt_text,
    }
    return [
        shared | _rollout_row(rollout) | {"advantage": advantage}
        for rollout, advantage in zip(group.rollouts, advantages, strict=True)
    ]


class Trace:
    """The rollout parts of one run.  `budget` in bytes; None opens them for reading only."""

    def __init__(self, run: Path, budget: int | None) -> None:
        self.directory, self._budget = run / DIRECTORY, budget
        self.bytes = sum(path.stat().st_size for path in self.directory.glob("step-*.parquet"))

    @property
    def keeps(self) -> Kept:
        """What the next part will hold; a part is written whole at what was decided before it."""
        if self._budget is None:
            raise StoreError(f"{self.directory.parent}: opened for reading; resume the run to write rollouts")
        if self.bytes < TOKEN_SHARE * self._budget:
            return "all"
        return "text" if self.bytes < self._budget else "numbers"

    def write(self, step: int, rows: Sequence[Mapping[str, Json]]) -> None:
        """The part of `step`.  Raises `DataError` for unknown or missing columns, `StoreError` if the disk refuses."""
        self._store(step, self._table(step, rows))

    def append(self, step: int, rows: Sequence[Mapping[str, Json]]) -> None:
        """Rows of `step` that were not there when its part was written, which is written anew.  Raises as `write`."""
        table, path = self._table(step, rows), self._part(step)
        earlier = path.stat().st_size if path.exists() else 0
        self._store(step, pa.concat_tables([pq.read_table(path, schema=SCHEMA), table]) if earlier else table)
        self.bytes -= earlier

    def _table(self, step: int, rows: Sequence[Mapping[str, Json]]) -> pa.Table:
        kept = self.keeps
        return pa.Table.from_pylist([_storable(step, row, kept) for row in rows], schema=SCHEMA)

    def _store(self, step: int, table: pa.Table) -> None:
        path = self._part(step)
        with atomic_file(path, what=f"the rollouts of step {step}") as partial:
            pq.write_table(
                table,
                partial,
                compression="zstd",
                compression_level=3,
                use_dictionary=_DICTIONARY,
                column_encoding=_ENCODING,
                store_schema=False,
            )
        self.bytes += path.stat().st_size

    def rewind(self, step: int) -> None:
        """Remove the parts after `step`."""
        with Writing(self.directory, "the removal of rollouts"):
            for path in self.directory.glob("step-*.parquet"):
                if _step_of(path) > step:
                    self.bytes -= path.stat().st_size
                    path.unlink()
            sync(self.directory)

    def _part(self, step: int) -> Path:
        return self.directory / f"step-{step:06d}.parquet"


def read_rollouts(
    run: Path, columns: Sequence[str] | None = None, steps: Collection[int] | None = None
) -> Iterator[Row]:
    """Rows of a run directory in the order of their steps, JSON columns parsed, one part in memory at a time.

    columns  None takes all;  steps  None takes all.  Raises `StoreError` for a column that is not there.
    """
    unknown = sorted(set(columns or ()) - set(SCHEMA.names))
    if unknown:
        raise StoreError(f"rollouts have no column {unknown[0]!r}; columns: {', '.join(SCHEMA.names)}")
    for path in sorted((run / DIRECTORY).glob("step-*.parquet"), key=_step_of):
        if steps is None or _step_of(path) in steps:
            yield from _read_part(path, columns)


def _rollout_row(rollout: Rollout) -> Row:
    return {
        "id": rollout.id,
        "problem_id": rollout.problem_id,
        "epoch": rollout.epoch,
        "sample_index": rollout.index,
        "version": rollout.version,
        "source": rollout.source,
        "finish": rollout.finish,
        "stop": rollout.stop,
        "prompt_length": rollout.loss_mask.index(True) if True in rollout.loss_mask else len(rollout.tokens),
        "completion_length": rollout.completion_length,
        "text": rollout.text,
        "tokens": rollout.tokens,
        "loss_mask": rollout.loss_mask,
        "logprobs": rollout.logprobs,
        "policy_logprobs": None if rollout.policy_logprobs == rollout.logprobs else rollout.policy_logprobs,
        "probes": [[p.name, p.start, p.stop, p.value] for p in rollout.probes],
        **(_score_row(rollout.score) if rollout.score else {}),
    }


def _score_row(score: Score) -> Row:
    return {
        "status": score.status,
        "reward": score.reward,
        "passed": score.passed,
        "answer": score.answer,
        "why": score.why,
        "parts": dict(score.parts),
        "audit": dict(score.audit),
    }


def _storable(step: int, row: Mapping[str, Json], kept: Kept) -> Row:
    unknown = sorted(row.keys() - set(SCHEMA.names))
    missing = [name for name in REQUIRED if row.get(name) is None]
    if unknown or missing or row["step"] != step:
        what = f"unknown {unknown}" if unknown else f"missing {missing}" if missing else f"of step {row['step']}"
        raise DataError(
            f"rollouts of step {step}: a row is {what}; expected {', '.join(REQUIRED)} and columns of {SCHEMA.names}"
        )
    dropped = {"all": (), "text": TOKEN_COLUMNS, "numbers": (*TOKEN_COLUMNS, *TEXT_COLUMNS)}[kept]
    return {
        **row,
        **{name: _utf8(row[name]) for name in TEXT_COLUMNS if row.get(name) is not None},
        **{name: json.dumps(row[name]) for name in JSON_COLUMNS if row.get(name) is not None},
        **dict.fromkeys(dropped),
        "kept": kept,
    }


def _utf8(text: str) -> str:
    """Text that Parquet can hold: lone surrogates, as program output may contain, become question marks."""
    return text.encode(errors="replace").decode()


def _read_part(path: Path, columns: Sequence[str] | None) -> Iterator[Row]:
    try:
        table = pq.read_table(path, columns=None if columns is None else list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(
            f"{path}: not a readable Parquet file ({error}); restore it from a copy, or delete it"
        ) from error
    for row in table.to_pylist():
        yield row | {name: json.loads(row[name]) for name in JSON_COLUMNS if row.get(name) is not None}


def _step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))
