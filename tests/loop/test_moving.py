"""What a step changed: exact whether, estimated how much."""

from __future__ import annotations

import pytest
import torch

from trueloop.loop.moving import BLOCK, checksums, digest, glance, movement, without_gradient


def test_a_checksum_depends_on_every_bit_and_its_place() -> None:
    base = torch.linspace(-1, 1, BLOCK + 1000)
    seen = {checksums({"w": base})["w"]}
    for change in (0, 777, BLOCK, BLOCK + 999):
        other = base.clone()
        other[change] = torch.nextafter(other[change], torch.tensor(9.0))
        seen.add(checksums({"w": other})["w"])
    swapped = base.clone()
    swapped[[3, BLOCK + 3]] = base[[BLOCK + 3, 3]]
    neighbours = base.clone()
    neighbours[[3, 4]] = base[[4, 3]]
    seen |= {checksums({"w": w})["w"] for w in (swapped, neighbours, -base)}
    assert len(seen) == 8
    assert checksums({"w": base.clone().view(2, -1)}) == checksums({"w": base})


def test_a_digest_is_of_names_and_values() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert len({digest({"a": 1, "b": 2}), digest({"a": 2, "b": 1}), digest({"a": 1})}) == 3


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
