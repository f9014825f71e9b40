"""What each recipe has checked before its first step: put together from the parts in `preflight`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trueloop.config import plain
from trueloop.loop.flow import samples_per_problem
from trueloop.loop.online import Online
from trueloop.models import Policy
from trueloop.preflight import stepping, weights
from trueloop.preflight.numerics import numerics
from trueloop.preflight.prompts import Evaluated, formats, prompting
from trueloop.preflight.rehearsal import Rehearsal, problems_asked
from trueloop.preflight.sampled import sampled
from trueloop.preflight.tasks import completion_checks
from trueloop.recipes import affording, reading, wiring
from trueloop.records import CheckResult
from trueloop.store.run import Run
from trueloop.tasks.base import Demonstration, Task
from trueloop.verify.pool import VerifierPool

if TYPE_CHECKING:
    from trueloop.engines.local import LocalEngine
    from trueloop.loop.feed import Feed, Offline
    from trueloop.preflight.gate import Gate
    from trueloop.recipes import sampling, sft
    from trueloop.records import Sample
    from trueloop.train.batch import Stream
    from trueloop.train.step import Trainer


def has_begun(out: Path) -> bool:
    """Whether a run directory has a checkpoint, so that its checks were passed before."""
    return (out / "run.json").is_file() and bool(Run.open(out).checkpoints.all())


# -- recipes that sample


def static(config: sampling.Common, tasks: Mapping[str, Task], policy: Policy, out: Path) -> Iterator[CheckResult]:
    """What can be asked before anything is sampled or trained, and written to `out`."""
    yield weights.finite(policy)
    yield stepping.trained(policy, policy.trainable())
    yield from affording.sampled(config, tasks, policy, out)
    yield from reading.sampled(config, tasks, policy)
    shots = round(config.shots.value(0))
    for k, part in enumerate(config.tasks.parts):
        task = tasks[part.task.build().name]
        guard = _evaluated(config.guard, task) if k == 0 else None
        for result in formats(task, part.split, policy, shots=shots, guard=guard):
            yield result if len(tasks) == 1 else replace(result, evidence=f"{task.name}: {result.evidence}")


async def rehearse(
    asking: sampling.Asking,
    engine: LocalEngine,
    online: Online,
    rehearsing: sampling.Rehearsing,
    place: Path,
    beside: Feed | None = None,
) -> None:
    """Sample a small first batch as the run will, and ask what it tells; the run's own state is left as it was.

    place   the run's directory
    beside  the feed that fills steps beside the rollouts
    """
    pool = VerifierPool(asking.pool.verifiers, workers=asking.pool.workers, max_error_share=1.0)
    try:
        with rehearsing.gate.trying():
            rehearsal = await _rehearsal(asking, engine, online, rehearsing.learned, pool)
            streams = await _first_streams(beside) if beside is not None else ()
            rehearsal = replace(rehearsal, place=place, beside=streams)
            errors, leniency = asking.config.max_verifier_errors, asking.config.leniency.value(0)
            rehearsing.gate.take(await completion_checks(rehearsal, most_errors=errors, leniency=leniency))
            async for result in _measured(rehearsal):
                rehearsing.gate.take([result])
    finally:
        pool.close()


async def _rehearsal(
    asking: sampling.Asking, engine: LocalEngine, online: Online, learned: bool, pool: VerifierPool
) -> Rehearsal:
    flow, source, state = asking.config.flow, asking.source, asking.source.state()
    asked = problems_asked(flow.problems_per_step, samples_per_problem(flow.samples))
    tickets = [ticket for _ in range(asked) if (ticket := source.next()) is not None]
    source.restore(state)
    outcomes = await asking.producer(engine, pool).produce(tickets, 1)
    judged = [(o.group, online.unfit(o.group)) for o in outcomes if o.filtered is None and o.failure is None]
    whole = [group for group, unfit in judged if unfit is None]
    credited, streams = online.credit(whole) if whole else ((), ())
    return Rehearsal(
        policy=asking.policy,
        trainer=online.trainer,
        engine=engine,
        tasks=asking.tasks,
        outcomes=outcomes,
        unfit=[reason for _, reason in judged if reason is not None],
        credited=credited,
        streams=streams,
        credit=online.credit,
        sampling=asking.config.draw.sampling(asking.first),
        demonstrations=asking.demonstrations(),
        flow=flow,
        shots=round(asking.config.shots.value(0)),
        prompt=lambda problem: asking.prompt(problem, 1),
        grade=lambda problem, text: pool.score(problem, text, leniency=asking.config.leniency.value(0)),
        learned=learned,
        rewarded=hasattr(asking.config, "advantage"),
        configured=plain(asking.config),
        drifting=getattr(getattr(asking.config, "teacher", None), "kind", None) == "present",
    )


async def _first_streams(feed: Feed) -> Sequence[Stream]:
    """What a feed fills its first step with; it is left as it was."""
    state = feed.state()
    fill = await feed.next(1)
    feed.restore(state)
    return fill.streams if fill is not None else ()


async def _measured(rehearsal: Rehearsal) -> AsyncIterator[CheckResult]:
    async for result in prompting(rehearsal):
        yield result
    async for result in sampled(rehearsal):
        yield result
    async for result in numerics(rehearsal):
        yield result
    async for result in stepping.stepping(rehearsal):
        yield result


def _evaluated(guard: wiring.Evaluating | None, task: Task) -> Evaluated | None:
    """How the guard asks."""
    if guard is None:
        return None
    drawn = guard.draw.sampling(task)
    return Evaluated(split=guard.split, stops=drawn.stop, max_tokens=drawn.max_tokens)


# -- supervised fine-tuning


def static_supervised(config: sft.Config, task: Task, policy: Policy, out: Path) -> Iterator[CheckResult]:
    """What can be asked before anything is trained, and written to `out`."""
    yield weights.finite(policy)
    yield stepping.trained(policy, policy.trainable())
    yield from affording.supervised(config, task, policy, out)
    yield from reading.supervised(config, task, policy)
    yield from formats(task, config.split, policy, guard=_evaluated(config.guard, task))


async def rehearse_supervised(
    config: sft.Config, task: Task, trainer: Trainer, feed: Offline[Sample], gate: Gate, place: Path
) -> None:
    """Try a first step on demonstrations, and ask what it tells; the run's own state is left as it was."""
    engine = wiring.open_engine(config.engine, trainer.policy)
    try:
        with gate.trying():
            await engine.load_weights(trainer.policy.engine_weights(), trainer.version)
            rehearsal = Rehearsal(
                policy=trainer.policy,
                trainer=trainer,
                engine=engine,
                tasks={task.name: task},
                outcomes=(),
                credited=(),
                streams=await _first_streams(feed),
                credit=lambda groups: ((), ()),
                sampling=task.sampling(),
                configured=plain(config),
                demonstrations=_imitated(config, task),
                place=place,
            )
            async for result in _measured_supervised(rehearsal):
                gate.take([result])
    finally:
        await engine.close()


def _imitated(config: sft.Config, task: Task) -> list[Demonstration]:
    """What is trained on, hints and all."""
    from trueloop.recipes.sft import demonstrations

    rows = demonstrations(config, task)
    return rows if config.hint is None else config.hint.among(rows)


async def _measured_supervised(rehearsal: Rehearsal) -> AsyncIterator[CheckResult]:
    async for result in prompting(rehearsal):
        yield result
    async for result in numerics(rehearsal):
        yield result
    async for result in stepping.stepping(rehearsal):
        yield result
