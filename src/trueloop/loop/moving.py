"""What one optimizer step did to the trained tensors, and a checksum of them that costs one pass over their memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 2**18
"""Numbers that are widened at once."""

SAMPLED = 4096
"""Numbers of each tensor by which the size of a change is measured: of whether there is one, every bit tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """The trained tensors at one moment.  sums: name -> a checksum of all its bits; samples: some of its numbers."""

    sums: dict[str, int]
    samples: dict[str, Tensor]

    @property
    def digest(self) -> str:
        """16 hex digits over all of them."""
        return digest(self.sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """From one glance to the next.  sizes: relative to the tensor's own, estimated from the sample; scale: mean |w|."""

    moved: list[str]
    sizes: dict[str, float]
    scale: dict[str, float]
    overall: float


@torch.no_grad()
def glance(named: Mapping[str, Tensor]) -> Glance:
    """Look at all of them; their numbers are copied only in part."""
    return Glance(sums=checksums(named), samples={name: _sample(tensor) for name, tensor in named.items()})


@torch.no_grad()
def checksums(named: Mapping[str, Tensor]) -> dict[str, int]:
    """Name -> 64 bits that depend on every bit of the tensor and on its place; integers alone, so exact anywhere."""
    parts = {name: torch.stack(_block_sums(tensor)) for name, tensor in named.items()}
    return {name: _fold(part.tolist()) for name, part in parts.items()}


def digest(sums: Mapping[str, int]) -> str:
    """16 hex digits over names and checksums."""
    text = "\n".join(f"{name} {sums[name]}" for name in sorted(sums))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@torch.no_grad()
def movement(before: Glance, after: Glance, numels: Mapping[str, int]) -> Movement:
    """What changed.  numels: numbers of each whole tensor, by which the overall size weighs them."""
    names = list(after.sums)
    found = [
        torch.stack(((new - old).square().mean(), new.square().mean(), old.abs().mean()))
        for old, new in ((before.samples[name], after.samples[name]) for name in names)
    ]
    rows = dict(zip(names, torch.stack(found).double().tolist(), strict=True))
    moved_sq = sum(numels[name] * row[0] for name, row in rows.items())
    size_sq = sum(numels[name] * row[1] for name, row in rows.items())
    return Movement(
        moved=[name for name in names if before.sums[name] != after.sums[name]],
        sizes={name: (d / w) ** 0.5 if w else 0.0 for name, (d, w, _) in rows.items()},
        scale={name: row[2] for name, row in rows.items()},
        overall=(moved_sq / size_sq) ** 0.5 if size_sq else 0.0,
    )


@torch.no_grad()
def without_gradient(gradients: Mapping[str, Tensor]) -> list[str]:
    """Names whose gradient is 0 everywhere."""
    peaks = torch.stack(torch._foreach_norm(list(gradients.values()), float("inf"))).tolist()
    return [name for name, peak in zip(gradients, peaks, strict=True) if peak == 0.0]


def _sample(tensor: Tensor) -> Tensor:
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // SAMPLED)].float().clone()


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
