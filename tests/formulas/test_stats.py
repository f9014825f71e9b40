import itertools
import math
import statistics

import numpy as np
import pytest
from scipy import stats as scipy_stats

from trueloop.errors import DataError
from trueloop.formulas.stats import (
    clopper_pearson,
    clustered_mean,
    highest_by_chance,
    maj_at_k,
    mcnemar,
    paired_differences,
    pass_at_k,
    student_quantile,
    wilson,
)


def test_one_value_per_cluster_is_the_ordinary_t_interval():
    values = [0.2, 0.5, 0.9, 0.4, 0.1]
    found = clustered_mean(values, range(5))
    se = statistics.stdev(values) / math.sqrt(5)
    low, high = scipy_stats.t.interval(0.95, 4, loc=statistics.mean(values), scale=se)
    assert (found.mean, found.se, found.low, found.high) == pytest.approx((0.42, se, low, high))
    assert (found.n, found.clusters) == (5, 5)


def test_copies_of_a_row_add_no_information():
    values, prompts = [0.0, 1.0, 1.0, 0.0, 1.0], ["a", "b", "c", "d", "e"]
    once, copied = clustered_mean(values, prompts), clustered_mean(values * 4, prompts * 4)
    assert (copied.mean, copied.se, copied.low, copied.high) == pytest.approx((once.mean, once.se, once.low, once.high))
    naive = clustered_mean(values * 4, range(20))
    assert naive.se < 0.55 * copied.se


def test_standard_error_by_brute_force_with_unequal_clusters():
    rng = np.random.default_rng(0)
    prompts = rng.integers(0, 6, size=40)
    values = rng.random(40) + prompts / 3
    pairs = itertools.product(range(40), repeat=2)
    deviation = values - values.mean()
    total = sum(deviation[i] * deviation[j] for i, j in pairs if prompts[i] == prompts[j])
    found = clustered_mean(values.tolist(), prompts.tolist(), level=0.9)
    assert found.se == pytest.approx(math.sqrt(6 / 5 * total) / 40)
    assert found.high - found.mean == pytest.approx(scipy_stats.t.ppf(0.95, 5) * found.se)
    assert found.clusters == 6


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    prompts = np.repeat(np.arange(12), 4).tolist()
    covered = 0
    for _ in range(1000):
        values = np.repeat(rng.normal(size=12), 4) + rng.normal(size=48)
        found = clustered_mean(values.tolist(), prompts)
        covered += found.low <= 0 <= found.high
    assert covered / 1000 == pytest.approx(0.95, abs=0.025)


def test_a_single_cluster_has_a_mean_and_no_error():
    found = clustered_mean([1.0, 0.0, 1.0, 1.0], ["p"] * 4)
    assert (found.mean, found.se, found.low, found.high) == (0.75, None, None, None)


@pytest.mark.parametrize(("values", "clusters"), [([], []), ([1.0], []), ([1.0], ["a", "b"])])
def test_values_without_clusters_are_refused(values, clusters):
    with pytest.raises(DataError, match="one cluster per value"):
        clustered_mean(values, clusters)


@pytest.mark.parametrize("n", [1, 4, 7])
def test_pass_at_k_equals_enumeration(n):
    for correct, k in itertools.product(range(n + 1), range(1, n + 1)):
        draws = list(itertools.combinations([1] * correct + [0] * (n - correct), k))
        assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, draws)) / len(draws), abs=1e-12)


def test_pass_at_k_is_unbiased():
    p, n, k = 0.3, 9, 4
    expectation = sum(scipy_stats.binom.pmf(c, n, p) * pass_at_k(n, c, k) for c in range(n + 1))
    assert expectation == pytest.approx(1 - (1 - p) ** k)


def test_pass_at_k_of_many_samples():
    assert pass_at_k(2000, 1, 1000) == pytest.approx(0.5)
    assert pass_at_k(2000, 0, 1000) == 0.0


@pytest.mark.parametrize(("n", "correct", "k"), [(3, 4, 1), (3, -1, 1), (3, 1, 4), (3, 1, 0)])
def test_impossible_counts_are_refused(n, correct, k):
    with pytest.raises(DataError, match="pass_at_k"):
        pass_at_k(n, correct, k)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (0, 30), (3, 10), (30, 30), (541, 1319)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_equals_scipy(successes, n, level):
    expected = scipy_stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    assert wilson(successes, n, level=level) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(DataError, match="wilson"):
        wilson(successes, n)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 30), (1, 12), (3, 10), (30, 30), (541, 1319)])
@pytest.mark.parametrize("level", [0.9, 0.99])
def test_clopper_pearson_equals_scipy(successes, n, level):
    expected = scipy_stats.binomtest(successes, n).proportion_ci(level, method="exact")
    assert clopper_pearson(successes, n, level=level) == pytest.approx((expected.low, expected.high), rel=1e-9)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (3, 2), (-1, 2)])
def test_clopper_pearson_refuses_impossible_counts(successes, n):
    with pytest.raises(DataError, match="clopper_pearson"):
        clopper_pearson(successes, n)


