"""Supervised fine-tuning on a task's demonstrations.

Departs from what is common elsewhere:
  1. the loss is the mean over all completion tokens of the step (not of each device or micro-batch)
  2. the end token is always trained, the prompt never
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from trueloop.checks.running.seen import Setup
from trueloop.config import Resolved, plain
from trueloop.engines.local import LocalEngine
from trueloop.evaluate import tables
from trueloop.formulas.reduce import token_mean
from trueloop.loop.feed import Offline
from trueloop.loop.loop import Ending, Loop
from trueloop.loop.monitor import Monitor
from trueloop.models import Policy
from trueloop.preflight.gate import Gate
from trueloop.recipes import before, estimate, wiring
from trueloop.recipes.hints import Shown
from trueloop.recipes.losses import Supervised
from trueloop.records import Sample, content_hash
from trueloop.store.run import Run
from trueloop.tasks.base import Demonstration, Task
from trueloop.tasks.registry import TaskConfig
from trueloop.train.batch import Stream


class Config(wiring.Common):
    """Supervised fine-tuning.

    rows           a file that `trueloop sft-set` wrote: these completions are imitated instead of the task's own
    rows_per_step  demonstrations of one optimizer step
    epochs         passes over them; None: until loop.steps
    hint           is put into the prompts of a share of them
    """

    task: TaskConfig
    split: str = "train"
    rows: Path | None = None
    rows_per_step: Annotated[int, Field(ge=1)]
    epochs: Annotated[int, Field(ge=1)] | None = None
    hint: Shown | None = None


def plan(config: Config) -> str:
    """What a run would do, in words."""
    return "\n".join([headline(config), *estimate.describe(config, stages(config, "sft"))])


def stages(config: Config, name: str) -> list[estimate.Stage]:
    """What it goes through: the rows, and the guard's evaluations."""
    task = config.task.build()
    rows = demonstrations(config, task)
    trained = int(_seen(config, len(rows)) * row_tokens(rows))
    steps = config.loop.steps
    return [
        estimate.Stage(name=name, steps=steps, trained=trained),
        *estimate.guarding(f"guard of {name}", config.guard, steps, task.max_tokens),
    ]


def demonstrations(config: Config, task: Task) -> list[Demonstration]:
    """What is imitated: the rows of a file where one is named, else the task's own demonstrations."""
    if config.rows is None:
        return list(task.demonstrations(config.split))
    return tables.demonstrations(config.rows, task.problems(config.split))


def row_tokens(rows: Sequence[Demonstration]) -> float:
    """The most tokens of a mean demonstration, its prompt included: as many as it has characters."""
    return sum(len(str(d.problem.prompt)) + len(d.completion) for d in rows) / max(len(rows), 1)


def headline(config: Config) -> str:
    """The plan in one line: rows, steps, passes over the data."""
    task = config.task.build()
    rows = len(demonstrations(config, task))
    seen = _seen(config, rows)
    return (
        f"SFT on {rows} demonstrations of {task.name}/{config.split}: at most {-(-seen // config.rows_per_step)} steps "
        f"of {config.rows_per_step} rows, {seen / max(rows, 1):.1f} passes over the data"
    )


def _seen(config: Config, rows: int) -> int:
    seen = config.loop.steps * config.rows_per_step
    return seen if config.epochs is None else min(seen, config.epochs * rows)


def run(config: Config, resolved: Resolved[Any], out: Path, resume: bool, gate: Gate | None = None) -> wiring.Outcome:
    """Check and train, or go on with what `out` holds."""
    gate = gate or Gate()
    ending, found = train(config, resolved, out, resume, title="sft", gate=gate)
    if gate.only:
        return wiring.checked(gate)
    summary = f"{ending.why}\n{summarize(found)}"
    return wiring.Outcome(ok=True, summary=summary, signal=ending.signal)


