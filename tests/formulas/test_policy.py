import math

import pytest
import torch

from trueloop.errors import DataError
from trueloop.formulas import policy
from trueloop.formulas.reduce import sequence_mean, weighted_sum

THETA = torch.tensor([0.3, -0.8, 0.1, 0.9], dtype=torch.float64)
REF = torch.tensor([0.0, 0.7, -0.4, 0.2], dtype=torch.float64).log_softmax(0)
REWARDS = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)


def close(found, expected, **tolerance):
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), **tolerance)


def gradient(objective):
    """Gradient at THETA of a function of the log-probabilities of the four actions."""
    theta = THETA.clone().requires_grad_()
    return torch.autograd.grad(objective(theta.log_softmax(0)), theta)[0]


def kl(p, q):
    return (p.exp() * (p - q)).sum()


def on(x):
    """E_pi[x] over actions drawn from the policy at THETA, which has no gradient of its own."""
    return (THETA.softmax(0) * x).sum()


class TestClipped:
    old = torch.tensor([[0.25]]).log()
    logp = torch.tensor([[0.5]]).log()

    def test_hand_values(self):
        one = torch.ones(1, 1)
        close(policy.clipped(self.logp, self.old, one, 0.2, 0.28), [[-1.28]])
        close(policy.clipped(self.logp, self.old, -one, 0.2, 0.28), [[2.0]])
        close(policy.clipped(self.old, self.logp, one, 0.2, 0.28), [[-0.5]])
        close(policy.clipped(self.old, self.logp, -one, 0.2, 0.28), [[0.8]])

    @pytest.mark.parametrize(("ratio", "adv"), [(1.29, 1.0), (0.79, -1.0)])
    def test_a_clipped_token_gets_no_gradient(self, ratio, adv):
        logp = torch.tensor([[math.log(ratio)]], requires_grad=True)
        policy.clipped(logp, torch.zeros(1, 1), torch.tensor([[adv]]), 0.2, 0.28).sum().backward()
        assert logp.grad.item() == 0

    @pytest.mark.parametrize(("ratio", "adv"), [(1.27, 1.0), (1.29, -1.0), (0.79, 1.0), (0.81, -1.0)])
    def test_any_other_token_gets_the_policy_gradient(self, ratio, adv):
        logp = torch.tensor([[math.log(ratio)]], requires_grad=True)
        policy.clipped(logp, torch.zeros(1, 1), torch.tensor([[adv]]), 0.2, 0.28).sum().backward()
        assert logp.grad.item() == pytest.approx(-ratio * adv)

    def test_the_clip_masks_are_where_the_gradient_is_zero(self):
        logp = torch.linspace(-1, 1, 20).repeat(2, 1).requires_grad_()
        adv = torch.tensor([[1.0], [-1.0]]).expand(2, 20)
        old = torch.linspace(-0.3, 0.3, 20).expand(2, 20)
        (grad,) = torch.autograd.grad(policy.clipped(logp, old, adv, 0.2, 0.28).sum(), logp)
        above = policy.clipped_above(logp, old, adv, 0.28)
        below = policy.clipped_below(logp, old, adv, 0.2)
        assert above.any() and below.any() and not (above & below).any()
        assert torch.equal(above | below, grad == 0)
        assert not above[1].any() and not below[0].any()

    def test_gradient_equals_finite_differences(self):
        logp = torch.tensor([[-0.9, -1.0, -1.5, -0.3]], dtype=torch.float64, requires_grad=True)
        old, adv = torch.full_like(logp, -1.0).detach(), torch.tensor([[1.0, -1.0, 2.0, 0.5]], dtype=torch.float64)
        assert torch.autograd.gradcheck(lambda x: policy.clipped(x, old, adv, 0.2, 0.28), (logp,))


