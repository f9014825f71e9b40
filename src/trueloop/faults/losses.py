"""Faults of losses: their terms, bounds, penalties and denominators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from trueloop.faults import formulas, seams
from trueloop.faults.base import Fault
from trueloop.train.batch import Stream

FOLLOWS = ("numerics.loss_follows_weights",)
BOUNDS = ("numerics.clip_bounds",)
PENALTY = ("numerics.kl_penalty",)
LAYOUT = ("numerics.layout_invariant",)
REDUCTION = ("numerics.reduction",)
KL = "kl={coefficient=0.1}"
Plant = Callable[[], AbstractContextManager[Any]]


def _streams(change: Callable[[Stream], Stream]) -> Plant:
    return lambda: seams.streams(lambda streams: [change(s) for s in streams])


def _loss(wrong: Callable[[Any], Any]) -> Plant:
    return _streams(lambda s: replace(s, loss=wrong(s.loss)))


def _loud(scale: float) -> Callable[[Sequence[int]], list[float]]:
    return lambda lengths: [scale for _ in lengths]


FAULTS = (
    Fault(
        id="loss_sign_turned",
        mechanism="loss term",
        what="the policy loss is maximised",
        caught_by=FOLLOWS,
        plant=_loss(lambda right: formulas.Scaled(right, factor=-1.0)),
    ),
    Fault(
        id="loss_doubled",
        mechanism="loss term",
        what="the policy loss is counted twice",
        caught_by=FOLLOWS,
        plant=_loss(lambda right: formulas.Scaled(right, factor=2.0)),
    ),
    Fault(
        id="ratio_detached",
        mechanism="loss term",
        what="the ratio is computed without gradient",
        caught_by=FOLLOWS,
        plant=_loss(formulas.Detached),
    ),
    Fault(
        id="ratio_squared",
        mechanism="loss term",
        what="the importance ratio enters the loss twice",
        caught_by=FOLLOWS,
        plant=_loss(formulas.SquaredRatio),
    ),
    Fault(
        id="cispo_cap_is_epsilon",
        mechanism="clip bounds",
        what="an epsilon of 0.2 is given as the cap of the ratio, which is near 1",
        caught_by=FOLLOWS,
        overrides=("loss={kind='cispo', max_ratio=0.2}",),
    ),
    Fault(
        id="clips_everything",
        mechanism="clip bounds",
        what="epsilon is 0",
        caught_by=(*BOUNDS, *FOLLOWS),
        recorded=("rlvr 18",),
        overrides=("loss={kind='clip', low=0.0, high=0.0}",),
    ),
    Fault(
        id="clips_nothing",
        mechanism="clip bounds",
        what="epsilon is 20, as if it were a percentage",
        caught_by=BOUNDS,
        overrides=("loss={kind='clip', low=0.2, high=20.0}",),
    ),
    Fault(
        id="kl_subtracted",
        mechanism="KL penalty",
        what="the KL penalty is subtracted from the loss",
        caught_by=PENALTY,
        recorded=("rlvr 5",),
        overrides=(KL,),
        plant=_loss(lambda right: formulas.WithKl(right, kind="sign")),
    ),
    Fault(
        id="k3_reversed",
        mechanism="KL penalty",
        what="k3 has log pi - log ref in its exponent",
        caught_by=PENALTY,
        recorded=("rlvr 5", "rlvr 6"),
        overrides=(KL,),
        plant=_loss(lambda right: formulas.WithKl(right, kind="reversed")),
    ),
    Fault(
        id="kl_left_out",
        mechanism="KL penalty",
        what="the reference is computed and the loss does not read it",
        caught_by=PENALTY,
        recorded=("belief 12",),
        overrides=(KL,),
        plant=_loss(lambda right: formulas.WithKl(right, kind="left out")),
    ),
    Fault(
        id="kl_hundredfold",
        mechanism="KL penalty",
        what="the KL coefficient is a hundred times what is configured",
        caught_by=PENALTY,
        recorded=("belief 12", "hacking 8"),
        overrides=(KL,),
        plant=_loss(lambda right: formulas.WithKl(right, kind="hundredfold")),
    ),
    Fault(
        id="kl_without_gradient",
        mechanism="KL penalty",
        what="the KL penalty is added without gradient: it is reported and does nothing",
        caught_by=PENALTY,
        overrides=(KL,),
        plant=_loss(lambda right: formulas.WithKl(right, kind="detached")),
    ),
    Fault(
        id="k1_in_the_loss",
        mechanism="KL penalty",
        what="the k1 estimator as a loss, which has no gradient in expectation",
        caught_by=PENALTY,
        overrides=("kl={coefficient=0.1, estimator='k1'}",),
    ),
    Fault(
        id="mean_of_each_micro_batch",
        mechanism="denominator",
        what="the loss is averaged over the tokens of each micro-batch",
        caught_by=LAYOUT,
        recorded=("rlvr 17",),
        plant=_loss(formulas.MicroBatchMean),
    ),
    Fault(
        id="mean_over_padding",
        mechanism="denominator",
        what="the loss is averaged over columns, padding included",
        caught_by=(*LAYOUT, "numerics.samples_are_apart"),
        recorded=("rlvr 17",),
        plant=_loss(formulas.PaddedMean),
    ),
    Fault(
        id="batch_mates_in_the_loss",
        mechanism="denominator",
        what="the mean loss of the micro-batch is subtracted",
        caught_by=(*LAYOUT, "numerics.samples_are_apart"),
        plant=_loss(formulas.BatchBaseline),
    ),
    Fault(
        id="sum_over_the_batch",
        mechanism="denominator",
        what="the loss is a sum over all tokens",
        caught_by=REDUCTION,
        plant=_streams(lambda s: replace(s, reduction=_loud(1.0))),
    ),
    Fault(
        id="coefficient_0",
        mechanism="denominator",
        what="the stream's coefficient is 0",
        caught_by=REDUCTION,
        plant=_streams(lambda s: replace(s, coefficient=0.0)),
    ),
)
