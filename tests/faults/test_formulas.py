from __future__ import annotations

import pytest
import torch

from numerics_toys import CLIP, rows, stream, trainer
from trueloop.faults import formulas
from trueloop.preflight.numerics.probe import Probe
from trueloop.recipes.policy import Clip, Kl, PolicyLoss


def loss_of(loss: object, reference: bool = False) -> torch.Tensor:
    found = Probe.of(stream(loss, samples=rows(reference=reference)), trainer())
    assert found is not None
    return found()[0][found.given.mask_BT]


def test_each_is_the_right_loss_but_for_one_line() -> None:
    right = loss_of(CLIP)
    assert torch.equal(loss_of(formulas.Scaled(CLIP)), 2 * right)
    assert torch.equal(loss_of(formulas.Detached(CLIP)), right)
    assert torch.allclose(loss_of(formulas.SquaredRatio(CLIP)), right, atol=1e-4)
    assert not torch.equal(loss_of(formulas.BatchBaseline(CLIP)), right)
    assert not torch.equal(loss_of(formulas.PaddedMean(CLIP)), right)
    assert not torch.equal(loss_of(formulas.MicroBatchMean(CLIP)), right)
    assert formulas.Scaled(CLIP).silent_at_zero_weight and not formulas.Scaled(CLIP).needs_entropy


@pytest.mark.parametrize("kind", ["sign", "reversed", "detached", "left out", "hundredfold"])
def test_penalties_vanish_where_the_policy_is_the_reference(kind: str) -> None:
    right = PolicyLoss(Clip(low=0.2, high=0.3), kl=Kl(coefficient=0.1))
    assert torch.allclose(loss_of(formulas.WithKl(right, kind=kind), True), loss_of(CLIP), atol=1e-5)
