"""What one optimizer step did to the trained tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trueloop.models.bits import checksums, digest

SAMPLED = 1024
"""Numbers of each tensor by which the size of a change is measured: of whether there is one, every bit tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """The trained tensors at one moment.

    sums     name -> a checksum of all its bits
    samples  some numbers of each, one tensor after the other, float32
    lengths  how many of each
    """

    sums: dict[str, int]
    samples: Tensor
    lengths: Tensor

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
    samples = [_sample(tensor) for tensor in named.values()]
    lengths = torch.tensor([len(sample) for sample in samples], device=samples[0].device)
    return Glance(sums=checksums(named), samples=torch.cat(samples), lengths=lengths)


@torch.no_grad()
def movement(before: Glance, after: Glance, numels: Mapping[str, int]) -> Movement:
    """What changed.  numels: numbers of each whole tensor, by which the overall size weighs them."""
    names, old, new = list(after.sums), before.samples, after.samples
    found = torch.stack(((new - old).square(), new.square(), old.abs()), dim=1)
    means = torch.segment_reduce(found, "mean", lengths=after.lengths, axis=0)
    rows = dict(zip(names, means.double().tolist(), strict=True))
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
    return flat[:: max(1, flat.numel() // SAMPLED)].float()
