"""Means with honest errors, pass@k and maj@k, and tests of paired differences.  Plain numbers in and out."""

from __future__ import annotations

import math
from collections import Counter
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


def maj_at_k(answers: Sequence[Hashable | None], right: Sequence[bool], k: int) -> float:
    """The chance that the most frequent of k answers is right (self-consistency, arXiv:2203.11171).

    answers, right   of n independent samples of one problem; None is no answer and has no vote

    The mean over the n // k disjoint runs of k samples, which is unbiased; at a tie the answer that came first wins,
    and a run without any answer is wrong.
    """
    if not 1 <= k <= len(answers) == len(right):
        raise DataError(f"maj_at_k: expected 1 <= k <= n, got k {k}, {len(answers)} answers, {len(right)} verdicts")
    starts = range(0, len(answers) - k + 1, k)
    return sum(_majority(answers[i : i + k], right[i : i + k]) for i in starts) / len(starts)


def _majority(answers: Sequence[Hashable | None], right: Sequence[bool]) -> bool:
    votes = Counter(answer for answer in answers if answer is not None)
    return bool(votes) and right[answers.index(votes.most_common(1)[0][0])]


def wilson(successes: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share of n independent trials (Wilson, 1927); within [0, 1], never of width 0."""
    if not (0 <= successes <= n and n > 0):
        raise DataError(f"wilson: expected 0 <= successes <= n and n > 0, got {successes} of {n}")
    z, share = NormalDist().inv_cdf((1 + level) / 2), successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, center - half), min(1.0, center + half)


def clopper_pearson(successes: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share of n independent trials (Clopper and Pearson, 1934): whatever the share is, each
    end is beyond it with a probability of at most (1 - level) / 2.  Wilson's is narrower and holds that on average
    only: of 1 success in a few trials it makes too much."""
    if not (0 <= successes <= n and n > 0):
        raise DataError(f"clopper_pearson: expected 0 <= successes <= n and n > 0, got {successes} of {n}")
    tail = (1 - level) / 2
    return _least_share(successes, n, tail), 1.0 - _least_share(n - successes, n, tail)


def _least_share(successes: int, n: int, tail: float) -> float:
    """The share under which so many successes or more of n come with the probability `tail`, by bisection."""
    if successes == 0:
        return 0.0
    if successes == n:
        return float(tail ** (1 / n))
    i = np.arange(1, n + 1)
    ways = np.concatenate([[0.0], np.cumsum(np.log((n - i + 1) / i))])[successes:]
    more = np.arange(successes, n + 1)
    low, high = -50.0, 50.0
    for _ in range(60):
        odds = (low + high) / 2
        logp = ways + more * odds - n * np.logaddexp(0.0, odds)
        low, high = (odds, high) if float(np.exp(logp).sum()) < tail else (low, odds)
    return float(1 / (1 + math.exp(-low)))


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


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value that two policies are right equally often: the binomial test of the pairs in which
    exactly one of them is right (McNemar, 1947, in its exact form); 1 where there are no such pairs."""
    if min(only_first, only_second) < 0:
        raise DataError(f"mcnemar: expected counts, got {only_first} and {only_second}")
    n = only_first + only_second
    tail = sum(math.comb(n, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The mean of n paired differences.  `low`, `high` and `adjusted_p` hold for all differences that were tested
    together, so the best of them may be picked; `p` holds for one that was named before.  None: not known."""

    mean: float
    low: float | None
    high: float | None
    p: float
    adjusted_p: float
    n: int


RESAMPLES = 10_000
_CELLS = 1 << 21


def paired_differences(
    differences_KN: Sequence[Sequence[float]], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> list[Difference]:
    """K candidates against one baseline on the same N problems; differences[k][i] is candidate k minus the baseline.

    Problems are what is drawn again, the same for all candidates, so that candidates may resemble each other.

    p           sign-flip permutation test: how often random signs give a mean as far from 0
    adjusted_p  the same for the largest |mean| / scale of all K (the one-step max-T of Westfall and Young, 1993): how
                often the best of K candidates that are no better looks as good; `p` where K is 1
    low, high   mean -/+ c se with c the quantile of the largest |deviation| / se of all K under the bootstrap over
                problems: they cover all K at once.  None where all differences are equal: no spread is known
    """
    x_KN = np.asarray(differences_KN, dtype=float)
    if x_KN.ndim != 2 or 0 in x_KN.shape:
        raise DataError(f"paired_differences: expected K lists of one length N, got the shape {x_KN.shape}")
    N, mean_K = x_KN.shape[1], x_KN.mean(axis=1)
    scale_K = np.sqrt((x_KN**2).mean(axis=1) / N)
    se_K = x_KN.std(axis=1, ddof=1) / math.sqrt(N) if N > 1 else np.zeros(len(x_KN))
    flipped_KB, drawn_KB = _resampled(x_KN, resamples, seed)
    flipped_KB, deviation_KB = _over(flipped_KB, scale_K), _over(drawn_KB - mean_K[:, None], se_K)
    t_K, half_K = _over(mean_K[:, None], scale_K)[:, 0], float(np.quantile(deviation_KB.max(axis=0), level)) * se_K
    known = se_K > 1e-12
    return [
        Difference(
            mean=float(mean_K[k]),
            low=float(mean_K[k] - half_K[k]) if known[k] else None,
            high=float(mean_K[k] + half_K[k]) if known[k] else None,
            p=_reaching(flipped_KB[k], t_K[k]),
            adjusted_p=_reaching(flipped_KB.max(axis=0), t_K[k]),
            n=N,
        )
        for k in range(len(x_KN))
    ]


def _resampled(x_KN: np.ndarray, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Means [K, B] under random signs, and of bootstrap samples of problems."""
    rng, N = np.random.default_rng(seed), x_KN.shape[1]
    flipped, drawn, step = [], [], max(1, _CELLS // N)
    for begin in range(0, resamples, step):
        count = min(step, resamples - begin)
        flipped.append(x_KN @ (2.0 * rng.integers(0, 2, size=(N, count)) - 1.0) / N)
        drawn.append(x_KN @ rng.multinomial(N, np.full(N, 1 / N), size=count).T / N)
    return np.concatenate(flipped, axis=1), np.concatenate(drawn, axis=1)


def _over(value_KB: np.ndarray, scale_K: np.ndarray) -> np.ndarray:
    """|value| / scale; 0 where the scale is 0, as then are the values, up to rounding."""
    safe_K = np.where(scale_K > 1e-12, scale_K, np.inf)
    return np.asarray(np.abs(value_KB) / safe_K[:, None])


def _reaching(null_B: np.ndarray, t: float) -> float:
    """(1 + how many of `null` reach t) / (1 + all): never 0."""
    return float((1 + (null_B >= t * (1 - 1e-9)).sum()) / (1 + len(null_B)))


def highest_by_chance(
    ses: Sequence[float], *, level: float = 0.95, draws: int = 20_000, seed: int = 0
) -> tuple[float, float]:
    """How far above the truth the highest of K equal values looks when each is measured with an error: mean, quantile.

    ses   standard errors of the K measurements, taken as independent and normal

    The mean is what picking the best of K checkpoints by one noisy evaluation each promises too much (for equal errors
    about se sqrt(2 ln K)); measurements on the same rows hang together, which makes the true figure smaller.
    """
    if not ses or min(ses) < 0:
        raise DataError(f"highest_by_chance: expected standard errors of at least one measurement, got {list(ses)}")
    noise_BK = np.random.default_rng(seed).standard_normal((draws, len(ses))) * np.asarray(ses, dtype=float)
    highest_B = noise_BK.max(axis=1)
    return float(highest_B.mean()), float(np.quantile(highest_B, level))
