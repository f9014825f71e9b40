import itertools

import numpy as np
import pytest
import torch

from trueloop.errors import DataError
from trueloop.formulas.belief import brier_gain, leave_one_out_credit, squared_covariance, squared_slope


def brute_covariance(p, d):
    return float(np.cov(p, d, ddof=0)[0, 1] ** 2)


def brute_slope(p, d):
    return 0.0 if np.ptp(p) == 0 else float(np.polyfit(p, d, 1)[0] ** 2)


STATISTICS = [(squared_covariance, brute_covariance), (squared_slope, brute_slope)]


@pytest.mark.parametrize(("statistic", "brute"), STATISTICS)
@pytest.mark.parametrize("N", [3, 4, 17])
def test_credit_equals_brute_force(statistic, brute, N):
    rng = np.random.default_rng(N)
    p, d = rng.random(N), rng.normal(size=N)
    expected = [-N * (brute(p, d) - brute(np.delete(p, i), np.delete(d, i))) for i in range(N)]
    found = leave_one_out_credit(statistic, torch.tensor(p), torch.tensor(d))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-8, atol=1e-10)


def test_hand_value():
    """Four revisions along a line of slope 1 and one far from it: leaving that one out raises the slope to 1."""
    p, d = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]), torch.tensor([0.0, 1.0, 2.0, 3.0, -6.0])
    credit = leave_one_out_credit(squared_slope, p, d)
    assert credit[4].item() == pytest.approx(-5 * ((-10 / 10) ** 2 - 1.0))
    assert credit[0].item() == pytest.approx(-5 * (1.0 - (-10.0 / 5.0) ** 2))


@pytest.mark.parametrize("statistic", [squared_covariance, squared_slope])
def test_shifting_priors_or_revisions_changes_nothing(statistic):
    rng = np.random.default_rng(0)
    p, d = torch.tensor(rng.random(12)), torch.tensor(rng.normal(size=12))
    shifted = leave_one_out_credit(statistic, p + 1e6, d - 1e6)
    torch.testing.assert_close(shifted, leave_one_out_credit(statistic, p, d), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("statistic", "brute"), STATISTICS)
@pytest.mark.parametrize("N", [3, 4])
def test_mean_of_credit_times_score_is_minus_the_gradient_of_the_statistic(statistic, brute, N):
    """Exactly, over all sets of N samples that a three-way policy can draw."""
    theta = torch.tensor([0.5, -0.3, 0.1], dtype=torch.float64, requires_grad=True)
    outcomes = torch.tensor([[0.2, 0.3], [0.9, 0.05], [0.5, -0.4]], dtype=torch.float64)
    probability = theta.softmax(0)
    scores = torch.eye(3, dtype=torch.float64) - probability.detach()
    expectation, found = torch.zeros((), dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for drawn in itertools.product(range(3), repeat=N):
        x = torch.tensor(drawn)
        p, d = outcomes[x].T
        chance = probability[x].prod()
        expectation = expectation + chance * brute(p.numpy(), d.numpy())
        credit = leave_one_out_credit(statistic, p, d)
        found += chance.detach() * (credit[:, None] * scores[x]).mean(0)
    (truth,) = torch.autograd.grad(expectation, theta)
    torch.testing.assert_close(found, -truth, rtol=1e-8, atol=1e-12)


def test_revisions_that_feed_the_bias_are_paid_less_than_those_that_fight_it():
    p = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9, 0.9], dtype=torch.float64)
    d = torch.tensor([-0.04, -0.02, 0.0, 0.02, 0.1, -0.3], dtype=torch.float64)
    d[:5] *= 5
    credit = leave_one_out_credit(squared_slope, p, d)
    assert credit[5] > 0 > credit[4]


@pytest.mark.parametrize("value", [0.0, 0.1, 0.7])
def test_priors_that_do_not_vary_have_no_slope_and_give_no_credit(value):
    d = torch.tensor([0.1, -0.2, 0.3, 0.25], dtype=torch.float64)
    assert leave_one_out_credit(squared_slope, torch.full((4,), value, dtype=torch.float64), d).tolist() == [0.0] * 4


def test_credit_comes_back_in_the_type_of_the_priors():
    p, d = torch.tensor([0.1, 0.5, 0.8]), torch.tensor([0.1, -0.2, 0.0])
    wide = leave_one_out_credit(squared_slope, p.double(), d.double())
    torch.testing.assert_close(leave_one_out_credit(squared_slope, p, d), wide.float())


@pytest.mark.parametrize(("p", "d"), [([0.1, 0.2], [0.0, 0.1]), ([0.1, 0.2, 0.3], [0.0, 0.1])])
def test_sets_that_are_too_small_or_do_not_match_are_refused(p, d):
    with pytest.raises(DataError, match="at least 3 samples"):
        leave_one_out_credit(squared_slope, torch.tensor(p), torch.tensor(d))


def test_brier_gain():
    gain = brier_gain(torch.tensor([0.5, 0.5, 0.9]), torch.tensor([0.8, 0.2, 0.9]), torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(gain, torch.tensor([0.21, -0.39, 0.0]))
