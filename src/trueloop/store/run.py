"""The run directory: the only thing of a run that persists.

    run.json            recipe, configuration in force, its difference from the preset, seed, data hashes, versions
    config.toml         the configuration in force, as `trueloop run` takes it
    provenance/000/     code as commit and patch, packages, interpreter, machine; 001/ ... of resumes with other code
    resumes.jsonl       one row per resume: when, what was changed
    metrics.jsonl       one row per step; wall times under `seconds` only
    rollouts/           one Parquet part per step (trace.py)
    checks.jsonl        one row per check result
    evaluations.jsonl   one row per evaluation
    liveness.jsonl      what moved, and whether the sampler followed (by the loop)
    checkpoints/        step-000040/ ... (checkpoints.py)
    recent/             the batches of the steps since the last but one checkpoint (batches.py)
    status.json         running, finished, failed or interrupted; why, process, last step
    failures/           steps that ended the run, with all that repeats them (bundle.py)
    stuck.log           what a watchdog saw
    lock                held by the process that writes the run

A step exists when its row is in `metrics.jsonl`; its rollouts are written before.  A checkpoint closes its step: what
belongs to the step (row, checks, evaluations) is written before it, so that after `rewind` to a checkpoint the run goes
on to write the same bytes as if it had never stopped, timings apart (`contents` compares exactly that).
"""

from __future__ import annotations

import json
import os
import socket
import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Literal

from pydantic import Field

from trueloop.config import Config
from trueloop.errors import DataError, StoreError
from trueloop.records import CheckResult, Json, RunInfo
from trueloop.store.artefacts import PARTIAL, atomic_dir, atomic_file, fresh_dir, hash_file, remove, sweep
from trueloop.store.batches import Recent
from trueloop.store.checkpoints import Checkpoints, Keep
from trueloop.store.info import accepted_changes, code_changes, new_info, now, read_info, with_config, write_info
from trueloop.store.journal import Journal, Row
from trueloop.store.lock import Lock, is_held
from trueloop.store.provenance import capture
from trueloop.store.trace import Trace

Outcome = Literal["finished", "failed", "interrupted"]


class Retention(Config):
    """What a run keeps.

    checkpoints    which of them
    rollout_bytes  of rollouts; trace.py says what goes first
    recent_bytes   of the batches since the last checkpoints, from which a step can be repeated; beyond that the steps
                   up to the next checkpoint are not recorded
    """

    checkpoints: Keep = Keep()
    rollout_bytes: int = Field(default=20_000_000_000, ge=0)
    recent_bytes: int = Field(default=2_000_000_000, ge=0)


DEFAULT_RETENTION = Retention()


