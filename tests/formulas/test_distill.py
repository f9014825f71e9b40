import math

import pytest
import torch

from trueloop.errors import DataError
from trueloop.formulas.distill import forward_kl, jsd, renormalized, reverse_kl, sft, teacher_mass, truncated, with_tail

V = 6
STUDENT = torch.tensor([[0.4, -1.0, 0.3, 2.0, 0.0, 0.7], [1.0, 0.0, 0.5, -1.0, 0.2, 0.1]], dtype=torch.float64)
TEACHER = torch.tensor([[1.4, 0.2, 2.3, -1.0, 0.1, 0.0], [0.0, 3.0, 0.5, 0.4, 0.2, -2.0]], dtype=torch.float64)


def jsd_third(student, teacher, support, **options):
    return jsd(student, teacher, support, beta=1 / 3, **options)


DIVERGENCES = [forward_kl, reverse_kl, jsd_third]
PROPER = [
    (d, s) for d in DIVERGENCES for s in (with_tail, renormalized, truncated) if (d, s) != (reverse_kl, truncated)
]


def close(found, expected, **tolerance):
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), **tolerance)


def kl(p, q):
    return (p * (p / q).log()).sum(-1)


def exact(divergence, p, q):
    """The divergence of two plain probability vectors, student p and teacher q."""
    mixture = q / 3 + 2 * p / 3
    return {forward_kl: kl(q, p), reverse_kl: kl(p, q), jsd_third: kl(q, mixture) / 3 + 2 * kl(p, mixture) / 3}[
        divergence
    ]


def top(k, logits=TEACHER):
    """The teacher's k best ids, its log-probabilities there, and a function that takes the student's."""
    logp, ids = logits.log_softmax(-1).topk(k)
    return logp, lambda student: student.log_softmax(-1).gather(-1, ids)


def test_sft_is_minus_the_log_probability_with_gradient_minus_one():
    logp = torch.tensor([[-0.1, -2.0]], requires_grad=True)
    loss = sft(logp)
    close(loss, [[0.1, 2.0]])
    close(torch.autograd.grad(loss.sum(), logp)[0], [[-1.0, -1.0]])


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("support", [with_tail, renormalized])
def test_the_whole_vocabulary_gives_the_exact_divergence(divergence, support):
    teacher, student = top(V)
    close(divergence(student(STUDENT), teacher, support), exact(divergence, STUDENT.softmax(-1), TEACHER.softmax(-1)))


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_the_whole_vocabulary_in_float32_is_exact_to_rounding(divergence):
    teacher, student = top(V, TEACHER.float())
    truth = exact(divergence, STUDENT.softmax(-1), TEACHER.softmax(-1))
    close(divergence(student(STUDENT.float()), teacher, with_tail), truth, rtol=0, atol=3e-6)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_supports_mean_what_they_say(divergence):
    teacher, student = top(2)
    p, q = student(STUDENT).exp(), teacher.exp()
    p_tail, q_tail = (torch.cat([x, 1 - x.sum(-1, keepdim=True)], -1) for x in (p, q))
    p_cut, q_cut = (x / x.sum(-1, keepdim=True) for x in (p, q))
    close(divergence(p.log(), teacher, with_tail), exact(divergence, p_tail, q_tail))
    close(divergence(p.log(), teacher, renormalized), exact(divergence, p_cut, q_cut))


def test_truncated_forward_kl_is_cross_entropy_to_the_renormalised_teacher_minus_its_entropy():
    teacher, student = top(2)
    q = teacher.exp() / teacher.exp().sum(-1, keepdim=True)
    close(forward_kl(student(STUDENT), teacher, truncated), (q * (q.log() - student(STUDENT))).sum(-1))
    assert torch.isinf(reverse_kl(student(STUDENT), teacher, truncated)).all()


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_with_tail_is_a_lower_bound_that_rises_with_k(divergence):
    values = []
    for k in range(1, V + 1):
        teacher, student = top(k)
        values.append(divergence(student(STUDENT), teacher, with_tail, min_mass=0.0))
    steps = torch.stack(values).diff(dim=0)
    assert (steps > -1e-12).all() and (steps[0] > 1e-4).all()


