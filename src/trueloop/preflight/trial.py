"""One optimizer step that is tried: what it changed, and the policy at any length of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trueloop.checks.liveness import TensorStep
from trueloop.models import Policy
from trueloop.records import Sample
from trueloop.train.batch import Stream
from trueloop.train.optim import Optim, learning_rate
from trueloop.train.step import Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A step that was taken at the full learning rate, after any warm-up, from the weights `before`.

    changes    new minus old weights, by name, as `before` in the memory of the CPU
    steps      the tensors that had a gradient; unreached: names of the others
    outside    names of tensors outside of what is trained that changed, of `held`
    norm       of the gradient, before clipping
    lr         of the step; first_lr: of the run's first step, which warm-up makes smaller
    """

    trainer: Trainer
    before: Mapping[str, Tensor]
    changes: Mapping[str, Tensor]
    steps: Sequence[TensorStep]
    unreached: Sequence[str]
    outside: Sequence[str]
    held: int
    norm: float
    lr: float
    first_lr: float

    @property
    def altered(self) -> bool:
        """Whether interventions change gradients or updates."""
        chain = self.trainer.chain
        return bool(chain.having("gradients") or chain.having("update"))

    @torch.no_grad()
    def go(self, lr: float) -> None:
        """Bring the policy to where the step would have taken it at this learning rate; 0.0: to where it was."""
        for name, p in self.trainer.trainable.items():
            p.copy_(self.before[name])
            if lr:
                p.add_(self.changes[name].to(p.device), alpha=lr / self.lr)

    def relative(self, lr: float) -> float | None:
        """||change|| / ||weights|| at this learning rate, over matrices that are not 0; None without any."""
        whole = [name for name, p in self.before.items() if p.ndim >= 2 and bool(p.any())]
        if not whole:
            return None
        change = sum(float(self.changes[name].double().square().sum()) for name in whole)
        weight = sum(float(self.before[name].double().square().sum()) for name in whole)
        return math.sqrt(change / weight) * lr / self.lr


def take(trainer: Trainer, streams: Sequence[Stream], before: Mapping[str, Tensor]) -> Trial:
    """Take one step on the streams.  The caller undoes it: see `undone`, which gives `before`."""
    trainer.steps = trainer.optim.schedule.warmup
    gradients = trainer.backward(streams)
    others = outside(trainer.policy, trainer.trainable)
    lr = trainer.step(streams).lr
    changes = {name: p.detach().cpu() - before[name] for name, p in trainer.trainable.items()}
    reached = [name for name, g in gradients.items() if bool(g.any())]
    norm = norm_of(gradients)
    limit = trainer.optim.max_grad_norm
    scale = 1.0 if limit is None or norm <= limit else limit / norm
    now = outside(trainer.policy, trainer.trainable)
    return Trial(
        trainer=trainer,
        before=before,
        changes=changes,
        steps=[_measured(n, before[n], changes[n], gradients[n].cpu() * scale, trainer.optim, lr) for n in reached],
        unreached=[name for name in gradients if name not in reached],
        outside=[name for name in others if others[name] != now.get(name)],
        held=len(others),
        norm=norm,
        lr=lr,
        first_lr=learning_rate(trainer.optim, 0),
    )


def outside(policy: Policy, trainable: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """Hash of every parameter and buffer of the model that is not among `trainable`, by name."""
    own = {p.data_ptr() for p in trainable.values()}
    named = [*policy.model.named_parameters(), *policy.model.named_buffers()]
    return {name: _hash(t) for name, t in named if t.data_ptr() not in own}


def norm_of(gradients: Mapping[str, Tensor]) -> float:
    """L2 norm over all of them."""
    return math.sqrt(sum(float(g.double().square().sum()) for g in gradients.values()))


def totals(trainer: Trainer, samples: Sequence[Sample], temperature: float) -> list[float]:
    """Per sample the sum of its trained tokens' log-probabilities under the policy as it is."""
    return [math.fsum(column) for column in trainer.logprobs(samples, temperature)]


def _measured(name: str, before: Tensor, change: Tensor, g: Tensor, optim: Optim, lr: float) -> TensorStep:
    decay = optim.weight_decay * lr if before.ndim >= 2 else 0.0
    own = change + decay * before
    expected = lr * g.abs() / (g.abs() + optim.eps)
    large = expected > 0.5 * lr
    where = large if bool(large.any()) else g != 0
    moved, size = own[where].abs().double(), g[where].abs().double()
    spread = float(moved.mean() * size.mean())
    return TensorStep(
        name=name,
        reached=int(where.sum()),
        changed=int((change[where] != 0).sum()),
        moved=float(moved.mean()),
        expected=float(expected[where].double().mean()),
        along=float((own[where].double() * g[where].double()).mean()) / spread if spread else 0.0,
        weight=float(before.double().square().mean().sqrt()),
    )


def _hash(tensor: Tensor) -> tuple[int, int]:
    """Two sums over the bits: quick, and no change of a weight goes unseen by both."""
    bits = tensor.detach().contiguous().flatten().view(_BITS[tensor.element_size()]).long()
    return int(bits.sum()), int((bits * (bits % 65521)).sum())


_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
