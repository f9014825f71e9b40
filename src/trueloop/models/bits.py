"""A checksum of tensors that costs one pass over their memory, wherever that is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

BLOCK = 2**18
"""Words that are multiplied at once."""

WORD = 8
"""Bytes of a word."""


@torch.no_grad()
def checksums(named: Mapping[str, Tensor]) -> dict[str, int]:
    """Name -> 64 bits that depend on every bit of the tensor and on its place; integers alone, so exact anywhere."""
    parts = {name: [_weighed(block) for block in _words(tensor)] for name, tensor in named.items()}
    flat = [part for sums in parts.values() for part in sums]
    found = iter(torch.stack([part.to(flat[0].device) for part in flat]).tolist() if flat else ())
    return {name: _fold([next(found) for _ in sums]) for name, sums in parts.items()}


def digest(sums: Mapping[str, int]) -> str:
    """16 hex digits over names and checksums."""
    text = "\n".join(f"{name} {sums[name]}" for name in sorted(sums))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _words(tensor: Tensor) -> list[Tensor]:
    """The bits in words of 64, in blocks; numbers that fill no whole word come last, one in each."""
    flat = tensor.detach().reshape(-1)
    each = WORD // flat.element_size()
    whole = flat.numel() // each * each
    head, rest = flat[:whole], flat[whole:]
    aligned = head if head.storage_offset() % each == 0 else head.clone()
    bits = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}[flat.element_size()]
    return [*aligned.view(torch.int64).split(BLOCK), *([rest.view(bits).to(torch.int64)] if len(rest) else [])]


def _weighed(block: Tensor) -> Tensor:
    """Upper bits are first added further down: a factor carries bits up alone, so that of two signs turned in the top
    bit nothing would be left."""
    return (block >> 29).add_(block).mul_(_factors(block)).sum()


def _factors(block: Tensor) -> Tensor:
    """Odd numbers that grow with the place, so that no two places can be exchanged unseen."""
    key = str(block.device)
    if key not in _FACTORS:
        _FACTORS[key] = torch.arange(BLOCK, dtype=torch.int64, device=block.device) * 0x9E3779B97F4A7C1 * 2 + 1
    return _FACTORS[key][: block.numel()]


_FACTORS: dict[str, Tensor] = {}


def _fold(sums: list[int]) -> int:
    total = 0
    for part in sums:
        total = (total * 0x100000001B3 + part) % 2**64
    return total