def train(
    config: Config, resolved: Resolved[Any], out: Path, resume: bool, *, title: str, gate: Gate
) -> tuple[Ending, Run]:
    """As `run`, for recipes that begin with it; the run is closed and may be read."""
    gate.permit(config.allow)
    task = config.task.build()
    wiring.require_problems(config.guard, task)
    policy = wiring.build_policy(config.model, config.adapter, config.seed)
    reads = [(task, config.split), *([(task, config.guard.split)] if config.guard is not None else [])]
    if not before.has_begun(out):
        gate.take(before.static_supervised(config, task, policy, gate.place or out))
        gate.require()
    data = wiring.data_of(policy, reads)
    if config.rows is not None:
        data["sft rows"] = content_hash(config.rows.read_text(encoding="utf-8"))
    with wiring.open_run("sft", config, resolved, out, resume, data) as store:
        wiring.keep_base(policy, store)
        ending = Ending(step=0, outcome="stopped", why="checked")
        with gate.trying() if gate.only else nullcontext():
            ending = asyncio.run(_train(config, task, policy, store, title, gate))
        wiring.finish(store, ending)
    return ending, Run.open(out)


def train_alone(config: Config, out: Path, *, title: str, gate: Gate) -> tuple[Ending, Run]:
    """As `train`, for a configuration that another one implies; it goes on if `out` holds a run."""
    resolved = Resolved(recipe="sft", config=config, presets=(), difference={}, raw=plain(config))
    return train(config, resolved, out, (out / "run.json").is_file(), title=title, gate=gate)


async def _train(config: Config, task: Task, policy: Policy, store: Run, title: str, gate: Gate) -> Ending:
    rows = demonstrations(config, task)
    if config.hint is not None:
        rows = config.hint.among(rows)
    samples = wiring.supervised(task, rows, policy)
    engine = wiring.open_engine(config.engine, policy) if config.guard is not None else None

    async def synced() -> LocalEngine:
        assert engine is not None
        await engine.load_weights(policy.engine_weights(), trainer.version)
        return engine

    setup = Setup(
        steps=config.loop.steps,
        lr=config.optim.lr,
        every=config.loop.checkpoint_every,
        guard=wiring.promised(config.guard, task, config.seed),
    )
    feed = Offline(samples, per_step=config.rows_per_step, seed=config.seed, streams=streams, epochs=config.epochs)
    with wiring.open_trainer(config, policy) as trainer:
        loop = Loop(
            config.loop,
            run=store,
            trainer=trainer,
            feed=feed,
            title=title,
            guard=wiring.open_guard(config.guard, synced, task, policy, config.seed),
            shown=("loss", "grad_norm"),
            monitor=Monitor(setup, allow=gate.allow),
        )
        try:
            if loop.resume() == 0 and not store.checkpoints.all():
                await before.rehearse_supervised(config, task, trainer, feed, gate, store.path)
                gate.decide(store, begins=not gate.only)
                if gate.only:
                    return Ending(step=0, outcome="stopped", why="checked")
            return await loop.go()
        finally:
            if engine is not None:
                await engine.close()


def streams(samples: Sequence[Sample], step: int, *, name: str = "sft", coefficient: float = 1.0) -> list[Stream]:
    """One supervised stream."""
    loss = Supervised()
    return [Stream(name=name, samples=samples, loss=loss, reduction=token_mean, coefficient=coefficient)]


def last_model(run: Run) -> Path | None:
    """The model directory of the newest checkpoint."""
    latest = run.checkpoints.latest()
    return latest.path / "model" if latest is not None else None


def best_model(run: Run) -> Path | None:
    """The model directory of the checkpoint that the guard liked best; of the newest where there was no guard."""
    best = run.checkpoints.best()
    return best.path / "model" if best is not None else last_model(run)


def summarize(run: Run) -> str:
    """First and last guard evaluation with their intervals, the newest model, and the best one if it is another."""
    rows = run.evaluations()
    lines = [describe_evaluation(row) for row in ([rows[0], rows[-1]] if len(rows) > 1 else rows)]
    lines.append(f"model: {last_model(run)}")
    best, latest = run.checkpoints.best(), run.checkpoints.latest()
    if best is not None and latest is not None and best.step != latest.step:
        lines.append(f"best of {len(rows)} evaluations, which flatters it: step {best.step}, {best.path / 'model'}")
    return "\n".join(lines)


def describe_evaluation(row: dict[str, Any]) -> str:
    """One line: step, accuracies with intervals, how the answers ended."""
    parts = [
        f"{name} {row[name]['mean']:.1%} [{row[name]['low']:.1%}, {row[name]['high']:.1%}]"
        for name in ("lenient", "strict")
        if row.get(name) is not None
    ]
    cut = f", cut at the limit {row['truncated']:.1%}" if row.get("truncated") else ""
    return f"step {row['step']:>4}: {', '.join(parts)} on {row['problems']} {row['task']}/{row['split']} problems{cut}"
