"""Means with honest errors, and pass@k.  Plain numbers in and out."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from trueloop.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean of n values in some clusters; error and interval are None for a single cluster: they are not known."""

    mean: float
    se: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int


def clustered_mean(values: Sequence[float], clusters: Sequence[Hashable], *, level: float = 0.95) -> Estimate:
    """The mean over all values, with a standard error that lets values of one cluster (one prompt) hang together.

    se^2 = C / (C - 1) sum_c (sum_{i in c} (x_i - mean))^2 / n^2 over C clusters (CR1; clustering as in
    arXiv:2411.00640, section 2.2); the interval takes Student's t with C - 1 degrees of freedom.
    One value per cluster gives the ordinary standard error.  The interval may leave [0, 1], and has no width where all
    values agree: for a share near 0 or 1 of independent trials use `wilson`.
    """
    if not values or len(values) != len(clusters):
        raise DataError(f"clustered_mean: expected one cluster per value, got {len(values)} and {len(clusters)}")
    x = np.asarray(values, dtype=float)
    keys = {key: c for c, key in enumerate(dict.fromkeys(clusters))}
    n, C, mean = len(x), len(keys), float(x.mean())
    if C == 1:
        return Estimate(mean=mean, se=None, low=None, high=None, n=n, clusters=1)
    totals_C = np.bincount([keys[key] for key in clusters], weights=x - mean)
    se = math.sqrt(C / (C - 1) * float(totals_C @ totals_C)) / n
    half = student_quantile((1 + level) / 2, C - 1) * se
    return Estimate(mean=mean, se=se, low=mean - half, high=mean + half, n=n, clusters=C)


def pass_at_k(n: int, correct: int, k: int) -> float:
    """1 - C(n - c, k) / C(n, k): unbiased for the chance that one of k samples passes.  arXiv:2107.03374."""
    if not (0 <= correct <= n and 1 <= k <= n):
        raise DataError(f"pass_at_k: expected 0 <= correct <= n and 1 <= k <= n, got n {n}, correct {correct}, k {k}")
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def wilson(successes: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share of n independent trials (Wilson, 1927); within [0, 1], never of width 0."""
    if not (0 <= successes <= n and n > 0):
        raise DataError(f"wilson: expected 0 <= successes <= n and n > 0, got {successes} of {n}")
    z, share = NormalDist().inv_cdf((1 + level) / 2), successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, center - half), min(1.0, center + half)


def student_quantile(probability: float, df: int) -> float:
    """The quantile of Student's t, by bisection on its distribution function.

    With t = sqrt(df) tan(a), P(|T| < t) is the integral of cos^(df - 1) from 0 to a over that from 0 to pi / 2, which
    has a closed form; 64 Gauss-Legendre nodes take the former to rounding for every df.
    """
    if not (0 < probability < 1 and df >= 1):
        raise DataError(f"student_quantile: expected a probability in (0, 1) and df >= 1, got {probability}, {df}")
    nodes, weights = np.polynomial.legendre.leggauss(64)
    log_whole = 0.5 * math.log(math.pi) + math.lgamma(df / 2) - math.lgamma((df + 1) / 2) - math.log(2)
    low, high = 0.0, min(math.pi / 2, 40 / math.sqrt(df))
    for _ in range(60):
        a = (low + high) / 2
        density = np.exp((df - 1) * np.log(np.cos(a * (nodes + 1) / 2)) - log_whole)
        low, high = (a, high) if a / 2 * (weights @ density) < abs(2 * probability - 1) else (low, a)
    return math.copysign(math.sqrt(df) * math.tan(low), probability - 0.5)