@pytest.mark.parametrize("df", [1, 2, 3, 8, 30, 1000, 100_000_000])
@pytest.mark.parametrize("probability", [0.025, 0.5, 0.6, 0.975, 0.9995])
def test_student_quantile_equals_scipy(df, probability):
    expected = scipy_stats.t.ppf(probability, df)
    assert student_quantile(probability, df) == pytest.approx(expected, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(("probability", "df"), [(0.0, 3), (1.0, 3), (0.5, 0)])
def test_student_quantile_refuses_what_does_not_exist(probability, df):
    with pytest.raises(DataError, match="student_quantile"):
        student_quantile(probability, df)


def test_the_majority_wins_and_the_first_answer_wins_a_tie():
    assert maj_at_k(["7", "8", "8"], [False, True, True], 3) == 1.0
    assert maj_at_k(["7", "8", "8", "7"], [True, False, False, True], 4) == 1.0
    assert maj_at_k(["8", "7", "7", "8"], [False, True, True, False], 4) == 0.0


def test_no_answer_has_no_vote():
    assert maj_at_k([None, None, "7"], [False, False, True], 3) == 1.0
    assert maj_at_k([None, None], [False, False], 2) == 0.0


def test_maj_at_k_is_the_mean_over_disjoint_runs_and_maj_at_1_is_the_accuracy():
    answers, right = ["7", "8", "7", "7", "8"], [True, False, True, True, False]
    assert maj_at_k(answers, right, 1) == pytest.approx(3 / 5)
    assert maj_at_k(answers, right, 2) == 1.0
    assert maj_at_k(["8", "7", "8", "8"], [False, True, False, False], 2) == 0.0


def test_maj_at_k_is_unbiased():
    rng, k = np.random.default_rng(0), 3
    truth = sum(0.6**i * 0.4 ** (3 - i) * math.comb(3, i) for i in (2, 3))
    found = []
    for _ in range(2000):
        right = (rng.random(7) < 0.6).tolist()
        found.append(maj_at_k(["a" if r else "b" for r in right], right, k))
    assert statistics.mean(found) == pytest.approx(truth, abs=0.02)


@pytest.mark.parametrize(("n", "k"), [(3, 4), (3, 0), (0, 1)])
def test_maj_at_k_refuses_impossible_counts(n, k):
    with pytest.raises(DataError, match="maj_at_k"):
        maj_at_k(["a"] * n, [True] * n, k)


@pytest.mark.parametrize(("a", "b"), [(0, 0), (5, 0), (3, 3), (10, 25), (400, 520), (2000, 2300)])
def test_mcnemar_equals_the_binomial_test(a, b):
    expected = scipy_stats.binomtest(a, a + b, 0.5).pvalue if a + b else 1.0
    assert mcnemar(a, b) == mcnemar(b, a) == pytest.approx(expected, rel=1e-9)


def test_sign_flips_equal_enumeration():
    x = [0.5, 1.0, -0.25, 0.75, 1.0, 0.5]
    means = [
        abs(statistics.mean(s * v for s, v in zip(signs, x, strict=True)))
        for signs in itertools.product((-1, 1), repeat=6)
    ]
    exact = sum(m >= abs(statistics.mean(x)) - 1e-12 for m in means) / 64
    (found,) = paired_differences([x], resamples=40_000)
    assert found.p == pytest.approx(exact, abs=0.01) and found.adjusted_p == found.p
    assert (found.mean, found.n) == (pytest.approx(statistics.mean(x)), 6)


def test_the_interval_of_one_difference_is_that_of_the_mean():
    x = np.random.default_rng(3).normal(0.2, 1.0, 400)
    (found,) = paired_differences([x])
    low, high = scipy_stats.t.interval(0.95, 399, loc=x.mean(), scale=x.std(ddof=1) / 20)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.006)


def test_the_best_of_many_that_are_no_better_is_found_better_as_rarely_as_said():
    rng = np.random.default_rng(4)
    naive = corrected = covered = 0
    for i in range(200):
        shared = rng.normal(size=60)
        found = paired_differences(shared + rng.normal(size=(8, 60)), resamples=400, seed=i)
        best = max(found, key=lambda d: d.mean)
        naive += best.p < 0.05
        corrected += best.adjusted_p < 0.05
        covered += all(d.low <= 0 <= d.high for d in found)
    assert naive / 200 > 0.09
    assert corrected / 200 == pytest.approx(0.035, abs=0.035)
    assert covered / 200 > 0.9


def test_copies_of_a_candidate_cost_nothing():
    x = np.random.default_rng(5).normal(0.3, 1.0, 80)
    (alone,), copies = paired_differences([x]), paired_differences([x] * 5)
    assert copies[0].adjusted_p == pytest.approx(alone.p) and copies[0].low == pytest.approx(alone.low)
    assert len({(d.mean, d.low, d.p) for d in copies}) == 1


def test_no_spread_gives_no_interval():
    same, none = paired_differences([[0.5] * 12, [0.0] * 12])
    assert (same.low, same.high) == (None, None) and same.p < 0.01
    assert (none.mean, none.low, none.p, none.adjusted_p) == (0.0, None, 1.0, 1.0)


def test_equal_seeds_give_equal_figures():
    x = np.random.default_rng(6).normal(size=(2, 30))
    assert paired_differences(x, seed=1) == paired_differences(x, seed=1) != paired_differences(x, seed=2)


@pytest.mark.parametrize("rows", [[], [[]], [1.0, 2.0]])
def test_what_is_no_table_is_refused(rows):
    with pytest.raises(DataError, match="paired_differences"):
        paired_differences(rows)


def test_the_highest_of_several_by_chance():
    """The mean of the largest of 10 standard normals is 1.5388; a single measurement promises nothing."""
    mean, quantile = highest_by_chance([1.0] * 10)
    assert mean == pytest.approx(1.5388, abs=0.02)
    assert quantile == pytest.approx(2.568, abs=0.05)
    assert highest_by_chance([0.1])[0] == pytest.approx(0, abs=2e-3)
    with pytest.raises(DataError, match="at least one"):
        highest_by_chance([])
