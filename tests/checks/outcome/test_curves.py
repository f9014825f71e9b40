import math

import pytest

from trueloop.checks.outcome import curves

LONG = 40


@pytest.mark.parametrize(
    ("lrs", "gradients", "status"),
    [
        ([1e-4] * 9, [0.5] * 9, "pass"),
        ([], [], "fail"),
        ([0.0] * 9, [0.5] * 9, "fail"),
        ([1e-4] * 9, [0.0] * 9, "fail"),
        ([1e-4] * 9, [0.0] * 3 + [0.5] * 6, "warn"),
    ],
)
def test_trained(lrs, gradients, status):
    assert curves.trained(lrs, gradients).status == status


def test_finite():
    assert curves.finite([{"step": 1, "loss": 0.1}]).status == "pass"
    bad = curves.finite([{"step": 1, "loss": 0.1}, {"step": 2, "loss": math.nan}])
    assert bad.status == "fail" and "loss at step 2" in bad.evidence
    assert curves.finite([]).status == "unknown"


def test_gradient_steady():
    steady = [1.0, 1.2] * (LONG // 2)
    assert curves.gradient_steady(steady).status == "pass"
    assert curves.gradient_steady([*steady[:30], *[40.0] * 10]).status == "fail"
    assert curves.gradient_steady([*[1.0] * 20, *[40.0] * 5, *[1.0] * 15]).status == "warn"
    assert curves.gradient_steady(steady[:5]).status == "unknown"


@pytest.mark.parametrize(
    ("means", "extremes", "lags", "status"),
    [
        ([1.0] * 9, [(0.999, 1.001)] * 9, [0.0] * 9, "pass"),
        ([0.9] * 9, [(0.999, 1.001)] * 9, [0.0] * 9, "fail"),
        ([1.0] * 9, [(0.1, 1.0)] * 9, [0.0] * 9, "fail"),
        ([*[1.0] * 8, 1.05], [], [0.0] * 9, "warn"),
        ([0.9] * 9, [], [1.0] * 9, "unknown"),
        ([], [], [], "unknown"),
    ],
)
def test_ratio(means, extremes, lags, status):
    assert curves.ratio_is_one(means, extremes, lags).status == status


def test_in_lower_precision_the_mean_of_the_log_ratio_is_held():
    extremes = [(0.1, 3.0)] * 9
    assert curves.ratio_is_one([1.0] * 9, extremes, [0.0] * 9, [0.01] * 9, exact=False).status == "pass"
    assert curves.ratio_is_one([1.0] * 9, extremes, [0.0] * 9, [0.1] * 9, exact=False).status == "fail"
    assert curves.ratio_is_one([0.9] * 9, extremes, [0.0] * 9, exact=False).status == "fail"


def test_sampler_follows():
    assert curves.sampler_follows([(s, s - 1) for s in range(1, 9)], 0).status == "pass"
    assert curves.sampler_follows([(s, 0) for s in range(1, 9)], 0).status == "fail"
    assert curves.sampler_follows([(s, max(0, s - 3)) for s in range(1, 9)], 2).status == "pass"
    assert curves.sampler_follows([(1, 0)], 0).status == "unknown"


@pytest.mark.parametrize(("last", "status"), [(90.0, "pass"), (5.0, "fail"), (900.0, "fail"), (40.0, "warn")])
def test_length(last, status):
    assert curves.length_kept([*[100.0] * 20, *[last] * 10]).status == status
    assert curves.length_kept([100.0]).status == "unknown"


@pytest.mark.parametrize(("last", "status"), [(0.15, "pass"), (3.0, "fail"), (0.0001, "fail"), (0.9, "pass")])
def test_surprise(last, status):
    assert curves.surprise_kept([*[0.2] * 20, *[last] * 10]).status == status
    assert curves.surprise_kept([0.2]).status == "unknown"


def test_problems_used():
    def status(used, lost):
        return curves.problems_used({"used": used, "filtered": lost}).status

    assert [status(90, 10), status(70, 30), status(30, 70), status(3, 3)] == ["pass", "warn", "fail", "unknown"]


def test_loss_fell():
    assert curves.loss_fell([4.0 - 0.1 * i for i in range(20)]).status == "pass"
    assert curves.loss_fell([4.0] * 20).status == "fail"
    assert curves.loss_fell([4.0]).status == "unknown"
