"""Keys and values of the fast path.  Three places for them, one way to use them: `attend(layer, q, k, v)`.

Shapes: B batch, T new tokens, R rows, J prompts, L positions, H query heads, K key heads, D head dimension.  Position
p of a row lies in column p, so that prompts can be copied and rows admitted without moving anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from trueloop.engines.decoder import survivors


@dataclass(frozen=True, slots=True)
class Shape:
    """What one position holds, and where."""

    layers: int
    heads: int
    dim: int
    dtype: torch.dtype
    device: torch.device

    def zeros(self, rows: int, width: int) -> list[tuple[Tensor, Tensor]]:
        """Per layer keys and values [rows, K, width, D].  Zeros: a masked position must never hold a NaN."""
        size = (rows, self.heads, width, self.dim)
        make = [torch.zeros(size, dtype=self.dtype, device=self.device) for _ in range(2 * self.layers)]
        return list(zip(make[::2], make[1::2], strict=True))


class Nowhere:
    """Whole sequences, of which nothing is kept."""

    def attend(self, layer: int, q_BTHD: Tensor, k_BTKD: Tensor, v_BTKD: Tensor) -> Tensor:
        """Causal attention among the given tokens; [B, T, H * D]."""
        q, k, v = (x.transpose(1, 2) for x in (q_BTHD, k_BTKD, v_BTKD))
        return _merge(F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))


class Staged:
    """Prompts [J, K, width, D], filled from the left."""

    def __init__(self, shape: Shape, rows: int, width: int) -> None:
        self.kv = shape.zeros(rows, width)
        self.start = self.stop = 0

    def attend(self, layer: int, q_BTHD: Tensor, k_BTKD: Tensor, v_BTKD: Tensor) -> Tensor:
        """Keep columns start..stop, attend causally to all up to them; [B, T, H * D]."""
        keys, values = self.kv[layer]
        keys[:, :, self.start : self.stop] = k_BTKD.transpose(1, 2)
        values[:, :, self.start : self.stop] = v_BTKD.transpose(1, 2)
        first = self.start == 0
        mask = None if first else self._lower_right(q_BTHD.device)
        q, k, v = q_BTHD.transpose(1, 2), keys[:, :, : self.stop], values[:, :, : self.stop]
        return _merge(F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=first, enable_gqa=True))

    def _lower_right(self, device: torch.device) -> Tensor:
        column = torch.arange(self.stop, device=device)
        return column[None] <= column[self.start :, None]


class Grid:
    """Decode rows: the first `rows` of a block of rows x width positions; all that no row has filled is zero."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._kv = shape.zeros(0, 0)
        self.capacity = self.width = 0
        self.lengths: list[int] = []

    @property
    def rows(self) -> int:
        """Rows at present."""
        return len(self.lengths)

    def reserve(self, rows: int, width: int) -> None:
        """Become rows x width, keeping what the rows hold; one layer at a time, so that little is held twice."""
        if (rows, width) == (self.capacity, self.width):
            return
        n, used = self.rows, max(self.lengths, default=0)
        if n == 0:
            self._kv = []
            self._kv = self._shape.zeros(rows, width)
        for layer, old_kv in enumerate(self._kv if n else ()):
            (new_kv,) = replace(self._shape, layers=1).zeros(rows, width)
            for new, old in zip(new_kv, old_kv, strict=True):
                new[:n, :, :used] = old[:n, :, :used]
            self._kv[layer] = new_kv
        self.capacity, self.width = rows, width

    def append(self, staged: Staged, picks: Sequence[int], lengths: Sequence[int]) -> None:
        """Add a row for each pick: a copy of that prompt's first `length` positions."""
        for row, (j, length) in enumerate(zip(picks, lengths, strict=True), self.rows):
            for kv, new_kv in zip(self._kv, staged.kv, strict=True):
                for mine, theirs in zip(kv, new_kv, strict=True):
                    mine[row, :, :length] = theirs[j, :, :length]
        self.lengths += lengths

    def begin_step(self) -> Tensor:
        """Prepare for one more token in every row; returns its position_R."""
        n, device = self.rows, self._shape.device
        self._used = max(self.lengths) + 1
        position_R = torch.tensor(self.lengths, device=device)
        heads = torch.arange(n * self._shape.heads, device=device)
        self._columns = heads * self.width + position_R.repeat_interleave(self._shape.heads)
        self._mask = None
        if min(self.lengths) + 1 < self._used:
            beyond_RL = torch.arange(self._used, device=device) > position_R[:, None]
            mask_RL = torch.zeros(n, self._used, dtype=self._shape.dtype, device=device)
            self._mask = mask_RL.masked_fill_(beyond_RL, -torch.inf)[:, None, None]
        self.lengths = [length + 1 for length in self.lengths]
        return position_R

    def attend(self, layer: int, q_BTHD: Tensor, k_BTKD: Tensor, v_BTKD: Tensor) -> Tensor:
        """Keep one token per row and attend to all of the row; [R, 1, H * D].

        The query heads that share a key head stand together as its queries, so that nothing is repeated.
        """
        n, K, D = self.rows, self._shape.heads, self._shape.dim
        q = q_BTHD.reshape(n * K, -1, D)
        keys, values = self._kv[layer]
        for kept, new in ((keys, k_BTKD), (values, v_BTKD)):
            kept.view(-1, D).index_copy_(0, self._columns, new.reshape(n * K, D))
        keys, values = (kept[:n, :, : self._used].flatten(0, 1) for kept in (keys, values))
        logits = torch.bmm(q * D**-0.5, keys.transpose(1, 2))
        if self._mask is not None:
            logits.view(n, K, -1, self._used).add_(self._mask)
        return torch.bmm(logits.softmax(-1, dtype=torch.float32).to(values.dtype), values).view(n, 1, -1)

    def retire(self, gone: Sequence[int]) -> list[int]:
        """Drop rows, moving the last ones into their places and leaving zeros behind; see `survivors`."""
        order, used = survivors(self.rows, gone), max(self.lengths)
        for kv in self._kv:
            for kept in kv:
                for row, source in enumerate(order):
                    if row != source:
                        kept[row, :, :used] = kept[source, :, :used]
                kept[len(order) : self.rows, :, :used] = 0
        self.lengths = [self.lengths[row] for row in order]
        return order


def _merge(out_BHTD: Tensor) -> Tensor:
    return out_BHTD.transpose(1, 2).flatten(2)
