"""Losses that are wrong by one line, around a right one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trueloop.formulas import policy
from trueloop.train.batch import Batch, Outputs


@dataclass(frozen=True, slots=True)
class Wrong:
    """A right loss, to be changed."""

    right: Any

    @property
    def needs_entropy(self) -> bool:
        """As the right one."""
        return bool(self.right.needs_entropy)

    @property
    def silent_at_zero_weight(self) -> bool:
        """As the right one."""
        return bool(self.right.silent_at_zero_weight)

    def __call__(self, out: Outputs, batch: Batch) -> tuple[Tensor, Any]:
        """Loss and metrics per token, [B, T]."""
        loss_BT, metrics = self.right(out, batch)
        return self.change(loss_BT, out, batch), metrics

    def change(self, loss_BT: Tensor, out: Outputs, batch: Batch) -> Tensor:
        """What becomes of the right loss."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Scaled(Wrong):
    """Times a factor: doubled, or with its sign turned."""

    factor: float = 2.0

    def change(self, loss_BT: Tensor, out: Outputs, batch: Batch) -> Tensor:
        """See the class."""
        return self.factor * loss_BT


@dataclass(frozen=True, slots=True)
class Detached(Wrong):
    """The ratio is taken out of the graph, so that nothing is left to differentiate."""

    def change(self, loss_BT: Tensor, out: Outputs, batch: Batch) -> Tensor:
        """See the class."""
        return loss_BT.detach() + 0.0 * out.logp_BT


@dataclass(frozen=True, slots=True)
class MicroBatchMean(Wrong):
    """Divided by the tokens of the micro-batch, whatever they are in the step."""

    def change(self, loss_BT: Tensor, out: Outputs, batch: Batch) -> Tensor:
        """See the class."""
        return loss_BT / batch.mask_BT.sum() * 100


@dataclass(frozen=True, slots=True)
class PaddedMean(Wrong):
    """Divided by the columns of the batch, padding included."""

    def change(self, loss_BT: Tensor, out: Outputs, batch: Batch) -> Tensor:
        """See the class."""
        return loss_BT / loss_BT.shape[1] * 10


@dataclass(frozen=True, slots=True)
class BatchBaseline(Wrong):
    """The mean loss of the micro-batch is taken off, so that batch mates count."""

    def change(self, loss_BT: Tensor, out: Outputs, batch: Batch) -> Tensor:
        """See the class."""
        return loss_BT - 0.5 * (loss_BT * batch.mask_BT).sum() / batch.mask_BT.sum()


@dataclass(frozen=True, slots=True)
class WithKl(Wrong):
    """The KL penalty is another one: `kind` says which mistake was made."""

    kind: str = "sign"
    coefficient: float = 0.1

    def change(self, loss_BT: Tensor, out: Outputs, batch: Batch) -> Tensor:
        """See the class."""
        assert batch.ref_logp_BT is not None
        right_BT = self.coefficient * policy.kl_k3(out.logp_BT, batch.ref_logp_BT)
        bare_BT = loss_BT - right_BT
        if self.kind == "sign":
            return bare_BT - right_BT
        if self.kind == "reversed":
            return bare_BT + self.coefficient * policy.kl_k3(batch.ref_logp_BT, out.logp_BT)
        if self.kind == "detached":
            return bare_BT + self.coefficient * policy.kl_k3(out.logp_BT.detach(), batch.ref_logp_BT)
        return bare_BT + (100.0 if self.kind == "hundredfold" else 0.0) * right_BT


@dataclass(frozen=True, slots=True)
class SquaredRatio(Wrong):
    """The ratio enters twice: r^2 A."""

    def change(self, loss_BT: Tensor, out: Outputs, batch: Batch) -> Tensor:
        """See the class."""
        assert batch.old_logp_BT is not None
        return -torch.exp(2 * (out.logp_BT - batch.old_logp_BT)) * batch.weights_BT
