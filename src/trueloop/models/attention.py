"""Attention over rows in which several completions follow one shared prompt, without the masked-out work.

One row holds a prefix of P tokens and K completions; each completion sees the prefix and itself, causally.  Dense
attention over such a row costs (P + sum C)^2 and throws most of it away.  Here the prefix attends to itself once and
the completions, padded to the longest, attend to [prefix, themselves] in one batched call: P^2 + K C (P + C).
The result is exact: the same softmax over the same keys.

`install` makes a model use it.  Any attention mask but a `span_mask` goes to transformers' own attention unchanged,
so an installed model behaves as before everywhere else, generation and gradient checkpointing included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from trueloop.errors import ModelError

NAME = "trueloop_spans"


@dataclass(frozen=True, slots=True)
class Spans:
    """How one row is laid out: `prefix` shared tokens, then the completions' `lengths`, then `tail` of padding."""

    prefix: int
    lengths: tuple[int, ...]
    tail: int


def read_spans(segments: list[int]) -> Spans | None:
    """The layout of a row's segment numbers, or None unless they read 0...0 1...1 2...2 ... -1...-1 in blocks."""
    blocks: list[list[int]] = []
    for segment in segments:
        if blocks and blocks[-1][0] == segment:
            blocks[-1][1] += 1
        else:
            blocks.append([segment, 1])
    names = [name for name, _ in blocks]
    prefix = blocks.pop(0)[1] if names[0] == 0 else 0
    tail = blocks.pop()[1] if blocks and blocks[-1][0] == -1 else 0
    unique = len(set(names)) == len(names)
    completions = all(name > 0 for name, _ in blocks)
    return Spans(prefix, tuple(length for _, length in blocks), tail) if unique and completions and blocks else None


def span_mask(rows: list[Spans], device: torch.device) -> Tensor:
    """An attention mask that carries the rows' layout to the attention; its own value is never read."""
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
    mask.spans = [(row, _completion_mask(row, device)) for row in rows]  # type: ignore[attr-defined]
    return mask


@torch.no_grad()
def install(model: PreTrainedModel) -> bool:
    """Let `model` take a `span_mask`; False for a model that cannot, which is left as it is.

    It must use transformers' `sdpa` through its interface for attention functions: a model that has its own code for
    each implementation would silently take another path, so the logits before and after must be equal.
    """
    if model.config._attn_implementation == "sdpa":
        ids = torch.arange(8, device=model.device)[None] % model.config.get_text_config().vocab_size
        before = model(input_ids=ids, use_cache=False).logits
        model.config._attn_implementation = NAME
        if not torch.equal(before, model(input_ids=ids, use_cache=False).logits):
            model.config._attn_implementation = "sdpa"
    return installed(model)


def installed(model: PreTrainedModel) -> bool:
    """Whether `model` takes a `span_mask`."""
    return bool(model.config._attn_implementation == NAME)


def partial_layers(model: PreTrainedModel) -> list[str]:
    """What in the configuration says that not every layer sees the whole row: windows, chunks, recurrent layers.

    A row with a shared prefix could not be read by those, and a short one would not show it.
    """
    config = model.config.get_text_config()
    layers = getattr(config, "layer_types", None)
    if layers is not None:
        return sorted(set(layers) - {"full_attention"})
    return [name for name in ("sliding_window", "attention_chunk_size") if getattr(config, name, None) is not None]


def attention(
    module: nn.Module,
    query_RHSD: Tensor,
    key_RGSD: Tensor,
    value_RGSD: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention interface.  R rows, H query heads, G key heads, S positions; returns [R, S, H, D]."""
    rows = getattr(attention_mask, "spans", None)
    if rows is None:
        return sdpa_attention_forward(
            module, query_RHSD, key_RGSD, value_RGSD, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    for name in ("position_bias", "sliding_window", "softcap", "s_aux"):
        if kwargs.get(name) is not None:
            raise ModelError(
                f"{type(module).__name__} uses {name}, which rows with a shared prefix cannot express; use plain rows"
            )
    out = [
        _row_attention(q, k, v, spans, mask, scaling)
        for q, k, v, (spans, mask) in zip(query_RHSD, key_RGSD, value_RGSD, rows, strict=True)
    ]
    return torch.stack(out).transpose(1, 2).contiguous(), None


def _row_attention(
    q_HSD: Tensor, k_GSD: Tensor, v_GSD: Tensor, spans: Spans, mask: Tensor, scaling: float | None
) -> Tensor:
    sizes = [spans.prefix, *spans.lengths, spans.tail]
    prefix_q, *own_q, tail = q_HSD.split(sizes, dim=1)
    prefix_k, *own_k, _ = k_GSD.split(sizes, dim=1)
    prefix_v, *own_v, _ = v_GSD.split(sizes, dim=1)
    prefix = F.scaled_dot_product_attention(
        prefix_q[None], prefix_k[None], prefix_v[None], is_causal=True, scale=scaling, enable_gqa=True
    )[0]
    K, H, G, C = len(own_q), len(q_HSD), len(k_GSD), max(spans.lengths)
    k_KGTD = torch.cat([prefix_k.expand(K, -1, -1, -1), _stack(own_k, C)], dim=2)
    v_KGTD = torch.cat([prefix_v.expand(K, -1, -1, -1), _stack(own_v, C)], dim=2)
    q_KGQD = _stack(own_q, C).reshape(K, G, H // G * C, -1)
    own = F.scaled_dot_product_attention(q_KGQD, k_KGTD, v_KGTD, attn_mask=mask.repeat(H // G, 1), scale=scaling)
    own_KHCD = own.reshape(K, H, C, -1)
    parts = [o[:, :length] for o, length in zip(own_KHCD.unbind(), spans.lengths, strict=True)]
    return torch.cat([prefix, *parts, tail.new_zeros(H, spans.tail, prefix.shape[-1])], dim=1)


def _completion_mask(spans: Spans, device: torch.device) -> Tensor:
    """[C, P + C]: a completion's position sees the whole prefix and its own past; padding keys lie in the future."""
    C = max(spans.lengths)
    causal = torch.ones(C, C, dtype=torch.bool, device=device).tril()
    return torch.cat([causal.new_ones(C, spans.prefix), causal], dim=1)


def _stack(parts: list[Tensor], length: int) -> Tensor:
    return torch.stack([F.pad(p, (0, 0, 0, length - p.shape[1])) if p.shape[1] < length else p for p in parts])


ALL_ATTENTION_FUNCTIONS.register(NAME, attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, sdpa_mask)