class TestExpectations:
    """Enumerated over a categorical policy: the estimator's expectation is the thing itself."""

    def test_on_policy_losses_have_the_gradient_of_minus_the_expected_reward(self):
        truth = -gradient(lambda logp: (logp.exp() * REWARDS).sum())
        old = THETA.log_softmax(0)
        mask = torch.ones(4, 1, dtype=torch.bool)
        close(gradient(lambda logp: on(policy.reinforce(logp, old, REWARDS))), truth)
        close(gradient(lambda logp: on(policy.clipped(logp, old, REWARDS, 0.2, 0.2))), truth)
        close(gradient(lambda logp: on(policy.cispo(logp, old, REWARDS, 5.0))), truth)
        columns = [x[:, None] for x in (old, REWARDS)]
        close(gradient(lambda logp: on(policy.gspo(logp[:, None], *columns, mask, 0.2, 0.2)[:, 0])), truth)

    def test_reinforce_off_policy_is_unbiased_under_samples_of_the_old_policy(self):
        truth = -gradient(lambda logp: (logp.exp() * REWARDS).sum())
        close(gradient(lambda logp: (REF.exp() * policy.reinforce(logp, REF, REWARDS)).sum()), truth)

    def test_truncated_weights_under_their_cap_correct_for_the_behaviour_policy(self):
        truth = -gradient(lambda logp: (logp.exp() * REWARDS).sum())
        scored = THETA.log_softmax(0)
        weights = policy.truncated_importance_weights(scored, REF, cap=100.0)
        close(gradient(lambda logp: (REF.exp() * weights * policy.reinforce(logp, scored, REWARDS)).sum()), truth)

    @pytest.mark.parametrize("estimator", [policy.kl_k1, policy.kl_k3])
    def test_k1_and_k3_are_unbiased_for_the_kl(self, estimator):
        logp = THETA.log_softmax(0)
        close(on(estimator(logp, REF)), kl(logp, REF))
        assert abs(on(estimator(REF, logp)) - kl(logp, REF)) > 0.01  # the flipped sign is something else

    def test_k2_is_close_for_policies_that_are_close(self):
        logp = THETA.log_softmax(0)
        near = (THETA + 0.01 * REWARDS).log_softmax(0)
        close(on(policy.kl_k2(logp, near)), kl(logp, near), rtol=0.02, atol=0)

    def test_k2_as_a_loss_has_the_gradient_of_the_kl(self):
        close(gradient(lambda logp: on(policy.kl_k2(logp, REF))), gradient(lambda logp: kl(logp, REF)))

    def test_k1_in_the_reward_has_the_gradient_of_the_kl_and_as_a_loss_none(self):
        old = THETA.log_softmax(0)
        penalty = policy.kl_k1(old, REF)
        close(gradient(lambda logp: on(policy.reinforce(logp, old, -penalty))), gradient(lambda logp: kl(logp, REF)))
        close(gradient(lambda logp: on(policy.kl_k1(logp, REF))), torch.zeros(4))

    def test_k3_as_a_loss_has_the_gradient_of_the_forward_kl(self):
        close(gradient(lambda logp: on(policy.kl_k3(logp, REF))), gradient(lambda logp: kl(REF, logp)))


class TestKl:
    def test_hand_values(self):
        logp, ref = torch.tensor([0.5]).log(), torch.tensor([0.25]).log()
        close(policy.kl_k1(logp, ref), [math.log(2)])
        close(policy.kl_k2(logp, ref), [math.log(2) ** 2 / 2])
        close(policy.kl_k3(logp, ref), [0.5 + math.log(2) - 1])

    def test_k3_pulls_by_less_than_one_where_the_policy_is_above_the_reference(self):
        logp = torch.tensor([7.0, 1.0, 0.0], requires_grad=True)
        policy.kl_k3(logp, torch.zeros(3)).sum().backward()
        close(logp.grad, [1 - math.exp(-7), 1 - math.exp(-1), 0.0])

    def test_k3_is_precise_and_never_negative_for_tiny_differences(self):
        d = torch.tensor([1e-3, -1e-3, 1e-4, -1e-4, 0.0])
        close(policy.kl_k3(-d, torch.zeros(5)), d.double().square() / 2, rtol=2e-3, atol=0)

    @pytest.mark.parametrize("estimator", [policy.kl_k1, policy.kl_k2, policy.kl_k3])
    def test_gradient_equals_finite_differences(self, estimator):
        logp = torch.tensor([-0.3, -2.0, -1.0], dtype=torch.float64, requires_grad=True)
        ref = torch.tensor([-0.4, -1.0, -1.0], dtype=torch.float64)
        assert torch.autograd.gradcheck(lambda x: estimator(x, ref), (logp,))


