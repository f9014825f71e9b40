"""Faults of direction: what was rewarded, demonstrated or taught gets less likely, or is not what is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from torch import Tensor

from trueloop.faults import seams
from trueloop.faults.base import Fault
from trueloop.models.reference import AdapterOff, FrozenCopy
from trueloop.records import Group
from trueloop.train import batch
from trueloop.train.batch import Loss, Stream
from trueloop.train.step import Trainer


def _maximizing(trainer: Trainer) -> None:
    for group in trainer._optimizer.param_groups:
        group["maximize"] = True


def _negated(groups: Sequence[Group]) -> list[Group]:
    return [replace(g, advantages=tuple(-a for a in g.advantages or ())) for g in groups]


def _rotated(groups: Sequence[Group]) -> list[Group]:
    """Each advantage goes to the next rollout."""
    return [replace(g, advantages=(*(g.advantages or ())[1:], *(g.advantages or ())[:1])) for g in groups]


def _next_group(groups: Sequence[Group]) -> list[Group]:
    """Each group has the advantages of the next one."""
    return [replace(g, advantages=n.advantages) for g, n in zip(groups, [*groups[1:], *groups[:1]], strict=True)]


@dataclass(frozen=True, slots=True)
class _Flipped:
    """A loss with its sign turned round; its metrics stay as they are."""

    loss: Loss

    @property
    def needs_entropy(self) -> bool:
        return self.loss.needs_entropy

    @property
    def silent_at_zero_weight(self) -> bool:
        return self.loss.silent_at_zero_weight

    def __call__(self, out: batch.Outputs, rows: batch.Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        loss_BT, metrics = self.loss(out, rows)
        return -loss_BT, metrics


def _flip(streams: Sequence[Stream]) -> list[Stream]:
    return [replace(s, loss=_Flipped(s.loss)) for s in streams]  # type: ignore[arg-type]


def _silenced(streams: Sequence[Stream]) -> list[Stream]:
    return [replace(s, samples=[replace(x, weights=(0.0,) * len(x.tokens)) for x in s.samples]) for s in streams]


def _flip_all(trainer: Trainer) -> None:
    """Every loss that the trainer is given is turned round."""
    own_step, own_backward = trainer.step, trainer.backward
    trainer.step = lambda streams: own_step(_flip(streams))  # type: ignore[method-assign]
    trainer.backward = lambda streams, **k: own_backward(_flip(streams), **k)  # type: ignore[method-assign]


@contextmanager
def _moving_reference() -> Iterator[None]:
    """What the policy is held against is the policy as it is."""

    def own(reference: Any, samples: Any) -> Any:
        policy = getattr(reference, "_policy", None)
        from trueloop.models.samples import sample_logprobs

        return sample_logprobs(policy.model if policy is not None else reference._model, samples, **reference._scoring)

    with mock.patch.object(FrozenCopy, "logprobs", own), mock.patch.object(AdapterOff, "logprobs", own):
        yield


DIRECTION = "direction"
KL = "kl={coefficient=0.05, estimator='k3', where='loss'}"
MIX = "sft_mix={rows_per_step=8, coefficient=%g}"

FAULTS = (
    Fault(
        id="credit_negated",
        mechanism=DIRECTION,
        what="advantages have the wrong sign",
        caught_by=("liveness.credit_follows_reward", "liveness.reward_rises"),
        plant=lambda: seams.credit(_negated),
    ),
    Fault(
        id="credit_shifted",
        mechanism=DIRECTION,
        what="each advantage goes to the next completion of its group",
        caught_by=("liveness.credit_follows_reward", "liveness.reward_rises"),
        plant=lambda: seams.credit(_rotated),
    ),
    Fault(
        id="credit_of_next_group",
        mechanism=DIRECTION,
        what="each group gets the advantages of the next one",
        caught_by=("liveness.credit_follows_reward", "liveness.reward_rises"),
        plant=lambda: seams.credit(_next_group),
    ),
    Fault(
        id="loss_negated",
        mechanism=DIRECTION,
        what="the policy loss has the wrong sign",
        caught_by=("liveness.reward_rises",),
        plant=lambda: seams.streams(_flip),
    ),
    Fault(
        id="loss_negated_in_trainer",
        mechanism=DIRECTION,
        what="supervised fine-tuning with the sign of its loss turned round",
        caught_by=("liveness.demonstrations_rise",),
        bed="sft",
        plant=lambda: seams.trainer(_flip_all),
    ),
    Fault(
        id="divergence_negated",
        mechanism=DIRECTION,
        what="the student is driven away from its teacher",
        caught_by=("liveness.divergence_falls",),
        bed="distill",
        plant=lambda: seams.streams(_flip),
    ),
    Fault(
        id="hint_beyond_the_teachers_context",
        mechanism="teacher cannot read",
        what="a hint so long that the teacher cannot read the row after it",
        caught_by=("sampling.lost",),
        recorded=("rlvr 30",),
        bed="distill",
        overrides=(f"hint.template='H: {{target}} {'and again ' * 60}\\n{{prompt}}'",),
    ),
    Fault(
        id="optimizer_maximizes",
        mechanism=DIRECTION,
        what="the optimizer maximizes the loss",
        caught_by=("liveness.downhill", "liveness.reward_rises"),
        plant=lambda: seams.trainer(_maximizing),
    ),
    Fault(
        id="sft_optimizer_maximizes",
        mechanism=DIRECTION,
        what="the optimizer maximizes the loss of supervised fine-tuning",
        caught_by=("liveness.downhill", "liveness.demonstrations_rise"),
        bed="sft",
        plant=lambda: seams.trainer(_maximizing),
    ),
    Fault(
        id="rollouts_without_weight",
        mechanism=DIRECTION,
        what="the rollouts' weights are lost, so only the demonstrations beside them are trained",
        caught_by=("liveness.streams_reach", "liveness.credit_follows_reward"),
        overrides=(MIX % 1.0,),
        plant=lambda: seams.streams(_silenced),
    ),
    Fault(
        id="mix_swamps",
        mechanism=DIRECTION,
        what="demonstrations beside the rollouts have a coefficient that drowns them",
        caught_by=("liveness.streams_reach",),
        overrides=(MIX % 1e6,),
    ),
    Fault(
        id="mix_is_swamped",
        mechanism=DIRECTION,
        what="demonstrations beside the rollouts have a coefficient at which they do nothing",
        caught_by=("liveness.streams_reach",),
        overrides=(MIX % 1e-9,),
    ),
    Fault(
        id="reference_follows_policy",
        mechanism=DIRECTION,
        what="the frozen reference is the policy itself, so the KL penalty holds nothing",
        caught_by=("liveness.reference_held",),
        recorded=("belief 10",),
        overrides=(KL,),
        plant=_moving_reference,
    ),
)
