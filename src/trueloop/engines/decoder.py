"""What the scheduler needs of a model: prompts computed once, rows decoded together.  Two implementations.

Shapes: J prompts, T tokens, R decode rows, V vocabulary.  A position is one token's keys and values in every layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from trueloop.engines.weights import Slots

PROBE_TOLERANCE = 1e-4
"""Largest difference from the plain forward, as a share of the largest logit; fp32 rounding stays well below."""


@dataclass(slots=True, kw_only=True)
class Prefix:
    """Prompts whose keys and values are being computed, or are kept until all their samples have started.

    kv     the decoder's own
    done   tokens computed so far, of the longest prompt
    """

    prompts: Sequence[tuple[int, ...]]
    adapters: Sequence[str | None]
    kv: Any
    done: int = 0

    @property
    def width(self) -> int:
        """Length of the longest prompt."""
        return max(map(len, self.prompts))

    @property
    def positions(self) -> int:
        """Positions held: the prompts are padded to one length."""
        return len(self.prompts) * self.width


class Decoder(Protocol):
    """Prefill, decode and score.  Used from one thread only."""

    name: str

    @property
    def slots(self) -> Slots:
        """The weights in use by their Hugging Face names, to be replaced in place."""
        ...

    @property
    def rows(self) -> int:
        """Decode rows at present."""
        ...

    @property
    def positions(self) -> int:
        """Positions held for decode rows, whether filled or not."""
        ...

    def start(self, prompts: Sequence[tuple[int, ...]], adapters: Sequence[str | None]) -> Prefix:
        """Prompts to be computed; nothing is computed yet."""
        ...

    def extend(self, prefix: Prefix, count: int) -> Tensor | None:
        """Compute the next `count` tokens (only a single prompt may be cut); logits_JV after the last, else None."""
        ...

    def reserve(self, rows: int, width: int) -> None:
        """Make room for `rows` rows of `width` positions, those at present included."""
        ...

    def append(self, prefix: Prefix, picks: Sequence[int]) -> None:
        """Add one decode row for each pick, an index into the prefix's prompts."""
        ...

    def step(self, token_R: Sequence[int]) -> Tensor:
        """Feed each row's last token; logits_RV that predict the next."""
        ...

    def retire(self, gone: Sequence[int]) -> list[int]:
        """Drop rows; returns the old indices of those that stay, in their new order."""
        ...

    def score(self, ids_JT: Tensor, adapters: Sequence[str | None]) -> Iterator[Tensor]:
        """Logits of right-padded sequences, in order, a block [J, block, V] of columns at a time; caches nothing."""
        ...

    def refresh(self) -> None:
        """Recompute whatever is derived from the weights, after they were replaced."""
        ...


def survivors(rows: int, gone: Sequence[int]) -> list[int]:
    """The rows that stay, in their new order: the last ones move into the holes, so that few move."""
    order, keep = list(range(rows)), rows - len(gone)
    dead = set(gone)
    movers = [row for row in range(keep, rows) if row not in dead]
    for hole in sorted(row for row in dead if row < keep):
        order[hole] = movers.pop()
    return order[:keep]


def pad(sequences: Sequence[Sequence[int]], start: int, stop: int, device: torch.device) -> Tensor:
    """Columns start..stop of right-padded sequences, int64 [J, stop - start]; the padding is id 0 and never read."""
    rows = [list(s[start:stop]) for s in sequences]
    return torch.tensor([row + [0] * (stop - start - len(row)) for row in rows], device=device)


def disagreement(decoder: Decoder, model: PreTrainedModel) -> float:
    """Largest difference of the decoder's logits from a plain forward of `model`, as a share of the largest logit.

    Two prompts of unequal length go through a padded prefill, a padded decode, a retirement, and a decode alone.
    """
    V, device = model.config.get_text_config().vocab_size, model.device
    ids = torch.randint(0, V, (2, 12), generator=torch.Generator().manual_seed(0)).tolist()
    prompts = (tuple(ids[0][:7]), tuple(ids[1][:4]))
    prefix = decoder.start(prompts, (None, None))
    got = [decoder.extend(prefix, 7)]
    decoder.reserve(2, 12)
    decoder.append(prefix, (0, 1))
    got += [decoder.step((ids[0][7 + t], ids[1][4 + t])) for t in range(2)]
    order = decoder.retire((0,))
    got += [decoder.step((ids[1][6],))]
    decoder.retire((0,))
    full = [model(input_ids=torch.tensor([row], device=device)).logits[0].float() for row in ids]
    want = [torch.stack((full[0][6 + t], full[1][3 + t])) for t in range(3)] + [full[1][6][None]]
    scale = max(float(w.abs().max()) for w in want)
    gaps = [float((g - w).abs().max()) for g, w in zip(got, want, strict=True) if g is not None]
    return max(gaps) / scale if order == [1] and len(gaps) == len(want) else torch.inf
