"""What one optimizer step did to the trained tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trueloop.models.bits import checksums, digest

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
    norms = torch.stack(torch._foreach_norm(list(gradients.values()))).tolist()
    return [name for (name, g), norm in zip(gradients.items(), norms, strict=True) if norm == 0.0 and not g.any()]


def _sample(tensor: Tensor) -> Tensor:
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // SAMPLED)].float().clone()
