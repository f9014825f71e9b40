"""A recorded step, taken again: from the last good checkpoint through the batches since, bit by bit on a CPU.

What is compared is everything that the run wrote of the step: loss, gradient norm, every metric, and the checksum of
the weights after it; or the error that it ended with.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from trueloop.config import read, resolve
from trueloop.errors import DataError, StoreError, TrainingError
from trueloop.loop.loop import metrics_row
from trueloop.loop.recording import rebuilt
from trueloop.models import Policy
from trueloop.models.bits import checksums, digest
from trueloop.preflight.undo import undone
from trueloop.recipes import sft, wiring
from trueloop.records import Json, Sample, StepReport
from trueloop.store.artefacts import damage
from trueloop.store.bundle import failure_of
from trueloop.store.run import Run
from trueloop.train import checkpoint
from trueloop.train.batch import Stream
from trueloop.train.step import Contribution, Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one row of the batch brought, and how it reads."""

    brought: Contribution
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A step as it was taken: its row of metrics and the checksum of the weights after it, or its error."""

    row: Mapping[str, Json] | None = None
    weights: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A repeated step.

    began        step of the checkpoint that it was repeated from; 0 is the start of the run
    recorded     what the run wrote of it; None where it was killed before
    differences  what is not the same, in words, with the step; empty where all of it is
    rows         the batch's, the largest gradient first
    without      the same step without the rows that were dropped; None where none were
    why          what ended the step in the run, in words; empty where nothing did
    """

    step: int
    began: int
    taken: Taken
    recorded: Taken | None
    differences: tuple[str, ...]
    rows: tuple[Row, ...]
    without: Taken | None = None
    why: str = ""


def replay(place: Path, *, at: int | None = None, drop: Sequence[str] = ()) -> Replay:
    """Repeat the step of a bundle, or of a run: its last recorded one, or the step `at`.

    drop  ids of rows; the step is taken once more without them

    Raises `StoreError` where the run has not kept what the step needs, `DataError` for a row that is not in it.
    """
    run = Run.open(place)
    failure = failure_of(place)
    steps = run.recent.steps()
    at = at or (failure["step"] if failure is not None else max(steps, default=0))
    failure = failure or failure_of(place / "failures" / f"step-{at:06d}")
    began, directory = _beginning(run, at, list(steps))
    recipe, config = _configuration(place)
    policy = Policy.load(directory / checkpoint.MODEL, if_adapter="continue") if directory else _start(config, place)
    kept = recipe.interventions(config, policy) if hasattr(recipe, "interventions") else ()
    with wiring.open_trainer(config, policy, kept) as trainer:
        if directory is not None:
            checkpoint.read(directory, trainer)
        history, differences = _recorded(run), []
        for step in range(began + 1, at):
            trainer.refresh(step)
            taken = _take(trainer, rebuilt(run.recent.read(step)), step)
            differences += _differences(step, taken, history.get(step))
        trainer.refresh(at)
        streams = rebuilt(run.recent.read(at))
        rows = _rows(trainer, streams, policy)
        without = None
        if drop:
            with undone(trainer):
                without = _take(trainer, _without(streams, drop), at)
        taken = _take(trainer, streams, at)
    recorded = history.get(at)
    if recorded is None and failure is not None:
        recorded = Taken(error=failure["why"])
    return Replay(
        step=at,
        began=began,
        taken=taken,
        recorded=recorded,
        differences=(*differences, *_differences(at, taken, recorded)),
        rows=tuple(rows),
        without=without,
        why=failure["why"] if failure is not None else "",
    )


def _beginning(run: Run, at: int, steps: Sequence[int]) -> tuple[int, Path | None]:
    """The newest whole checkpoint from which the recorded steps lead to `at`, or the start of the run."""
    for found in reversed([c for c in run.checkpoints.all() if c.step < at]):
        if set(range(found.step + 1, at + 1)) <= set(steps) and damage(found.path) is None:
            return found.step, found.path
    if at > 0 and set(range(1, at + 1)) <= set(steps):
        return 0, None
    kept = [c.step for c in run.checkpoints.all()]
    raise StoreError(
        f"{run.path}: step {at} cannot be repeated: recorded are the steps {_ranges(steps) or 'none'}, and the "
        f"checkpoints of steps {_ranges(kept) or 'none'}; it needs one before it with every step since.  Choose "
        "another step with --at; retention.recent_bytes and loop.checkpoint_every say what is kept"
    )


