"""A checksum of tensors that costs one pass over their memory, wherever that is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

BLOCK = 2**18
"""Numbers that are widened at once."""


@torch.no_grad()
def checksums(named: Mapping[str, Tensor]) -> dict[str, int]:
    """Name -> 64 bits that depend on every bit of the tensor and on its place; integers alone, so exact anywhere."""
    parts = {name: torch.stack(_block_sums(tensor)) for name, tensor in named.items()}
    return {name: _fold(part.tolist()) for name, part in parts.items()}


def digest(sums: Mapping[str, int]) -> str:
    """16 hex digits over names and checksums."""
    text = "\n".join(f"{name} {sums[name]}" for name in sorted(sums))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _block_sums(tensor: Tensor) -> list[Tensor]:
    flat = tensor.detach().reshape(-1)
    bits = flat.view({8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}[flat.element_size()])
    return [(block.to(torch.int64) * _factors(block)).sum() for block in bits.split(BLOCK)]


def _factors(block: Tensor) -> Tensor:
    """Odd numbers that grow with the place, so that no two places can be exchanged unseen."""
    key = (str(block.device), block.numel())
    if key not in _FACTORS:
        _FACTORS[key] = torch.arange(block.numel(), dtype=torch.int64, device=block.device) * 0x9E3779B97F4A7C1 * 2 + 1
    return _FACTORS[key]


_FACTORS: dict[tuple[str, int], Tensor] = {}


def _fold(sums: list[int]) -> int:
    total = 0
    for part in sums:
        total = (total * 0x100000001B3 + part) % 2**64
    return total