class TestStoppedGradients:
    logp = torch.tensor([[0.5, 0.9]], dtype=torch.float64).log()
    old = torch.tensor([[0.25, 0.1]], dtype=torch.float64).log()
    adv = torch.tensor([[3.0, -1.0]], dtype=torch.float64)

    def gradient(self, loss):
        logp = self.logp.clone().requires_grad_()
        return torch.autograd.grad(loss(logp).sum(), logp)[0]

    def test_reinforce(self):
        close(self.gradient(lambda x: policy.reinforce(x, self.old, self.adv)), [[-2 * 3.0, 9.0]])

    def test_cispo_caps_the_weight_and_keeps_the_gradient(self):
        close(policy.cispo(self.logp, self.old, self.adv, 1.5), -1.5 * self.adv * self.logp)
        close(self.gradient(lambda x: policy.cispo(x, self.old, self.adv, 1.5)), -1.5 * self.adv)
        close(self.gradient(lambda x: policy.cispo(x, self.old, self.adv, 4.0)), [[-2 * 3.0, 4.0]])

    def test_cispo_has_no_lower_bound(self):
        far = self.logp + 5
        close(policy.cispo(self.logp, far, self.adv, 1.5), -math.exp(-5) * self.adv * self.logp)

    def test_truncated_importance_weights(self):
        scored = self.logp.clone().requires_grad_()
        weights = policy.truncated_importance_weights(scored, self.old, 3.0)
        close(weights, [[2.0, 3.0]])
        assert not weights.requires_grad


class TestGspo:
    logp = torch.tensor([[-0.5, -1.0, -0.2], [-1.0, -0.4, 99.0]], dtype=torch.float64)
    old = torch.tensor([[-0.6, -1.05, -0.25], [-1.3, -0.9, -5.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, True], [True, True, False]])

    def sequence_loss(self, logp, adv_B, low, high):
        """The paper's own form: one ratio per sequence, one loss per sequence, their mean."""
        rows = [((logp[i] - self.old[i])[self.mask[i]]).mean().exp() for i in range(2)]
        s = torch.stack(rows)
        return -torch.minimum(s * adv_B, s.clamp(1 - low, 1 + high) * adv_B).mean()

    @pytest.mark.parametrize("advantages", [(1.0, -2.0), (-1.0, 2.0), (1.0, 2.0)])
    @pytest.mark.parametrize("clip", [(0.3, 0.4), (0.05, 0.06), (10.0, 10.0)])
    def test_value_and_gradient_are_those_of_the_sequence_form(self, advantages, clip):
        adv = torch.tensor(advantages, dtype=torch.float64)
        logp = self.logp.clone().requires_grad_()
        per_token = policy.gspo(logp, self.old, adv[:, None].expand(2, 3), self.mask, *clip)
        found = weighted_sum(per_token, self.mask, torch.tensor(sequence_mean([3, 2]), dtype=torch.float64))
        expected = self.sequence_loss(logp, adv, *clip)
        close(found, expected.detach())
        close(*(torch.autograd.grad(loss, logp)[0] for loss in (found, expected)))

    def test_a_row_without_trained_tokens_is_finite(self):
        loss = policy.gspo(self.logp, self.old, torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.bool), 0.2, 0.2)
        close(loss, -torch.ones(2, 3))


class TestOverlong:
    def test_hand_values(self):
        lengths = torch.tensor([0, 80, 81, 90, 100, 101, 500])
        close(policy.overlong_penalty(lengths, 100, 20), [0.0, 0.0, -0.05, -0.5, -1.0, -1.0, -1.0])

    @pytest.mark.parametrize("cache", [0, -1, 101])
    def test_a_cache_that_does_not_fit_is_refused(self, cache):
        with pytest.raises(DataError, match="0 < cache <= max_length"):
            policy.overlong_penalty(torch.tensor([1]), 100, cache)
