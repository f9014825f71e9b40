"""Credit within a group: the rewards of one problem's rollouts become one advantage each.

G rollouts of a group.  Rewards that are all equal, a single one included, give exactly zero: there is no signal.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trueloop.errors import DataError


def center(r_G: Tensor) -> Tensor:
    """r - mean(r).  Dr. GRPO, arXiv:2503.20783.

    Its expected gradient is (G - 1) / G times that of the expected reward, since each reward is in its own baseline.
    """
    if r_G.numel() == 0:
        raise DataError("advantage: the group has no rewards; drop empty groups")
    return torch.zeros_like(r_G) if bool((r_G == r_G[0]).all()) else r_G - r_G.mean()


def standardize(r_G: Tensor, floor: float = 1e-6) -> Tensor:
    """(r - mean(r)) / max(std(r), floor), with the population's std.  GRPO, arXiv:2402.03300, section 4.1.2.

    The paper has no floor; it keeps rewards that differ by rounding from being blown up to one.
    """
    return center(r_G) / r_G.std(correction=0).clamp_min(floor)


def leave_one_out(r_G: Tensor) -> Tensor:
    """r_i - mean of the others = G / (G - 1) (r_i - mean(r)), unbiased.  RLOO, arXiv:2402.14740."""
    G = r_G.numel()
    return center(r_G) * (G / max(G - 1, 1))


def max_rl(r_G: Tensor) -> Tensor:
    """(r - mean(r)) / mean(r) for rewards that are not negative; zero where all are zero.  MaxRL, arXiv:2602.02710.

    For rewards 0 and 1 the mean over the group of advantage x score is an unbiased gradient of log p cut after
    order G - 1, -sum_{k<G} (1 - p)^k / k, where p is the probability of success.
    """
    if bool((r_G < 0).any()):
        raise DataError(f"max_rl: rewards must not be negative, got {float(r_G.min())}; shift or rescale the reward")
    return center(r_G) / r_G.mean().clamp_min(torch.finfo(r_G.dtype).tiny)