class Run:
    """A run directory.  `create` and `resume` hold its lock until `close`; `open` only reads.

    As a context it closes itself, and an exception becomes the outcome: failed, or interrupted where it is no
    `Exception` (Ctrl-C, a cancelled task).
    """

    path: Path
    info: RunInfo
    checkpoints: Checkpoints
    recent: Recent

    def __init__(self, path: Path, info: RunInfo, lock: Lock | None, retention: Retention) -> None:
        self.path, self.info, self._lock = path, info, lock
        writable = lock is not None
        self.checkpoints = Checkpoints(path / "checkpoints", retention.checkpoints if writable else None)
        self._trace = Trace(path, retention.rollout_bytes if writable else None)
        self._metrics = Journal(path / "metrics.jsonl")
        self._checks = Journal(path / "checks.jsonl")
        self._evaluations = Journal(path / "evaluations.jsonl")
        self._liveness = Journal(path / "liveness.jsonl")
        self._resumes = Journal(path / "resumes.jsonl")
        self.recent = Recent(path / "recent", retention.recent_bytes if writable else None)
        self._last_step = _last_step(self._metrics) if writable else None
        self._ended = False

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        recipe: str,
        config: Mapping[str, Json],
        difference: Mapping[str, Json],
        seed: int,
        data: Mapping[str, str],
        retention: Retention = DEFAULT_RETENTION,
    ) -> Run:
        """A new run in a directory that is absent or empty; it appears whole, with its lock held.

        config      resolved, as plain JSON types (`Resolved.raw`)
        difference  from the preset (`Resolved.difference`)
        data        name of what the run reads (data sets, chat template, base model) -> its fingerprint
        """
        _require_new(path)
        provenance = capture()
        info = new_info(recipe, config, difference, seed, data, provenance)
        for leftover in path.parent.glob(f".{path.name}.*{PARTIAL}"):
            if not is_held(leftover / "lock"):
                remove(leftover)
        with ExitStack() as undo:
            with fresh_dir(path, what="a new run") as partial:
                lock = Lock(partial / "lock")
                undo.callback(lock.release)
                for folder in ("rollouts", "checkpoints", "provenance/000"):
                    (partial / folder).mkdir(parents=True)
                provenance.write(partial / "provenance/000")
                _write_status(partial, "running", "", None)
                write_info(partial, info)
            run = cls(path, info, lock, retention)
            undo.pop_all()
        return run

    @classmethod
    def resume(
        cls,
        path: Path,
        *,
        config: Mapping[str, Json],
        data: Mapping[str, str],
        may_change: Collection[str] = (),
        retention: Retention = DEFAULT_RETENTION,
    ) -> Run:
        """Take up a run that no process is writing.  Leftovers of a killed process are removed.

        may_change  dotted keys of the configuration (each with all below it) that may differ from what is stored; what
                    does is written to `run.json` and `resumes.jsonl`

        Raises `StoreError` if another process writes the run, if configuration or data differ (naming each key, stored
        -> given), or if a file is damaged.  Changed code is recorded, with its patch, and warned of.  The caller goes
        on with `run.checkpoints.latest()` and `run.rewind(...)`.
        """
        _require_run(path)
        with ExitStack() as undo:
            lock = Lock(path / "lock")
            undo.callback(lock.release)
            info = read_info(path)
            changed = accepted_changes(path, info, config, data, may_change)
            sweep(path)
            for folder in filter(Path.is_dir, path.iterdir()):
                sweep(folder)
            for journal in path.glob("*.jsonl"):
                Journal(journal).repair()
            if changed:
                info = with_config(info, config)
                write_info(path, info)
            run = cls(path, info, lock, retention)
            run._record_resume(changed)
            undo.pop_all()
        return run

    @classmethod
    def open(cls, path: Path) -> Run:
        """An existing run for reading, also while another process writes it.  Raises `StoreError` if there is none."""
        _require_run(path)
        return cls(path, read_info(path), None, DEFAULT_RETENTION)

    def write_step(self, report_row: Mapping[str, Json], rollouts: Sequence[Mapping[str, Json]]) -> None:
        """One finished step: its rollouts, then its row (with `step`, and wall times under `seconds`).

        Raises `DataError` for a step that is not after the last one.
        """
        self._require_writable()
        step, last = report_row.get("step"), self._last_step
        if not isinstance(step, int) or (last is not None and step <= last):
            raise DataError(f"{self.path}: a row of step {step!r} after step {last}; expected a later one, or `rewind`")
        if rollouts:
            self._trace.write(step, rollouts)
        self._metrics.append(report_row)
        self._last_step = step
        self._write_status("running", "")

    def add_rollouts(self, rollouts: Sequence[Mapping[str, Json]], step: int) -> None:
        """Further rollouts of a step: what was set aside or left over after it was written."""
        self._require_writable()
        self._trace.append(step, rollouts)

    def add_check(self, result: CheckResult, step: int) -> None:
        """A check's result at a step; 0 is before the first."""
        self._require_writable()
        self._checks.append({"step": step, **asdict(result)})

    def add_evaluation(self, row: Mapping[str, Json], step: int) -> None:
        """An evaluation of the weights after a step; 0 is before the first.  Wall times under `seconds` only."""
        self._require_writable()
        self._evaluations.append({"step": step, **row})

    def add_liveness(self, row: Mapping[str, Json], step: int) -> None:
        """What was seen to move at a step; nothing in it depends on wall time."""
        self._require_writable()
        self._liveness.append({"step": step, **row})

    def rewind(self, step: int) -> None:
        """Drop all that was written after `step`; -1 drops step 0 (what was measured before the first) as well."""
        self._require_writable()
        self.checkpoints.rewind(step)
        for journal in (self._metrics, self._checks, self._evaluations, self._liveness):
            journal.keep(lambda row: row["step"] <= step)
        self.recent.drop(after=step)
        self._trace.rewind(step)
        self._last_step = _last_step(self._metrics)
        self._write_status("running", "")

    def finish(self, outcome: Outcome, why: str) -> None:
        """Write how the run ended, once; later calls, as from closing, do not overwrite it."""
        self._require_writable()
        if not self._ended:
            self._write_status(outcome, why)
            self._ended = True

    def close(self) -> None:
        """Let others write the run.  Calling it twice is harmless."""
        if self._lock is not None:
            self._lock.release()

    @property
    def last_step(self) -> int | None:
        """The last step in `metrics.jsonl`; None before the first."""
        return self._last_step if self._lock is not None else _last_step(self._metrics)

    def metrics(self) -> list[Row]:
        """One row per step."""
        return self._metrics.rows()

    def checks(self) -> list[Row]:
        """Check results with their step."""
        return self._checks.rows()

    def allowances(self) -> dict[str, str]:
        """Check id -> why the run went on although that check failed, a warm start's own included."""
        inside = Journal(self.path / "warm_start" / "checks.jsonl").rows()
        return {row["id"]: row["allowed"] for row in [*inside, *self.checks()] if row.get("allowed")}

    def evaluations(self) -> list[Row]:
        """Evaluations with their step."""
        return self._evaluations.rows()

    def liveness(self) -> list[Row]:
        """What moved, and whether the sampler followed."""
        return self._liveness.rows()

    def resumes(self) -> list[Row]:
        """What each resume changed."""
        return self._resumes.rows()

    def status(self) -> Row:
        """state, why, step, pid, host, updated_at.  A run that says running but that nobody writes is `killed`."""
        status: Row = json.loads((self.path / "status.json").read_text(encoding="utf-8"))
        if status["state"] == "running" and not is_held(self.path / "lock"):
            status["state"] = "killed"
        return status

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if error is not None:
                outcome: Outcome = "failed" if isinstance(error, Exception) else "interrupted"
                self._finish_quietly(outcome, f"{type(error).__name__}: {error}".rstrip(": "))
            elif self._lock is not None and self._lock.held:
                self.finish("interrupted", "closed without an outcome")
        finally:
            self.close()

    def _finish_quietly(self, outcome: Outcome, why: str) -> None:
        """The error under way matters more than a status that cannot be written."""
        with suppress(StoreError):
            self.finish(outcome, why)

    def _require_writable(self) -> None:
        if self._lock is None or not self._lock.held:
            raise StoreError(f"{self.path}: opened for reading, or closed; resume the run to write to it")

    def _record_resume(self, changed: Mapping[str, tuple[Json, Json]]) -> None:
        provenance = capture()
        versions = sorted((self.path / "provenance").glob("*/provenance.json"))
        stored = json.loads(versions[-1].read_text(encoding="utf-8"))["code"]
        differs = code_changes(stored, provenance)
        if differs:
            with atomic_dir(self.path / f"provenance/{len(versions):03d}", what="the code's changes") as partial:
                provenance.write(partial)
        self._resumes.append(
            {"at": now(), "pid": os.getpid(), "step": self._last_step, "config": changed, "code": differs}
        )
        self._write_status("running", "")
        if differs:
            warnings.warn(f"{self.path}: resumed with other code than before: {'; '.join(differs)}", stacklevel=3)

    def _write_status(self, state: str, why: str) -> None:
        _write_status(self.path, state, why, self._last_step)


