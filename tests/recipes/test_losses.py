import math

import pytest
import torch
from pytest import approx

from trueloop.errors import DataError
from trueloop.recipes.losses import Distillation, ForwardKl, Jsd, ReverseKl, Supervised
from trueloop.train.batch import Batch, Outputs

STUDENT, TEACHER = [0.5, 0.3, 0.2], [0.1, 0.6, 0.3]


def kl(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def batch(weight: float = 1.0, teacher: list[float] | None = None) -> Batch:
    return Batch(
        ids=("a",),
        ids_BT=torch.tensor([[0]]),
        mask_BT=torch.ones(1, 1, dtype=torch.bool),
        weights_BT=torch.tensor([[weight]]),
        old_logp_BT=None,
        ref_logp_BT=None,
        teacher_ids_BTK=None if teacher is None else torch.arange(len(teacher)).view(1, 1, -1),
        teacher_logp_BTK=None if teacher is None else torch.tensor([[teacher]]).log(),
        scale_B=torch.ones(1),
    )


def outputs(student: list[float] | None = None) -> Outputs:
    at = None if student is None else torch.tensor([[student]]).log()
    return Outputs(logp_BT=torch.tensor([[math.log(0.25)]]), entropy_BT=None, teacher_token_logp_BTK=at)


def test_supervised_loss_is_weighted_and_its_metric_is_not() -> None:
    loss, metrics = Supervised()(outputs(), batch(weight=0.5))
    assert loss.item() == approx(0.5 * math.log(4))
    assert metrics["nll"].item() == approx(math.log(4))


@pytest.mark.parametrize(
    ("divergence", "value"),
    [
        (ForwardKl(), kl(TEACHER, STUDENT)),
        (ReverseKl(), kl(STUDENT, TEACHER)),
        (
            Jsd(beta=0.25),
            0.25 * kl(TEACHER, [0.25 * q + 0.75 * p for p, q in zip(STUDENT, TEACHER, strict=True)])
            + 0.75 * kl(STUDENT, [0.25 * q + 0.75 * p for p, q in zip(STUDENT, TEACHER, strict=True)]),
        ),
    ],
)
def test_each_divergence_is_the_one_it_is_called(divergence: ForwardKl, value: float) -> None:
    loss, metrics = Distillation(divergence)(outputs(STUDENT), batch(2.0, TEACHER))
    assert loss.item() == approx(2 * value, rel=1e-4)
    assert metrics["divergence"].item() == approx(value, rel=1e-4)
    assert metrics["teacher_mass"].item() == approx(1.0)


def test_a_missing_teacher_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(DataError, match="needs samples with a teacher's tokens"):
        Distillation(ReverseKl())(outputs(STUDENT), batch())
