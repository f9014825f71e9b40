"""What a step changed: exact whether, estimated how much."""

from __future__ import annotations

import pytest
import torch

from trueloop.loop.moving import glance, movement, without_gradient


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_moved_and_how_far(dtype: torch.dtype) -> None:
    named = {"still": torch.ones(10, dtype=dtype), "moves": torch.full((4, 5000), 2.0, dtype=dtype)}
    before = glance(named)
    named["moves"] += 0.5
    after = glance(named)
    found = movement(before, after, {name: t.numel() for name, t in named.items()})
    assert found.moved == ["moves"]
    assert found.sizes == {"still": 0.0, "moves": 0.2}
    assert found.scale == {"still": 1.0, "moves": 2.0}
    assert found.overall == pytest.approx((20000 * 0.25 / (20000 * 6.25 + 10)) ** 0.5)
    assert before.digest != after.digest


def test_one_number_between_those_that_are_sampled_is_seen_to_move() -> None:
    named = {"w": torch.zeros(50000)}
    before = glance(named)
    named["w"][1] = 1e-30
    assert movement(before, glance(named), {"w": 50000}).moved == ["w"]


def test_tensors_without_any_gradient_are_named() -> None:
    gradients = {"a": torch.zeros(3, 3), "b": torch.tensor([0.0, -1e-30]), "c": torch.zeros(1)}
    assert without_gradient(gradients) == ["a", "c"]