def contents(path: Path) -> dict[str, Json]:
    """What a run wrote, without timings and dates: equal for a resumed run and an uninterrupted one.

    Relative file name -> rows of a journal without `seconds`, or the hash of a rollout part, or of a checkpoint.
    """
    found: dict[str, Json] = {}
    for name in ("metrics.jsonl", "checks.jsonl", "evaluations.jsonl", "liveness.jsonl"):
        found[name] = [{k: v for k, v in row.items() if k != "seconds"} for row in Journal(path / name).rows()]
    for part in sorted((path / "rollouts").glob("step-*.parquet")):
        found[f"rollouts/{part.name}"] = hash_file(part)
    for checkpoint in Checkpoints(path / "checkpoints", None).all():
        found[f"checkpoints/{checkpoint.path.name}"] = [checkpoint.fingerprint, checkpoint.score]
    return found


def _require_new(path: Path) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / "run.json").is_file():
        raise StoreError(f"{path}: something else stands here; expected nothing or an empty directory; choose another")
    run = Run.open(path)
    raise StoreError(
        f"{path}: holds a run already ({run.info.recipe}, started {run.info.started_at}, {run.status()['state']}, last "
        f"step {run.last_step}); continue it with --resume, or choose another directory"
    )


def _require_run(path: Path) -> None:
    if not (path / "run.json").is_file():
        what = "is not a run directory: it has no run.json" if path.exists() else "does not exist"
        raise StoreError(f"{path} {what}; expected the directory of a run that was started; check the path")


def _last_step(metrics: Journal) -> int | None:
    rows = metrics.rows()
    return rows[-1]["step"] if rows else None


def _write_status(directory: Path, state: str, why: str, step: int | None) -> None:
    status = {
        "state": state,
        "why": why,
        "step": step,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "updated_at": now(),
    }
    with atomic_file(directory / "status.json", what="the run's status") as partial:
        partial.write_text(json.dumps(status) + "\n", encoding="utf-8")
