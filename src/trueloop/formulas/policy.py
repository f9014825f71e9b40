"""Policy-gradient losses per token, estimators of the KL to a reference, and their relatives.

B rows, T tokens.  Losses are to be minimised and neither mask nor average: reduce.py does, once.  Columns outside
the mask must hold finite numbers.  `logp` is the policy's and carries the gradient; `old` is the log-probability that
the ratio pi / pi_old divides by; pass logp.detach() where the policy has not moved since it sampled.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trueloop.errors import DataError


def clipped(logp_BT: Tensor, old_BT: Tensor, adv_BT: Tensor, low: float, high: float) -> Tensor:
    """-min(r A, clip(r, 1 - low, 1 + high) A) with r = pi / pi_old.

    low = high is PPO (arXiv:1707.06347, eq. 7) and GRPO (arXiv:2402.03300); low < high is DAPO (arXiv:2503.14476).
    """
    ratio_BT = (logp_BT - old_BT).exp()
    return -torch.minimum(ratio_BT * adv_BT, ratio_BT.clamp(1 - low, 1 + high) * adv_BT)


def clipped_above(logp_BT: Tensor, old_BT: Tensor, adv_BT: Tensor, high: float) -> Tensor:
    """Where `clipped` stops an increase: r > 1 + high and A > 0.  Boolean."""
    return ((logp_BT - old_BT).exp() > 1 + high) & (adv_BT > 0)


def clipped_below(logp_BT: Tensor, old_BT: Tensor, adv_BT: Tensor, low: float) -> Tensor:
    """Where `clipped` stops a decrease: r < 1 - low and A < 0.  Boolean."""
    return ((logp_BT - old_BT).exp() < 1 - low) & (adv_BT < 0)


def reinforce(logp_BT: Tensor, old_BT: Tensor, adv_BT: Tensor) -> Tensor:
    """-sg(r) A log pi, the policy gradient with importance weights and no clip; sg stops the gradient."""
    return -(logp_BT - old_BT).exp().detach() * adv_BT * logp_BT


def cispo(logp_BT: Tensor, old_BT: Tensor, adv_BT: Tensor, max_ratio: float) -> Tensor:
    """-sg(min(r, max_ratio)) A log pi: the weight is capped and every token keeps its gradient.  arXiv:2506.13585.

    `max_ratio` is the paper's 1 + eps_high; there is no lower bound, as in its experiments.
    """
    return -(logp_BT - old_BT).exp().clamp(max=max_ratio).detach() * adv_BT * logp_BT


def gspo(logp_BT: Tensor, old_BT: Tensor, adv_BT: Tensor, mask_BT: Tensor, low: float, high: float) -> Tensor:
    """-min(s_t A, clip(s_t, 1 - low, 1 + high) A) with the sequence's ratio s.  GSPO-token, arXiv:2507.18071.

    s = exp(mean over the row's mask of log pi - log pi_old), s_t = sg(s) pi_t / sg(pi_t).  With the advantage equal
    over a row and `sequence_mean`, value and gradient are those of GSPO, eq. 5.  Rows must be whole sequences.
    """
    log_ratio_BT = torch.where(mask_BT, logp_BT - old_BT, 0.0)
    log_s_B1 = (log_ratio_BT.sum(dim=1) / mask_BT.sum(dim=1).clamp_min(1)).detach()[:, None]
    return clipped(log_s_B1 + logp_BT - logp_BT.detach(), torch.zeros_like(logp_BT), adv_BT, low, high)


def kl_k1(logp_BT: Tensor, ref_BT: Tensor) -> Tensor:
    """log pi - log pi_ref: unbiased for KL(pi || pi_ref) under samples of pi.  http://joschu.net/blog/kl-approx.html

    Its place is the reward (A - beta sg(k1)), where its gradient is that of the KL; as a loss its gradient is zero in
    expectation.
    """
    return logp_BT - ref_BT


def kl_k2(logp_BT: Tensor, ref_BT: Tensor) -> Tensor:
    """(log pi - log pi_ref)^2 / 2: biased in value, but as a loss on samples of pi its gradient is that of the KL."""
    return (logp_BT - ref_BT).square() / 2


def kl_k3(logp_BT: Tensor, ref_BT: Tensor) -> Tensor:
    """e^d - d - 1 with d = log pi_ref - log pi: unbiased, never negative; GRPO's penalty (arXiv:2402.03300, eq. 4).

    The order in d matters: with the sign turned its expectation is chi^2 - KL, and its gradient grows without bound
    where the policy is above the reference.  As a loss on samples of pi its gradient is that of KL(pi_ref || pi).
    """
    d_BT = ref_BT - logp_BT
    return torch.expm1(d_BT) - d_BT


def truncated_importance_weights(scored_BT: Tensor, behaviour_BT: Tensor, cap: float) -> Tensor:
    """min(exp(scored - behaviour), cap), without gradient: multiplies a loss whose `old` is `scored`.

    scored     log-probability of the trainer's policy when it was sampled from
    behaviour  log-probability under what really drew the token: another kernel or precision, a truncated distribution
    The truncation is IMPALA's rho-bar (arXiv:1802.01561), per token.
    """
    return (scored_BT - behaviour_BT).exp().clamp(max=cap).detach()


def overlong_penalty(lengths_B: Tensor, max_length: int, cache: int) -> Tensor:
    """Soft overlong punishment, in [-1, 0], to add to the reward.  DAPO, arXiv:2503.14476, section 3.4.

    0 up to max_length - cache tokens of completion, -1 from max_length on, linear between.
    """
    if not 0 < cache <= max_length:
        raise DataError(f"overlong_penalty: expected 0 < cache <= max_length, got cache {cache}, length {max_length}")
    return ((max_length - cache - lengths_B) / cache).clamp(-1.0, 0.0)
