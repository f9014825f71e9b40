"""Preference losses per pair: logits z whose sigmoid is the probability that the chosen answer wins, and losses on z.

B pairs, M further objectives.  `logratio` is [log pi - log pi_ref](chosen) - [log pi - log pi_ref](rejected), log-
probabilities summed over the answer's tokens.  Losses do not average.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from trueloop.errors import DataError


def implicit_reward(logp_B: Tensor, ref_B: Tensor, beta: float) -> Tensor:
    """beta (log pi - log pi_ref): the reward a DPO policy stands for, up to a constant per prompt.  arXiv:2305.18290.

    In log-odds only for the beta that the policy was trained with.
    """
    return beta * (logp_B - ref_B)


def dpo_logit(logratio_B: Tensor, beta: float) -> Tensor:
    """z = beta logratio.  DPO, arXiv:2305.18290, eq. 7."""
    return beta * logratio_B


def modpo_logit(logratio_B: Tensor, margins_BM: Tensor, w: Sequence[float], beta: float) -> Tensor:
    """z = (beta logratio - margins w[1:]) / w[0].  MODPO, arXiv:2310.03708, eq. 11.

    margins  chosen minus rejected, in log-odds, of the objectives that are not in the labels; higher is better
    w        1 + M weights; w[0] > 0 is that of the labelled objective

    A weight above 0 REWARDS its objective: the minus sign takes out of the label what the margin already explains,
    and the optimum is pi proportional to pi_ref exp((w[0] r_0 + sum_m w[m] r_m) / beta).  That optimum needs labels
    drawn from, or softened to, the Bradley-Terry probabilities; with one hard label per pair training drifts to the
    labelled objective alone.  w = (1, 0, ...) is DPO.
    """
    _require_weights(margins_BM, w)
    if not w[0] > 0:
        raise DataError(f"modpo: w[0] must be positive, got {w[0]}; use modpo_regression, which is defined at 0")
    return (beta * logratio_B - _dot(margins_BM, w[1:])) / w[0]


def modpo_regression(logratio_B: Tensor, gap_B: Tensor, margins_BM: Tensor, w: Sequence[float], beta: float) -> Tensor:
    """(beta logratio - w[0] gap - margins w[1:])^2, with the optimum of `modpo_logit` and no labels.

    `gap` is chosen minus rejected of the first objective, in log-odds.  Every w is allowed, 0 and 1 included.
    Our form; with one objective it is the pairwise regression of REBEL (arXiv:2404.16767).
    """
    _require_weights(margins_BM, w)
    return (beta * logratio_B - w[0] * gap_B - _dot(margins_BM, w[1:])).square()


def bradley_terry(z_B: Tensor) -> Tensor:
    """-log sigmoid(z): DPO's loss on its logit, a reward model's on reward(chosen) - reward(rejected)."""
    return -F.logsigmoid(z_B)


def soft_label(z_B: Tensor, p_B: Tensor | float) -> Tensor:
    """-p log sigmoid(z) - (1 - p) log sigmoid(-z): cross-entropy to the probability p that the chosen answer wins.

    A constant p = 1 - eps is label smoothing, "conservative DPO".
    """
    return -p_B * F.logsigmoid(z_B) - (1 - p_B) * F.logsigmoid(-z_B)


def robust(z_B: Tensor, flip: float) -> Tensor:
    """[(1 - flip) l(z) - flip l(-z)] / (1 - 2 flip), l = bradley_terry: unbiased if labels are flipped at that rate.

    rDPO, arXiv:2403.00409.
    """
    if not 0 <= flip < 0.5:
        raise DataError(f"robust: the share of flipped labels must lie in [0, 0.5), got {flip}")
    return ((1 - flip) * bradley_terry(z_B) - flip * bradley_terry(-z_B)) / (1 - 2 * flip)


def hinge(z_B: Tensor) -> Tensor:
    """max(0, 1 - z).  SLiC-HF on a DPO logit, arXiv:2305.10425 and arXiv:2309.06657."""
    return torch.relu(1 - z_B)


def ipo(logratio_B: Tensor, beta: float) -> Tensor:
    """(logratio - 1 / (2 beta))^2.  IPO, arXiv:2310.12036, eq. 17, where beta is called tau."""
    return (logratio_B - 1 / (2 * beta)).square()


def _dot(margins_BM: Tensor, w: Sequence[float]) -> Tensor:
    return margins_BM @ margins_BM.new_tensor(list(w))


def _require_weights(margins_BM: Tensor, w: Sequence[float]) -> None:
    if len(w) != 1 + margins_BM.shape[1]:
        raise DataError(
            f"modpo: {margins_BM.shape[1]} margins need {1 + margins_BM.shape[1]} weights, the labelled objective's "
            f"first; got {len(w)}"
        )
