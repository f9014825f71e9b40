"""Weights by their Hugging Face names: replaced in place, all or nothing, and fingerprinted.

A slot is a view into the engine's own memory under a Hugging Face name; fused matrices have one slot per part and tied
weights one slot per name, all over the same memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trueloop.errors import EngineError
from trueloop.models.bits import checksums, digest

Slots = Mapping[str, Tensor]


def load(slots: Slots, source: Mapping[str, Tensor]) -> None:
    """Copy `source` into `slots`; of tied names one is enough.  Checks everything before it copies anything."""
    require_loadable(slots, source)
    for name, tensor in source.items():
        slots[name].copy_(tensor)


def require_loadable(slots: Slots, source: Mapping[str, Tensor]) -> None:
    """`EngineError` if names are missing or unknown, shapes differ, or two tied names bring different values."""
    ties = _ties(slots)
    unknown = sorted(source.keys() - slots.keys())
    missing = sorted(names[0] for names in ties if not any(name in source for name in names))
    if unknown or missing:
        raise EngineError(
            f"weights not loaded: {len(missing)} names missing {missing[:3]}, {len(unknown)} unknown {unknown[:3]}; "
            "give every tensor of the base model under its Hugging Face name, adapters merged"
        )
    for name, tensor in source.items():
        if tensor.shape != slots[name].shape:
            raise EngineError(
                f"weights not loaded: {name} is {tuple(tensor.shape)}, expected {tuple(slots[name].shape)}"
            )
    for names in ties:
        given = [name for name in names if name in source]
        if any(not torch.equal(source[given[0]], source[other]) for other in given[1:]):
            raise EngineError(
                f"weights not loaded: {given} are one tensor in this model but bring different values; "
                "untie the embeddings in the model's config, or send the trained one alone"
            )


def checksum(slots: Slots, source: Mapping[str, Tensor] | None = None) -> str:
    """16 hex digits over every weight's bits, tied weights once; of `source` as it would be after loading, if given."""
    found: dict[str, int] = {}
    for names in _ties(slots):
        name = names[0] if source is None else next(n for n in names if n in source)
        tensor = (slots if source is None else source)[name].detach().to(slots[name].dtype)
        found |= checksums({names[0]: tensor})
    return digest(found)


def _ties(slots: Slots) -> list[Sequence[str]]:
    """The names, those of one memory together, sorted."""
    by_memory: dict[tuple[int, torch.Size], list[str]] = {}
    for name in sorted(slots):
        by_memory.setdefault((slots[name].data_ptr(), slots[name].shape), []).append(name)
    return list(by_memory.values())