def _configuration(place: Path) -> tuple[ModuleType, Any]:
    source = read(str(place / "config.toml"))
    recipe = importlib.import_module(f"trueloop.recipes.{source.recipe}")
    return recipe, resolve(recipe.Config, source).config


def _start(config: Any, place: Path) -> Policy:
    """The policy before the first step."""
    if getattr(config, "warm_start", None) is None:
        return wiring.build_policy(config.model, config.adapter, config.seed)
    homes = [place / "warm_start", place.resolve().parent.parent / "warm_start"]
    model = next((sft.best_model(Run.open(home)) for home in homes if (home / "run.json").is_file()), None)
    if model is None:
        raise StoreError(f"{place}: the warm start that the run began with is not there any more; expected {homes[0]}")
    return Policy.load(model, if_adapter="continue")


def _recorded(run: Run) -> dict[int, Taken]:
    weights = {row["step"]: row.get("weights") for row in run.liveness()}
    return {row["step"]: Taken(row=row, weights=weights.get(row["step"])) for row in run.metrics()}


def _take(trainer: Trainer, streams: Sequence[Stream], step: int) -> Taken:
    try:
        report: StepReport = trainer.step(streams)
    except TrainingError as error:
        return Taken(error=str(error))
    row = {name: value for name, value in metrics_row(step, report, {}).items() if name != "seconds"}
    return Taken(row=row, weights=digest(checksums(trainer.trainable)))


def _differences(step: int, taken: Taken, recorded: Taken | None) -> list[str]:
    """What of a step was recorded and is not the same now, in words."""
    if recorded is None:
        return []
    if (taken.error is None) != (recorded.error is None) or taken.error != recorded.error:
        ends = [f"{x.error!r}" if x.error is not None else "no error" for x in (recorded, taken)]
        return [f"step {step}: ended with {ends[0]} then, with {ends[1]} now"]
    then, now = recorded.row or {}, taken.row or {}
    found = [
        f"step {step}: {name} was {then.get(name)!r} and is {value!r}"
        for name, value in now.items()
        if not _same(then.get(name), value)
    ]
    if recorded.weights is not None and recorded.weights != taken.weights:
        found.append(f"step {step}: the weights after it had checksum {recorded.weights} and have {taken.weights}")
    return found


def _same(a: Json, b: Json) -> bool:
    return a == b or (a != a and b != b)


def _rows(trainer: Trainer, streams: Sequence[Stream], policy: Policy) -> list[Row]:
    decode = wiring.tokenizer_of(policy).decode
    texts: dict[tuple[str, str], tuple[str, ...]] = {}
    for stream in streams:
        texts |= {(stream.name, s.id): (_shown(s, decode),) for s in stream.samples}
        texts |= {(stream.name, p.id): (_shown(p.chosen, decode), _shown(p.rejected, decode)) for p in stream.pairs}
    brought = sorted(trainer.contributions(streams), key=lambda c: (c.norm is not None, -(c.norm or 0.0)))
    return [Row(brought=c, texts=texts[c.stream, c.id]) for c in brought]


def _shown(sample: Sample, decode: Any) -> str:
    """The row as text, with a mark where what is trained begins."""
    first = sample.loss_mask.index(True) if True in sample.loss_mask else len(sample.tokens)
    return f"{decode(list(sample.tokens[:first]))}⟶{decode(list(sample.tokens[first:]))}"


def _without(streams: Sequence[Stream], drop: Sequence[str]) -> list[Stream]:
    ids = [s.id for stream in streams for s in stream.samples]
    ids += [p.id for stream in streams for p in stream.pairs]
    for id in drop:
        if id not in ids:
            near = difflib.get_close_matches(id, ids, n=1, cutoff=0.0)
            raise DataError(f"no row {id!r} in this step; did you mean {near[0]!r}?  It has {len(ids)} rows")
    return [
        replace(
            stream,
            samples=[s for s in stream.samples if s.id not in drop],
            pairs=[p for p in stream.pairs if p.id not in drop],
        )
        for stream in streams
    ]


def _ranges(steps: Sequence[int]) -> str:
    """1-3, 7."""
    parts: list[list[int]] = []
    for step in sorted(steps):
        if parts and step == parts[-1][1] + 1:
            parts[-1][1] = step
        else:
            parts.append([step, step])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
