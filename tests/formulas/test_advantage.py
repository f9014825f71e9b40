import itertools
import math

import pytest
import torch

from trueloop.errors import DataError
from trueloop.formulas.advantage import center, leave_one_out, max_rl, standardize

RULES = [center, standardize, leave_one_out, max_rl]
THETA = torch.tensor([0.3, -0.8, 0.1, 0.9], dtype=torch.float64)


def close(found, expected):
    torch.testing.assert_close(found, torch.tensor(expected, dtype=found.dtype))


def test_hand_values():
    r = torch.tensor([1.0, 0.0, 0.0, 3.0])
    close(center(r), [0.0, -1.0, -1.0, 2.0])
    close(standardize(r), [0.0, -1 / math.sqrt(1.5), -1 / math.sqrt(1.5), 2 / math.sqrt(1.5)])
    close(leave_one_out(r), [1 - 3 / 3, 0 - 4 / 3, 0 - 4 / 3, 3 - 1 / 3])
    close(max_rl(r), [0.0, -1.0, -1.0, 2.0])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1.0, 1e6])
@pytest.mark.parametrize("G", [1, 3, 7, 10])
def test_equal_rewards_give_exactly_zero(rule, value, G):
    assert rule(torch.full((G,), value)).tolist() == [0.0] * G


@pytest.mark.parametrize("rule", RULES)
def test_advantages_sum_to_zero_and_follow_the_order_of_the_rewards(rule):
    r = torch.tensor([0.2, 1.0, 0.0, 0.7], dtype=torch.float64)
    adv = rule(r)
    assert adv.sum().item() == pytest.approx(0, abs=1e-12)
    assert adv.argsort().tolist() == r.argsort().tolist()


def test_standardize_keeps_rounding_differences_small():
    adv = standardize(torch.tensor([0.5, 0.5 + 1e-8], dtype=torch.float64))
    assert adv.abs().max().item() == pytest.approx(0.5e-8 / 1e-6)


def expected_gradient(rule, rewards, G):
    """E over all groups of G actions of mean_i adv_i grad log pi(a_i), exactly, by enumeration."""
    logp = THETA.log_softmax(0)
    scores = torch.eye(4, dtype=torch.float64) - logp.exp()
    total = torch.zeros(4, dtype=torch.float64)
    for actions in itertools.product(range(4), repeat=G):
        a = torch.tensor(actions)
        total += logp[a].sum().exp() * (rule(rewards[a])[:, None] * scores[a]).mean(0)
    return total


def gradient_of(objective):
    theta = THETA.clone().requires_grad_()
    return torch.autograd.grad(objective(theta.softmax(0)), theta)[0]


@pytest.mark.parametrize("G", [2, 3, 4])
def test_leave_one_out_is_unbiased(G):
    rewards = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    truth = gradient_of(lambda p: (p * rewards).sum())
    torch.testing.assert_close(expected_gradient(leave_one_out, rewards, G), truth)
    torch.testing.assert_close(expected_gradient(center, rewards, G), truth * (G - 1) / G)


@pytest.mark.parametrize("G", [2, 3, 5])
def test_max_rl_is_the_gradient_of_the_truncated_log_likelihood(G):
    rewards = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)

    def truncated(p):
        fail = 1 - (p * rewards).sum()
        return -sum(fail**k / k for k in range(1, G))

    torch.testing.assert_close(expected_gradient(max_rl, rewards, G), gradient_of(truncated))


def test_max_rl_refuses_negative_rewards():
    with pytest.raises(DataError, match=r"must not be negative, got -0\.5"):
        max_rl(torch.tensor([1.0, -0.5]))


@pytest.mark.parametrize("rule", [center, standardize, leave_one_out])
def test_an_empty_group_is_refused(rule):
    with pytest.raises(DataError, match="no rewards"):
        rule(torch.zeros(0))
