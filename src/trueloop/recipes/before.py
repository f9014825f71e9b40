"""What each recipe has checked before its first step: put together from the parts in `preflight`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trueloop.loop.flow import samples_per_problem
from trueloop.loop.online import Online
from trueloop.models import Policy
from trueloop.preflight.rehearsal import Rehearsal, problems_asked
from trueloop.preflight.stepping import stepping
from trueloop.records import CheckResult
from trueloop.store.run import Run
from trueloop.tasks.base import Task
from trueloop.verify.pool import VerifierPool

if TYPE_CHECKING:
    from trueloop.engines.local import LocalEngine
    from trueloop.loop.feed import Offline
    from trueloop.preflight.gate import Gate
    from trueloop.recipes import sampling, sft
    from trueloop.records import Sample
    from trueloop.train.step import Trainer


def has_begun(out: Path) -> bool:
    """Whether a run directory has a checkpoint, so that its checks were passed before."""
    return (out / "run.json").is_file() and bool(Run.open(out).checkpoints.all())


# -- recipes that sample


def static(config: sampling.Common, tasks: Mapping[str, Task], policy: Policy) -> Iterator[CheckResult]:
    """What can be asked before anything is sampled or trained."""
    yield from ()


async def rehearse(
    asking: sampling.Asking, engine: LocalEngine, online: Online, rehearsing: sampling.Rehearsing
) -> None:
    """Sample a small first batch as the run will, and ask what it tells; the run's own state is left as it was."""
    pool = VerifierPool(asking.pool.verifiers, workers=asking.pool.workers, max_error_share=1.0)
    try:
        rehearsal = await _rehearsal(asking, engine, online, rehearsing.learned, pool)
        async for result in _measured(rehearsal):
            rehearsing.gate.take([result])
    finally:
        pool.close()
    rehearsing.gate.require()


async def _rehearsal(
    asking: sampling.Asking, engine: LocalEngine, online: Online, learned: bool, pool: VerifierPool
) -> Rehearsal:
    flow, source, state = asking.config.flow, asking.source, asking.source.state()
    asked = problems_asked(flow.problems_per_step, samples_per_problem(flow.samples))
    tickets = [ticket for _ in range(asked) if (ticket := source.next()) is not None]
    source.restore(state)
    outcomes = await asking.producer(engine, pool).produce(tickets, 1)
    whole = [o.group for o in outcomes if o.filtered is None and o.failure is None and online.unfit(o.group) is None]
    credited, streams = online.credit(whole) if whole else ((), ())
    return Rehearsal(
        policy=asking.policy,
        trainer=online.trainer,
        engine=engine,
        tasks=asking.tasks,
        outcomes=outcomes,
        credited=credited,
        streams=streams,
        credit=online.credit,
        sampling=asking.config.draw.sampling(asking.first),
        learned=learned,
    )


async def _measured(rehearsal: Rehearsal) -> AsyncIterator[CheckResult]:
    async for result in stepping(rehearsal):
        yield result


# -- supervised fine-tuning


def static_supervised(config: sft.Config, task: Task, policy: Policy) -> Iterator[CheckResult]:
    """What can be asked before anything is trained."""
    yield from ()


async def rehearse_supervised(
    config: sft.Config, task: Task, trainer: Trainer, feed: Offline[Sample], gate: Gate
) -> None:
    """Try a first step on demonstrations, and ask what it tells."""
    gate.require()
