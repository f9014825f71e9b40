"""Checksums of tensors."""

from __future__ import annotations

import torch

from trueloop.models.bits import BLOCK, checksums, digest


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
