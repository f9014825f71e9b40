"""One optimizer step, tried and taken back: what moves, in which direction, and whether the sampler follows."""

from __future__ import annotations

from collections.abc import AsyncIterator

from trueloop.checks import liveness
from trueloop.preflight.rehearsal import Rehearsal
from trueloop.preflight.undo import undone
from trueloop.records import CheckResult


async def stepping(rehearsal: Rehearsal) -> AsyncIterator[CheckResult]:
    """The liveness checks."""
    trainer = rehearsal.trainer
    with undone(trainer):
        before = {name: p.detach().clone() for name, p in trainer.trainable.items()}
        gradients = trainer.backward(rehearsal.streams)
        trainer.step(rehearsal.streams)
        reached = [name for name, g in gradients.items() if bool(g.any())]
        moved = [name for name in reached if not trainer.trainable[name].equal(before[name])]
        yield liveness.tensors_moved(moved, [name for name in reached if name not in moved])
