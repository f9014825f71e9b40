"""Losses of recipes that imitate: supervised tokens, and distributions of a teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from trueloop.config import Config
from trueloop.errors import DataError
from trueloop.formulas import distill
from trueloop.train.batch import Batch, Outputs


@dataclass(frozen=True, slots=True)
class Supervised:
    """Cross-entropy of the sample's own tokens, times their weights."""

    needs_entropy: bool = False
    silent_at_zero_weight: bool = True

    def __call__(self, out: Outputs, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss per token [B, T] and its unweighted value as `nll`."""
        nll_BT = distill.sft(out.logp_BT)
        return batch.weights_BT * nll_BT, {"nll": nll_BT.detach()}


SUPPORTS = {"tail": distill.with_tail, "renormalized": distill.renormalized, "truncated": distill.truncated}


class ForwardKl(Config):
    """KL(teacher || student): cover what the teacher does."""

    kind: Literal["forward_kl"] = "forward_kl"
    support: Literal["tail", "renormalized", "truncated"] = "tail"


class ReverseKl(Config):
    """KL(student || teacher): leave what the teacher does not do."""

    kind: Literal["reverse_kl"] = "reverse_kl"
    support: Literal["tail", "renormalized"] = "tail"


class Jsd(Config):
    """The generalised Jensen-Shannon divergence of GKD, arXiv:2306.13649; `beta` is the teacher's share of the mix."""

    kind: Literal["jsd"] = "jsd"
    beta: Annotated[float, Field(gt=0, lt=1)]
    support: Literal["tail", "renormalized", "truncated"] = "tail"


Divergence = Annotated[ForwardKl | ReverseKl | Jsd, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Distillation:
    """A divergence from the teacher's listed tokens at every trained position, times the sample's weights."""

    divergence: ForwardKl | ReverseKl | Jsd
    needs_entropy: bool = False
    silent_at_zero_weight: bool = True

    def __call__(self, out: Outputs, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss per token [B, T]; metrics: divergence, and teacher_mass, the share of its probability that is listed."""
        student_BTK, teacher_BTK = out.teacher_token_logp_BTK, batch.teacher_logp_BTK
        if student_BTK is None or teacher_BTK is None:
            raise DataError("distillation needs samples with a teacher's tokens; the recipe gave none")
        value_BT = self._value(student_BTK, teacher_BTK)
        mass_BT = distill.teacher_mass(teacher_BTK)
        return batch.weights_BT * value_BT, {"divergence": value_BT.detach(), "teacher_mass": mass_BT}

    def _value(self, student_BTK: Tensor, teacher_BTK: Tensor) -> Tensor:
        support = SUPPORTS[self.divergence.support]
        if self.divergence.kind == "forward_kl":
            return distill.forward_kl(student_BTK, teacher_BTK, support)
        if self.divergence.kind == "reverse_kl":
            return distill.reverse_kl(student_BTK, teacher_BTK, support)
        return distill.jsd(student_BTK, teacher_BTK, support, beta=self.divergence.beta)
