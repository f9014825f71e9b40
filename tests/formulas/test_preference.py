import itertools
import math

import pytest
import torch

from trueloop.errors import DataError
from trueloop.formulas.preference import (
    bradley_terry,
    dpo_logit,
    hinge,
    implicit_reward,
    ipo,
    modpo_logit,
    modpo_regression,
    robust,
    soft_label,
)

BETA = 0.3
REF = torch.tensor([0.2, -0.5, 0.9, 0.0, -1.0], dtype=torch.float64).log_softmax(0)
R0 = torch.tensor([1.5, 0.2, -0.7, 0.9, -1.1], dtype=torch.float64)
R1 = torch.tensor([-1.0, 0.8, 0.3, -0.4, 1.2], dtype=torch.float64)
CHOSEN, REJECTED = torch.tensor(list(itertools.permutations(range(5), 2))).T


def close(found, expected, **tolerance):
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), **tolerance)


def gap(r):
    return r[CHOSEN] - r[REJECTED]


def fit(loss_of_logratio):
    """The tabular policy over five answers that minimises the mean loss over all ordered pairs."""
    theta = REF.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [theta], max_iter=400, tolerance_grad=1e-13, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = loss_of_logratio(gap(theta.log_softmax(0) - REF)).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return theta.detach().softmax(0)


def optimum(w):
    return (REF + (w[0] * R0 + w[1] * R1) / BETA).softmax(0)


WEIGHTS = [(0.1, 0.9), (0.5, 0.5), (0.9, 0.1), (0.5, -0.5)]


@pytest.mark.parametrize("w", WEIGHTS)
def test_soft_labels_lead_to_the_closed_form_optimum_in_both_directions_of_the_margin(w):
    p, margins = torch.sigmoid(gap(R0)), gap(R1)[:, None]
    found = fit(lambda logratio: soft_label(modpo_logit(logratio, margins, w, BETA), p))
    close(found, optimum(w), rtol=0, atol=1e-6)


@pytest.mark.parametrize("w", [*WEIGHTS, (0.0, 1.0), (1.0, 0.0)])
def test_regression_leads_to_the_closed_form_optimum_for_every_weight(w):
    found = fit(lambda logratio: modpo_regression(logratio, gap(R0), gap(R1)[:, None], w, BETA))
    close(found, optimum(w), rtol=0, atol=1e-6)


def test_a_positive_weight_rewards_its_objective():
    p, margins = torch.sigmoid(gap(R0)), gap(R1)[:, None]

    def mean_reward(weight):
        policy = fit(lambda logratio: soft_label(modpo_logit(logratio, margins, (0.5, weight), BETA), p))
        return (policy * R1).sum().item()

    assert mean_reward(0.5) > mean_reward(0.0) + 0.1 > mean_reward(-0.5) + 0.2


def test_hard_labels_never_push_against_the_label_however_strong_the_margin():
    logratio = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    margins = torch.tensor([[-9.0], [-1.0], [0.0], [1.0], [9.0]], dtype=torch.float64)
    bradley_terry(modpo_logit(logratio, margins, (0.1, 0.9), BETA)).sum().backward()
    assert (logratio.grad < 0).all() and (logratio.grad.diff() < 0).all()


def test_the_push_on_a_pair_grows_with_the_margin():
    """-1, 0, +1 with beta 0.1 and w 0.5: a conflicting pair is pushed least, an agreeing pair most."""
    logratio = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    margins = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)
    bradley_terry(modpo_logit(logratio, margins, (0.5, 0.5), 0.1)).sum().backward()
    close(logratio.grad, [-0.2 / (1 + math.e), -0.1, -0.2 / (1 + math.exp(-1))])


def test_at_the_reference_the_logit_is_minus_the_weighted_margin():
    margins = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    close(modpo_logit(torch.zeros(2), margins, (0.5, 0.3, 0.2), BETA), [0.2, -1.5])


@pytest.mark.parametrize("w", [(1.0,), (1.0, 0.0), (1.0, 0.0, 0.0)])
def test_modpo_with_all_weight_on_the_labels_is_dpo_bit_by_bit(w):
    logratio, margins = torch.randn(7), torch.randn(7, len(w) - 1)
    assert torch.equal(modpo_logit(logratio, margins, w, BETA), dpo_logit(logratio, BETA))


