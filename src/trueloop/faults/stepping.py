"""Faults of the optimizer step: what should move does not, or moves the wrong way."""

from __future__ import annotations

from trueloop.faults import seams
from trueloop.faults.base import Fault
from trueloop.train.step import Trainer


def _nothing() -> None:
    pass


def _without_steps(trainer: Trainer) -> None:
    trainer._optimizer.step = _nothing  # type: ignore[method-assign, assignment]


FAULTS = (
    Fault(
        id="optimizer_never_steps",
        mechanism="frozen weights",
        what="the optimizer holds other parameters than those that are trained",
        caught_by=("liveness.tensors_moved",),
        recorded=("trl 1",),
        plant=lambda: seams.trainer(_without_steps),
    ),
)
