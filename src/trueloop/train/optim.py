"""AdamW, learning-rate schedules and gradient clipping: pure functions of the step wherever they can be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import Parameter

from trueloop.config import Config
from trueloop.errors import ModelError, TrainingError


class Constant(Config):
    """The full learning rate after `warmup` steps of linear rise."""

    kind: Literal["constant"] = "constant"
    warmup: int = Field(default=0, ge=0)


class Linear(Config):
    """A straight line from the full learning rate, after `warmup`, to `final` times it at step `steps`."""

    kind: Literal["linear"] = "linear"
    steps: int = Field(ge=1)
    final: float = Field(default=0.0, ge=0.0, le=1.0)
    warmup: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _decays(self) -> Linear:
        return _require_decay(self)


class Cosine(Config):
    """Half a cosine from the full learning rate, after `warmup`, to `final` times it at step `steps`."""

    kind: Literal["cosine"] = "cosine"
    steps: int = Field(ge=1)
    final: float = Field(default=0.0, ge=0.0, le=1.0)
    warmup: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _decays(self) -> Cosine:
        return _require_decay(self)


Schedule = Annotated[Constant | Linear | Cosine, Field(discriminator="kind")]


class Optim(Config):
    """AdamW (arXiv:1711.05101).

    lr             the full learning rate; without warm-up, 5e-4 and more can destroy a policy in one step
    weight_decay   decoupled, on every trained parameter but biases and norm weights (those of fewer than two
                   dimensions), as the Hugging Face Trainer and TRL do it; embeddings are decayed
    max_grad_norm  L2 norm of the whole gradient above which it is scaled down; None: no clipping
    """

    lr: float = Field(gt=0.0)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0.0)
    weight_decay: float = Field(default=0.0, ge=0.0)
    max_grad_norm: float | None = Field(default=None, gt=0.0)
    schedule: Schedule = Constant()

    @model_validator(mode="after")
    def _betas_are_rates(self) -> Optim:
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), got {self.betas}")
        return self


def learning_rate(optim: Optim, step: int) -> float:
    """The learning rate of the `step`-th optimizer step, counted from 0.

    During warm-up it is (step + 1) / (warmup + 1) of the full rate, so no step is spent at 0 and step `warmup`
    is the first at the full rate.
    """
    schedule = optim.schedule
    if step < schedule.warmup:
        return optim.lr * (step + 1) / (schedule.warmup + 1)
    if isinstance(schedule, Constant):
        return optim.lr
    done = min(1.0, (step - schedule.warmup) / (schedule.steps - schedule.warmup))
    left = 1.0 - done if isinstance(schedule, Linear) else 0.5 * (1.0 + math.cos(math.pi * done))
    return optim.lr * (schedule.final + (1.0 - schedule.final) * left)


def adamw(optim: Optim, trainable: Mapping[str, Parameter]) -> torch.optim.AdamW:
    """The optimizer over named parameters, which must be float32: they are the master weights.

    Raises `ModelError` for a parameter of another type, whose updates would be rounded away.
    """
    wrong = {name: p.dtype for name, p in trainable.items() if p.dtype != torch.float32}
    if wrong:
        name, dtype = next(iter(wrong.items()))
        raise ModelError(
            f"{len(wrong)} trained parameters are not float32 (the first: {name!r} is {dtype}); load the policy with "
            "dtype float32 and choose bfloat16 as batching.compute_dtype instead"
        )
    decayed = [p for p in trainable.values() if p.ndim >= 2]
    exempt = [p for p in trainable.values() if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": optim.weight_decay},
        {"params": exempt, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=optim.lr, betas=optim.betas, eps=optim.eps, fused=True
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Use `lr` from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = lr


NORM_BLOCK = 2**20
"""Values that are held in float64 at once."""


def gradient_norm(gradients: Mapping[str, Tensor]) -> float:
    """L2 norm over all named gradients together, 0 only if all are; nan or inf where one of them holds such a value.

    In float64, where the square of no float32 value vanishes or overflows, a block at a time.
    """
    blocks = (block for g in gradients.values() for block in g.flatten().split(NORM_BLOCK))
    norms = torch.stack([torch.linalg.vector_norm(block, dtype=torch.float64) for block in blocks])
    return float(torch.linalg.vector_norm(norms))


def clip(gradients: Mapping[str, Tensor], norm: float, max_norm: float | None) -> None:
    """Scale the gradients in place so that their norm, which is `norm` now, does not exceed `max_norm`."""
    if max_norm is not None and norm > max_norm:
        torch._foreach_mul_(list(gradients.values()), max_norm / norm)


def moments(optimizer: torch.optim.AdamW, trainable: Mapping[str, Parameter]) -> dict[str, Tensor]:
    """AdamW's state by parameter name: `<name>/mean`, `<name>/square`, `<name>/step`; empty before the first step.

    Raises `TrainingError` if a moment is not float32.
    """
    state: dict[str, Tensor] = {}
    for name, parameter in trainable.items():
        if entry := optimizer.state.get(parameter):
            state |= {f"{name}/{ours}": entry[theirs] for ours, theirs in _MOMENTS.items()}
    wrong = [name for name, value in state.items() if value.dtype != torch.float32]
    if wrong:
        raise TrainingError(f"optimizer state {wrong[0]!r} is {state[wrong[0]].dtype}, not float32")
    return state


def load_moments(optimizer: torch.optim.AdamW, trainable: Mapping[str, Parameter], state: Mapping[str, Tensor]) -> None:
    """Take over what `moments` returned.  Raises `TrainingError` if it belongs to other parameters."""
    expected = {f"{name}/{ours}" for name in trainable for ours in _MOMENTS} if state else set()
    if expected != set(state):
        odd = sorted(expected ^ set(state))
        raise TrainingError(
            f"optimizer state is of other parameters: {len(odd)} names differ, the first is {odd[0]!r}; "
            "resume with the model and adapter that were trained"
        )
    optimizer.state.clear()
    for name, parameter in trainable.items() if state else ():
        optimizer.state[parameter] = {
            theirs: state[f"{name}/{ours}"].detach().to(parameter.device, copy=True)
            for ours, theirs in _MOMENTS.items()
        }


_Decaying = TypeVar("_Decaying", Linear, Cosine)

_MOMENTS = {"mean": "exp_avg", "square": "exp_avg_sq", "step": "step"}


def _require_decay(schedule: _Decaying) -> _Decaying:
    if schedule.steps <= schedule.warmup:
        raise ValueError(f"steps ({schedule.steps}) must be more than warmup ({schedule.warmup}): nothing would decay")
    return schedule
