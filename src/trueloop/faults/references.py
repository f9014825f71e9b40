"""Faults of what a run starts from: policy, reference, and the old log-probabilities of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import torch

from trueloop.faults import claims, seams
from trueloop.faults.base import Fault
from trueloop.faults.numerics import continued
from trueloop.models import Policy
from trueloop.models.reference import FrozenCopy
from trueloop.recipes import rlvr
from trueloop.records import Sample
from trueloop.train.batch import Stream
from trueloop.train.step import Trainer

RATIO = ("numerics.ratio_starts_at_one",)
REFERENCE = ("numerics.reference_is_policy",)
COOL = "draw.temperature=0.6"
KL = "kl={coefficient=0.1}"


@contextmanager
def _reference(change: Callable[[FrozenCopy], None]) -> Iterator[None]:
    """The recipe's frozen reference is changed once it is made."""
    original = rlvr._reference

    def made(config: Any, policy: Policy) -> Any:
        reference = original(config, policy)
        assert isinstance(reference, FrozenCopy)
        change(reference)
        return reference

    with mock.patch.object(rlvr, "_reference", made):
        yield


def _other_model(reference: FrozenCopy) -> None:
    reference._copy = claims.perturbed(reference._copy, share=0.05)


def _at_one(reference: FrozenCopy) -> None:
    reference._scoring["temperature"] = 1.0


def _samples(change: Callable[[Sample], Sample]) -> Callable[[], AbstractContextManager[Any]]:
    """Every row that the recipe gives the trainer is changed."""

    def changed(streams: Sequence[Stream]) -> list[Stream]:
        return [replace(s, samples=[change(sample) for sample in s.samples]) for s in streams]

    return lambda: seams.streams(changed)


def _rolled(values: tuple[float, ...] | None, by: int = 1) -> tuple[float, ...] | None:
    return values and values[-by:] + values[:-by]


def _defaults(sample: Sample) -> Sample:
    ref = sample.ref_logprobs or ()
    return replace(sample, ref_logprobs=tuple(0.0 if k % 5 == 4 else v for k, v in enumerate(ref)))


def _hot_scores(trainer: Trainer) -> None:
    logprobs = trainer.logprobs
    trainer.logprobs = lambda samples, temperature=1.0: logprobs(samples, 1.0)  # type: ignore[method-assign]


@torch.no_grad()
def _fresh(policy: Policy) -> None:
    dice = torch.Generator().manual_seed(3)
    for p in policy.model.parameters():
        if p.ndim > 1:
            p.copy_(0.02 * torch.randn(p.shape, generator=dice))


def _restless(trainer: Trainer) -> None:
    trainer.policy.base_model.base_model.register_forward_hook(_dropping)


def _dropping(module: Any, inputs: Any, output: Any) -> Any:
    output.last_hidden_state = torch.nn.functional.dropout(output.last_hidden_state, 0.05, training=True)
    return output


FAULTS = (
    Fault(
        id="trainer_ignores_temperature",
        mechanism="temperature",
        what="the trainer scores at temperature 1 what was drawn at 0.6",
        caught_by=RATIO,
        recorded=("rlvr 1", "rlvr 2"),
        overrides=(COOL,),
        plant=lambda: seams.streams(lambda streams: [replace(s, temperature=1.0) for s in streams]),
    ),
    Fault(
        id="trainer_scores_at_one",
        mechanism="temperature",
        what="the trainer's log-probabilities ignore the temperature that they are asked for",
        caught_by=("numerics.trainer_forward",),
        overrides=(COOL,),
        plant=lambda: seams.trainer(_hot_scores),
    ),
    Fault(
        id="fresh_weights",
        mechanism="weights of the policy",
        what="the checkpoint is not loaded and training starts from random weights",
        caught_by=("numerics.untrained_weights",),
        recorded=("rlvr 12", "rlvr 13"),
        plant=lambda: seams.policy(_fresh),
    ),
    Fault(
        id="dropout_while_scoring",
        mechanism="random forward",
        what="dropout is on while log-probabilities are computed",
        caught_by=("numerics.trainer_forward",),
        bed="lora",
        plant=lambda: seams.trainer(_restless),
    ),
    Fault(
        id="old_logprobs_shifted",
        mechanism="alignment",
        what="the rows' old log-probabilities are one token off",
        caught_by=RATIO,
        plant=_samples(lambda s: replace(s, logprobs=_rolled(s.logprobs))),
    ),
    Fault(
        id="reference_is_another_model",
        mechanism="reference",
        what="the reference was loaded from another checkpoint",
        caught_by=REFERENCE,
        recorded=("rlvr 12", "belief 10"),
        overrides=(KL,),
        plant=lambda: _reference(_other_model),
    ),
    Fault(
        id="reference_at_temperature_1",
        mechanism="reference",
        what="the reference scores at temperature 1, policy and sampler at 0.6",
        caught_by=REFERENCE,
        recorded=("rlvr 1",),
        overrides=(KL, COOL),
        plant=lambda: _reference(_at_one),
    ),
    Fault(
        id="reference_without_trained_adapter",
        mechanism="reference",
        what="the run continues an adapter and its reference is the base without it",
        caught_by=REFERENCE,
        recorded=("preference 6", "preference 9", "belief 10"),
        bed="lora",
        overrides=(KL,),
        plant=lambda: seams.policy(continued),
    ),
    Fault(
        id="reference_defaults",
        mechanism="reference",
        what="reference log-probabilities that are missing count as 0",
        caught_by=REFERENCE,
        recorded=("rlvr 3", "rlvr 27"),
        overrides=(KL,),
        plant=_samples(_defaults),
    ),
    Fault(
        id="reference_shifted",
        mechanism="reference",
        what="reference log-probabilities are one token off",
        caught_by=REFERENCE,
        overrides=(KL,),
        plant=_samples(lambda s: replace(s, ref_logprobs=_rolled(s.ref_logprobs))),
    ),
)