def test_jsd_hand_value():
    student, teacher = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()
    m = (0.25 * 0.9 + 0.75 * 0.5, 0.25 * 0.1 + 0.75 * 0.5)
    expected = 0.25 * (0.9 * math.log(0.9 / m[0]) + 0.1 * math.log(0.1 / m[1]))
    expected += 0.75 * (0.5 * math.log(0.5 / m[0]) + 0.5 * math.log(0.5 / m[1]))
    close(jsd(student, teacher, renormalized, beta=0.25), [expected])


def test_jsd_tends_to_the_two_kls():
    teacher, student = top(3)
    p = student(STUDENT)
    close(jsd(p, teacher, with_tail, beta=1e-6) / 1e-6, forward_kl(p, teacher, with_tail), rtol=1e-4, atol=0)
    close(jsd(p, teacher, with_tail, beta=1 - 1e-6) / 1e-6, reverse_kl(p, teacher, with_tail), rtol=1e-4, atol=0)


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.1])
def test_jsd_refuses_a_beta_outside_the_open_interval(beta):
    with pytest.raises(DataError, match="forward_kl and reverse_kl"):
        jsd(STUDENT, TEACHER, with_tail, beta=beta)


@pytest.mark.parametrize(("divergence", "support"), PROPER)
def test_gradients_equal_finite_differences(divergence, support):
    teacher, student = top(3)
    logits = STUDENT.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: divergence(student(x), teacher, support), (logits,))


def test_forward_kl_over_the_vocabulary_has_gradient_p_minus_q_and_vanishes_at_the_teacher():
    teacher, student = top(V)
    for logits in (STUDENT, TEACHER):
        x = logits.clone().requires_grad_()
        forward_kl(student(x), teacher, with_tail).sum().backward()
        close(x.grad, logits.softmax(-1) - TEACHER.softmax(-1), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("divergence", "support"), PROPER)
@pytest.mark.parametrize(("missing", "min_mass"), [(-math.inf, 0.5), (-math.inf, 0.0), (-100.0, 0.5)])
def test_a_position_without_a_teacher_is_no_target(divergence, support, missing, min_mass):
    teacher, student = top(3)
    teacher = teacher.clone()
    teacher[0] = missing
    logits = STUDENT.clone().requires_grad_()
    loss = divergence(student(logits), teacher, support, min_mass=min_mass)
    assert loss[0].item() == 0 and loss[1].item() > 0
    loss.sum().backward()
    assert not logits.grad[0].any() and logits.grad[1].abs().sum() > 0 and torch.isfinite(logits.grad).all()


def test_a_teacher_below_the_least_mass_is_no_target():
    teacher, student = top(1)
    mass = teacher_mass(teacher)
    close(mass, TEACHER.softmax(-1).amax(-1))
    limit = float(mass.mean())
    loss = forward_kl(student(STUDENT), teacher, with_tail, min_mass=limit)
    assert torch.equal(loss != 0, mass >= limit) and (loss != 0).sum() == 1


@pytest.mark.parametrize(("divergence", "support"), PROPER)
def test_missing_entries_of_a_list_change_nothing_whatever_their_id(divergence, support):
    teacher, student = top(2)
    logits = STUDENT.clone().requires_grad_()
    listed = student(logits)
    padded_student = torch.cat([listed, listed[:, :1], listed[:, :1]], -1)
    padded_teacher = torch.cat([teacher, torch.full((2, 2), -math.inf, dtype=torch.float64)], -1)
    padded, short = divergence(padded_student, padded_teacher, support), divergence(listed, teacher, support)
    close(padded, short.detach())
    close(*(torch.autograd.grad(loss.sum(), logits, retain_graph=True)[0] for loss in (padded, short)))


def test_works_on_rows_of_tokens():
    teacher, student = top(3)
    flat = forward_kl(student(STUDENT), teacher, with_tail)
    stacked = forward_kl(student(STUDENT).view(2, 1, 3), teacher.view(2, 1, 3), with_tail)
    close(stacked, flat[:, None])
