"""Credit for stated beliefs: per-sample rewards of statistics that only a whole set has.

N samples of a set, each with a prior p and a revision delta = posterior - prior, probabilities in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from trueloop.errors import DataError


class Sums(NamedTuple):
    """Running sums of a set, or of many sets at once: their size and sum of p, delta, p^2, p delta, delta^2."""

    n: Tensor
    p: Tensor
    d: Tensor
    pp: Tensor
    pd: Tensor
    dd: Tensor


Statistic = Callable[[Sums], Tensor]


def squared_covariance(s: Sums) -> Tensor:
    """Cov(p, delta)^2, divisor n: 0 where revisions cannot be predicted from the prior.  A plug-in: never negative."""
    return _cov(s.n, s.p, s.d, s.pd).square()


def squared_slope(s: Sums) -> Tensor:
    """The squared slope of delta on p with an intercept, the Martingale score squared; 0 where all priors are equal."""
    var = _cov(s.n, s.p, s.p, s.pp)
    varies = var > 64 * torch.finfo(var.dtype).eps * s.pp / s.n
    return torch.where(varies, _cov(s.n, s.p, s.d, s.pd) / torch.where(varies, var, 1.0), 0.0).square()


def leave_one_out_credit(statistic: Statistic, p_N: Tensor, delta_N: Tensor) -> Tensor:
    """-N (T(B) - T(B without i)): the reward of sample i if a statistic T of the set B is to be minimised.

    Exact for every T: the gradient of E[T(B)] is sum_i E[(T(B) - T(B without i)) grad log pi(x_i)], because what
    does not depend on x_i is a valid baseline.  So the mean of reward x score over the set estimates
    -grad E[T(B)] without bias, at this set size.  O(N): every T(B without i) comes from the set's sums minus one
    term.  `statistic` must not change when p or delta are shifted, since both are centred first for precision.

    Raises DataError for fewer than 3 samples.
    """
    N = len(p_N)
    if N < 3 or p_N.shape != delta_N.shape:
        raise DataError(f"belief credit: expected at least 3 samples with a prior and a revision each, got {N}")
    p, d = (x.double() - x.double().mean() for x in (p_N, delta_N))
    terms = (torch.ones_like(p), p, d, p * p, p * d, d * d)
    whole = Sums(*(x.sum() for x in terms))
    without = Sums(*(total - x for total, x in zip(whole, terms, strict=True)))
    return (-N * (statistic(whole) - statistic(without))).to(p_N.dtype)


def brier_gain(prior_N: Tensor, posterior_N: Tensor, outcome_N: Tensor) -> Tensor:
    """(prior - y)^2 - (posterior - y)^2: what the revision gained in Brier score; positive is better."""
    return (prior_N - outcome_N).square() - (posterior_N - outcome_N).square()


def _cov(n: Tensor, a: Tensor, b: Tensor, ab: Tensor) -> Tensor:
    return ab / n - (a / n) * (b / n)
