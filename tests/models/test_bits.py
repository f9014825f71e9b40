"""Checksums of tensors."""

from __future__ import annotations

import pytest
import torch

from trueloop.models.bits import BLOCK, checksums, digest


def test_a_checksum_depends_on_every_bit_and_its_place() -> None:
    base = torch.linspace(-1, 1, 2 * BLOCK + 1000)
    seen = {checksums({"w": base})["w"]}
    for change in (0, 777, 2 * BLOCK, 2 * BLOCK + 999):
        other = base.clone()
        other[change] = torch.nextafter(other[change], torch.tensor(9.0))
        seen.add(checksums({"w": other})["w"])
    swapped = base.clone()
    swapped[[6, 2 * BLOCK + 6]] = base[[2 * BLOCK + 6, 6]]
    neighbours = base.clone()
    neighbours[[3, 4]] = base[[4, 3]]
    seen |= {checksums({"w": w})["w"] for w in (swapped, neighbours, -base)}
    assert len(seen) == 8
    assert checksums({"w": base.clone().view(2, -1)}) == checksums({"w": base})


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int8])
@pytest.mark.parametrize("numel", [0, 1, 3, 7, 8, 9, 1001])
def test_every_number_counts_whatever_its_size_and_wherever_it_lies(dtype: torch.dtype, numel: int) -> None:
    base = torch.arange(numel + 1).remainder(100).add(1).to(dtype)
    tensor = base[1:]
    sums = {checksums({"w": tensor})["w"], *(checksums({"w": _changed(tensor, k)})["w"] for k in range(numel))}
    several = [list(range(k, numel, step)) for k, step in ((0, 1), (0, 2), (1, 2), (2, 3))]
    several = [places for places in several if len(places) > 1]
    sums |= {checksums({"w": _changed(tensor, places)})["w"] for places in several}
    assert len(sums) == numel + 1 + len(several)
    assert checksums({"w": tensor}) == checksums({"w": tensor.clone()})


def _changed(tensor: torch.Tensor, place: int | list[int]) -> torch.Tensor:
    other = tensor.clone()
    other[place] = -other[place]
    return other


def test_a_digest_is_of_names_and_values() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert len({digest({"a": 1, "b": 2}), digest({"a": 2, "b": 1}), digest({"a": 1})}) == 3