def test_modpo_is_dpo_at_another_beta_with_an_offset():
    logratio, margins = torch.randn(7, dtype=torch.float64), torch.randn(7, 1, dtype=torch.float64)
    expected = dpo_logit(logratio, BETA / 0.2) - 0.8 / 0.2 * margins[:, 0]
    close(modpo_logit(logratio, margins, (0.2, 0.8), BETA), expected)


def test_only_differences_of_implicit_rewards_enter_the_loss():
    chosen, rejected = implicit_reward(torch.tensor([-3.0]), torch.tensor([-5.0]), 0.1), torch.tensor([-0.3])
    close(chosen, [0.2])
    close(bradley_terry(chosen - rejected), [math.log1p(math.exp(-0.5))])
    close(dpo_logit(torch.tensor([2.0 + 3.0]), 0.1), chosen - rejected)


def test_hand_values():
    z = torch.tensor([0.0, 2.0, -1.0], dtype=torch.float64)
    close(bradley_terry(z), [math.log(2), math.log1p(math.exp(-2)), math.log1p(math.exp(1))])
    close(hinge(z), [1.0, 0.0, 2.0])
    close(ipo(torch.tensor([5.0, 0.0]), 0.1), [0.0, 25.0])
    close(soft_label(z, 0.75), 0.75 * bradley_terry(z) + 0.25 * bradley_terry(-z))
    close(robust(z, 0.25), (0.75 * bradley_terry(z) - 0.25 * bradley_terry(-z)) / 0.5)


def test_sure_labels_reduce_to_bradley_terry():
    z = torch.randn(9, dtype=torch.float64)
    assert torch.equal(soft_label(z, 1.0), bradley_terry(z))
    assert torch.equal(soft_label(z, torch.zeros(9, dtype=torch.float64)), bradley_terry(-z))
    assert torch.equal(robust(z, 0.0), bradley_terry(z))


def test_robust_is_unbiased_under_flipped_labels():
    z = torch.linspace(-3, 3, 9, dtype=torch.float64)
    close(0.8 * robust(z, 0.2) + 0.2 * robust(-z, 0.2), bradley_terry(z))


def test_soft_labels_are_fitted_where_the_logit_is_the_log_odds():
    p = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    z = p.logit().requires_grad_()
    close(torch.autograd.grad(soft_label(z, p).sum(), z)[0], torch.zeros(3), rtol=0, atol=1e-12)


def test_losses_stay_finite_for_large_logits():
    z = torch.tensor([-1e4, 1e4])
    close(bradley_terry(z), [1e4, 0.0])
    close(soft_label(z, 0.9), [0.9e4, 0.1e4])


@pytest.mark.parametrize(
    "loss",
    [
        bradley_terry,
        hinge,
        lambda z: soft_label(z, 0.8),
        lambda z: robust(z, 0.1),
        lambda z: ipo(z, 0.2),
        lambda z: bradley_terry(modpo_logit(z, torch.ones(4, 1, dtype=z.dtype), (0.3, 0.7), 0.2)),
        lambda z: modpo_regression(z, torch.ones_like(z), torch.ones(4, 1, dtype=z.dtype), (0.3, 0.7), 0.2),
        lambda z: implicit_reward(z, torch.ones_like(z), 0.2),
    ],
)
def test_gradients_equal_finite_differences(loss):
    z = torch.tensor([-2.0, -0.1, 0.4, 3.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (z,))


def test_impossible_weights_are_refused():
    logratio, margins = torch.zeros(2), torch.zeros(2, 2)
    with pytest.raises(DataError, match="2 margins need 3 weights"):
        modpo_logit(logratio, margins, (0.5, 0.5), BETA)
    with pytest.raises(DataError, match="2 margins need 3 weights"):
        modpo_regression(logratio, logratio, margins, (0.5, 0.5), BETA)
    with pytest.raises(DataError, match=r"w\[0\] must be positive, got 0.0; use modpo_regression"):
        modpo_logit(logratio, margins, (0.0, 0.5, 0.5), BETA)
    with pytest.raises(DataError, match=r"\[0, 0.5\), got 0.5"):
        robust(logratio, 0.5)
