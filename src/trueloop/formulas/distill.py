"""Supervised and distillation losses per token; they neither mask nor average.

B rows, T tokens, K most probable tokens of the teacher, L = K or K + 1 outcomes.  `student` and `teacher` are
log-probabilities at the teacher's K ids; -inf marks a teacher token that is missing.

A divergence needs two distributions over one set of outcomes, and a top-k list is not one.  Three supports make it
one, each a choice to be named:

    with_tail      all other tokens are one further outcome; exact at K = V, otherwise a lower bound of the true value
    renormalized   both are conditioned on the listed tokens; blind to the mass that the student has elsewhere
    truncated      the teacher is conditioned on its list, the student is not: mass elsewhere is error.  Its reverse
                   KL is infinite

A position whose teacher lists less than `min_mass` of its probability has loss 0: what is missing is no target.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from trueloop.errors import DataError

Support = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def sft(logp_BT: Tensor) -> Tensor:
    """-log pi: cross-entropy of the token that stands there."""
    return -logp_BT


def teacher_mass(teacher_BTK: Tensor) -> Tensor:
    """The probability that the teacher's list covers; 0 where there is no teacher."""
    return teacher_BTK.exp().sum(dim=-1)


def with_tail(student_BTK: Tensor, teacher_BTK: Tensor) -> tuple[Tensor, Tensor]:
    """Both with one more outcome, the rest of the vocabulary."""
    return _append_tail(student_BTK), _append_tail(teacher_BTK)


def renormalized(student_BTK: Tensor, teacher_BTK: Tensor) -> tuple[Tensor, Tensor]:
    """Both conditioned on the teacher's list."""
    return student_BTK.log_softmax(dim=-1), teacher_BTK.log_softmax(dim=-1)


def truncated(student_BTK: Tensor, teacher_BTK: Tensor) -> tuple[Tensor, Tensor]:
    """The teacher conditioned on its list, its tail empty; the student with its tail."""
    none_BT1 = torch.full_like(teacher_BTK[..., :1], -math.inf)
    return _append_tail(student_BTK), torch.cat([teacher_BTK.log_softmax(dim=-1), none_BT1], dim=-1)


def forward_kl(student_BTK: Tensor, teacher_BTK: Tensor, support: Support, *, min_mass: float = 0.5) -> Tensor:
    """KL(teacher || student): the student covers what the teacher does."""
    return _divergence(lambda p, q: _kl(q, p), student_BTK, teacher_BTK, support, min_mass)


def reverse_kl(student_BTK: Tensor, teacher_BTK: Tensor, support: Support, *, min_mass: float = 0.5) -> Tensor:
    """KL(student || teacher), with the student's expectation taken exactly: it leaves what the teacher does not do."""
    return _divergence(_kl, student_BTK, teacher_BTK, support, min_mass)


def jsd(student_BTK: Tensor, teacher_BTK: Tensor, support: Support, *, beta: float, min_mass: float = 0.5) -> Tensor:
    """beta KL(teacher || M) + (1 - beta) KL(student || M) with M = beta teacher + (1 - beta) student.

    The generalised Jensen-Shannon divergence of GKD, arXiv:2306.13649.  Its limits:

    jsd / beta tends to the forward KL as beta -> 0, and jsd / (1 - beta) to the reverse KL as beta -> 1.
    """
    if not 0 < beta < 1:
        raise DataError(f"jsd: beta must lie in (0, 1), got {beta}; the limits are forward_kl and reverse_kl")

    def divergence(p: Tensor, q: Tensor) -> Tensor:
        m = beta * q.exp() + (1 - beta) * p.exp()
        mixture = torch.where(m > 0, m, 1.0).log()
        return beta * _kl(q, mixture) + (1 - beta) * _kl(p, mixture)

    return _divergence(divergence, student_BTK, teacher_BTK, support, min_mass)


def _divergence(
    divergence: Callable[[Tensor, Tensor], Tensor],
    student_BTK: Tensor,
    teacher_BTK: Tensor,
    support: Support,
    min_mass: float,
) -> Tensor:
    mass_BT = teacher_mass(teacher_BTK)
    known_BT = (mass_BT >= min_mass) & (mass_BT > 0)
    student_BTK = torch.where(teacher_BTK > -math.inf, student_BTK, -math.inf)
    return torch.where(known_BT, divergence(*support(student_BTK, teacher_BTK)), 0.0)


def _kl(a_BTL: Tensor, b_BTL: Tensor) -> Tensor:
    """sum a (log a - log b) over the last axis; an outcome that a never has contributes nothing."""
    has_BTL = a_BTL > -math.inf
    return (a_BTL.exp() * (torch.where(has_BTL, a_BTL, 0.0) - torch.where(has_BTL, b_BTL, 0.0))).sum(dim=-1)


def _append_tail(logp_BTK: Tensor) -> Tensor:
    """With log(1 - listed mass) appended.  Below 8 roundings of 1 the tail is not known and is held there."""
    floor = 8 * torch.finfo(logp_BTK.dtype).eps
    tail_BT1 = (1 - logp_BTK.exp().sum(dim=-1, keepdim=True)).clamp_min(floor).log()
    return torch.cat([logp_BTK, tail_BT1], dim=-1)
