"""Faults of the optimizer step: what should move does not, or moves by another amount."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from trueloop.faults import seams
from trueloop.faults.base import Fault
from trueloop.models import Policy
from trueloop.train import optim
from trueloop.train.step import Trainer


def _nothing() -> None:
    pass


def _without_steps(trainer: Trainer) -> None:
    trainer._optimizer.step = _nothing  # type: ignore[method-assign, assignment]


def _other_parameters(trainer: Trainer) -> None:
    """The optimizer holds copies of the last half of the parameters."""
    names = list(trainer.trainable)
    copies = {n: torch.nn.Parameter(p.detach().clone()) for n, p in trainer.trainable.items()}
    held = {n: p if k < len(names) // 2 else copies[n] for k, (n, p) in enumerate(trainer.trainable.items())}
    trainer._optimizer = optim.adamw(trainer.optim, held)


@contextmanager
def _frozen_group() -> Iterator[None]:
    """The learning rate reaches the first parameter group only; the others keep 0."""

    def first_only(optimizer: torch.optim.Optimizer, lr: float) -> None:
        for k, group in enumerate(optimizer.param_groups):
            group["lr"] = 0.0 if k else lr

    with mock.patch.object(optim, "set_learning_rate", first_only):
        yield


@contextmanager
def _fixed_rate(rate: float) -> Iterator[None]:
    """Whatever is configured, the optimizer steps at this learning rate."""

    def fixed(optimizer: torch.optim.Optimizer, lr: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = rate

    with mock.patch.object(optim, "set_learning_rate", fixed):
        yield


def _layers_frozen(share: float) -> Callable[[Policy], None]:
    def freeze(policy: Policy) -> None:
        parameters = list(policy.model.parameters())
        for p in parameters[: round(share * len(parameters))]:
            p.requires_grad_(False)

    return freeze


def _base_thawed(policy: Policy) -> None:
    for p in policy.model.parameters():
        p.requires_grad_(True)


def _buffers_drift(trainer: Trainer) -> None:
    """A step changes the base under the adapter."""
    own = trainer._optimizer.step
    base = next(p for p in trainer.policy.model.parameters() if not p.requires_grad)

    def step(*args: Any, **kwargs: Any) -> Any:
        with torch.no_grad():
            base.mul_(1.001)
        return own(*args, **kwargs)

    trainer._optimizer.step = step  # type: ignore[method-assign]


def _output_detached(policy: Policy) -> None:
    """Half of the layers are cut out of the graph."""
    layers = policy.base_model.model.layers
    layers[len(layers) // 2].register_forward_hook(
        lambda module, inputs, output: (
            output.detach() if isinstance(output, Tensor) else (output[0].detach(), *output[1:])
        )
    )


FROZEN, SIZE = "frozen weights", "step size"
KL = "kl={coefficient=0.05, estimator='k3', where='loss'}"

FAULTS = (
    Fault(
        id="optimizer_never_steps",
        mechanism=FROZEN,
        what="the optimizer's step is replaced by nothing",
        caught_by=("liveness.tensors_moved",),
        recorded=("trl 5",),
        plant=lambda: seams.trainer(_without_steps),
    ),
    Fault(
        id="optimizer_holds_copies",
        mechanism=FROZEN,
        what="the optimizer holds copies of half of the parameters that are trained",
        caught_by=("liveness.tensors_moved",),
        refused="optimizer state is of other parameters",
        plant=lambda: seams.trainer(_other_parameters),
    ),
    Fault(
        id="group_without_rate",
        mechanism=FROZEN,
        what="one of the optimizer's parameter groups has learning rate 0",
        caught_by=("liveness.tensors_moved",),
        plant=_frozen_group,
    ),
    Fault(
        id="most_layers_frozen",
        mechanism=FROZEN,
        what="most of the model was loaded frozen",
        caught_by=("liveness.trained_tensors",),
        recorded=("preference 8",),
        plant=lambda: seams.policy(_layers_frozen(0.8)),
    ),
    Fault(
        id="all_frozen",
        mechanism=FROZEN,
        what="the whole model was loaded frozen",
        caught_by=("liveness.trained_tensors",),
        refused="train at least one parameter",
        recorded=("preference 8",),
        plant=lambda: seams.policy(_layers_frozen(1.0)),
    ),
    Fault(
        id="adapter_not_trainable",
        mechanism=FROZEN,
        what="the adapter was loaded for inference, so none of it is trained",
        caught_by=("liveness.trained_tensors",),
        refused="train at least one parameter",
        recorded=("trl 3", "trl 4"),
        bed="lora",
        plant=lambda: seams.policy(_layers_frozen(1.0)),
    ),
    Fault(
        id="adapter_not_trainable_with_kl",
        mechanism=FROZEN,
        what="the adapter was loaded for inference, and a KL penalty is on",
        caught_by=("liveness.trained_tensors",),
        refused="train at least one parameter",
        recorded=("trl 3",),
        bed="lora",
        overrides=(KL,),
        plant=lambda: seams.policy(_layers_frozen(1.0)),
    ),
    Fault(
        id="adapter_targets_match_nothing",
        mechanism=FROZEN,
        what="the adapter's targets are modules of another model",
        recorded=("trl 15c",),
        refused="match no module",
        bed="lora",
        overrides=("adapter={kind='lora', rank=4, alpha=8, targets=['query_key_value']}",),
    ),
    Fault(
        id="base_trains_under_adapter",
        mechanism=FROZEN,
        what="the base under the adapter is trained with it, and only the adapter is saved",
        caught_by=("liveness.trained_tensors", "liveness.checkpoint_loads"),
        recorded=("preference 8",),
        bed="lora",
        plant=lambda: seams.policy(_base_thawed),
    ),
    Fault(
        id="base_drifts_under_adapter",
        mechanism=FROZEN,
        what="something writes into the frozen base at each step",
        caught_by=("liveness.frozen_tensors",),
        recorded=("preference 8",),
        bed="lora",
        plant=lambda: seams.trainer(_buffers_drift),
    ),
    Fault(
        id="layers_detached",
        mechanism=FROZEN,
        what="a detached activation keeps the gradient from the lower layers",
        caught_by=("liveness.tensors_moved",),
        plant=lambda: seams.policy(_output_detached),
    ),
    Fault(
        id="rate_vanishes",
        mechanism=SIZE,
        what="a learning rate of 1e-30",
        caught_by=("liveness.tensors_moved", "schedule.travel"),
        recorded=("trl 5", "belief 11"),
        overrides=("optim.lr=1e-30",),
    ),
    Fault(
        id="rate_explodes",
        mechanism=SIZE,
        what="a learning rate of 1e6",
        caught_by=("liveness.step_is_sane", "liveness.reward_rises"),
        recorded=("trl 12", "preference 19", "rlvr 19"),
        overrides=("optim.lr=1e6",),
    ),
    Fault(
        id="rate_much_too_high",
        mechanism=SIZE,
        what="a learning rate of 0.01, a hundred times too high",
        caught_by=("liveness.step_is_sane",),
        recorded=("trl 12", "rlvr 19", "hacking 17"),
        overrides=("optim.lr=1e-2",),
    ),
    Fault(
        id="sft_rate_explodes",
        mechanism=SIZE,
        what="supervised fine-tuning at a learning rate of 3",
        caught_by=("liveness.step_is_sane", "liveness.demonstrations_rise"),
        bed="sft",
        overrides=("optim.lr=3.0",),
    ),
    Fault(
        id="adapter_scale_explodes",
        mechanism=SIZE,
        what="alpha / rank of the adapter is 1000",
        caught_by=("liveness.step_is_sane", "schedule.adapter_scale"),
        recorded=("preference 19",),
        bed="lora",
        overrides=("adapter={kind='lora', rank=4, alpha=4000}",),
    ),
    Fault(
        id="configured_rate_not_used",
        mechanism=SIZE,
        what="the optimizer steps at 1e-7 whatever the configuration says",
        caught_by=("liveness.update_size",),
        recorded=("belief 12", "belief 11"),
        plant=lambda: _fixed_rate(1e-7),
    ),
)
