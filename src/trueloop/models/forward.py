"""From token ids to log-probabilities: one backbone forward, and the head only where a token is trained.

R rows, S positions of a row, N packed trained tokens, D hidden, V vocabulary, K further ids per token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from trueloop.errors import DataError, ModelError
from trueloop.formulas.logprobs import TokenLogprobs, logprobs_from_logits, token_logprobs
from trueloop.models.attention import installed, read_spans, span_mask
from trueloop.models.lora import base_of

_LINEAR_HEAD: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What one forward reads.

    segment  -1 padding; 0 a prefix that all of the row sees; k > 0 the k-th completion, which sees the prefix and
             itself, causally.  A plain row is one segment and padding at its end.
    position of the token in its own sequence, so a completion counts on from the prefix; any value at padding
    """

    ids_RS: Tensor
    position_RS: Tensor
    segment_RS: Tensor

    def __post_init__(self) -> None:
        shapes = {x.shape for x in (self.ids_RS, self.position_RS, self.segment_RS)}
        if len(shapes) != 1 or self.ids_RS.dim() != 2:
            raise DataError(f"rows: ids, position and segment must have one shape [R, S], got {sorted(shapes)}")

    def to(self, device: torch.device) -> Rows:
        """The same rows on another device."""
        return Rows(
            ids_RS=self.ids_RS.to(device),
            position_RS=self.position_RS.to(device),
            segment_RS=self.segment_RS.to(device),
        )


def plain_rows(sequences: list[tuple[int, ...]]) -> Rows:
    """One row per sequence, padded at the end to the longest."""
    S = max(len(tokens) for tokens in sequences)
    ids_RS = torch.tensor([[*tokens, *[0] * (S - len(tokens))] for tokens in sequences])
    position_RS = torch.arange(S).expand_as(ids_RS)
    length_R1 = torch.tensor([[len(tokens)] for tokens in sequences])
    return Rows(ids_RS=ids_RS, position_RS=position_RS, segment_RS=torch.where(position_RS < length_R1, 0, -1))


def score(
    model: PreTrainedModel | PeftModel,
    rows: Rows,
    predict_N: Tensor,
    ids_N: Tensor,
    *,
    temperature: float = 1.0,
    entropy: bool = False,
    at_NK: Tensor | None = None,
    compute_dtype: torch.dtype = torch.float32,
) -> TokenLogprobs:
    """log p(ids[n]) from the hidden state at flat index predict[n] of [R * S]: the position *before* the token's own.

    Differentiable in every trainable weight; float32 out.  `compute_dtype=torch.bfloat16` runs the backbone under
    autocast; a linear head is always computed in float32, since half-precision logits are what makes trainer and
    sampler disagree (arXiv:2506.13585, section 3.2).  The model stays in the mode it is in: a `Policy` keeps it in
    evaluation mode, without dropout.  A logit transform of the model's own (soft cap, scale) is applied by the model.
    """
    packed, head = packed_states(model, rows, predict_N, compute_dtype)
    if head is None:
        return logprobs_from_logits(packed, ids_N, temperature=temperature, entropy=entropy, at_NK=at_NK)
    return token_logprobs(
        packed, head.weight, ids_N, bias_V=head.bias, temperature=temperature, entropy=entropy, at_NK=at_NK
    )


def packed_states(
    model: PreTrainedModel | PeftModel, rows: Rows, predict_N: Tensor, compute_dtype: torch.dtype = torch.float32
) -> tuple[Tensor, nn.Linear | None]:
    """One backbone forward: the hidden states [N, D] at flat indices predict[n] of [R * S] and the linear head on them.

    Where the logits are more than a linear head, the model's own logits [N, V] and None.
    """
    base = base_of(model)
    inputs = {"input_ids": rows.ids_RS, **_attention_inputs(base, rows), "use_cache": False}
    head = linear_head(base)
    with torch.autocast(rows.ids_RS.device.type, dtype=compute_dtype, enabled=compute_dtype != torch.float32):
        if head is None:
            return _own_logits(base, inputs, predict_N), None
        hidden_RSD = base.base_model(**inputs).last_hidden_state
    return hidden_RSD.flatten(0, 1).index_select(0, predict_N), head


def linear_head(base: PreTrainedModel) -> nn.Linear | None:
    """The output layer if the logits are head(hidden) and nothing else; None if the model does more to them.

    Measured once per model, at logits near 1000, where a soft cap or a scale cannot hide.
    """
    head = base.get_output_embeddings()
    if head is None or base.base_model is base:
        raise ModelError(f"{type(base).__name__} has no output layer on a backbone; load a causal language model")
    if type(head) is not nn.Linear or head._forward_hooks or head._forward_pre_hooks:
        return None
    if base not in _LINEAR_HEAD:
        _LINEAR_HEAD[base] = _is_linear(base, head)
    return head if _LINEAR_HEAD[base] else None


def dense_mask(segment_RS: Tensor) -> Tensor:
    """[R, 1, S, S], True where position q may look at position k.  Padding looks at itself, to stay finite."""
    q, k = segment_RS[:, :, None], segment_RS[:, None, :]
    S = segment_RS.shape[1]
    causal = torch.ones(S, S, dtype=torch.bool, device=segment_RS.device).tril()
    itself = torch.eye(S, dtype=torch.bool, device=segment_RS.device)
    return (causal & (k >= 0) & ((k == 0) | (k == q)) | itself)[:, None]


def _attention_inputs(base: PreTrainedModel, rows: Rows) -> dict[str, Tensor]:
    """Nothing for plain rows (causal attention is enough); else positions and a mask, spans if the model takes them."""
    if _is_plain(rows):
        return {}
    position_RS = rows.position_RS.clamp(min=0)
    if installed(base):
        spans = [read_spans(row) for row in rows.segment_RS.tolist()]
        if all(spans):
            mask = span_mask([s for s in spans if s], rows.ids_RS.device)
            return {"position_ids": position_RS, "attention_mask": mask}
    allowed = dense_mask(rows.segment_RS)
    if base.config._attn_implementation == "eager":  # it adds the mask to the scores
        allowed = torch.zeros(allowed.shape, device=allowed.device).masked_fill(
            ~allowed, torch.finfo(torch.float32).min
        )
    return {"position_ids": position_RS, "attention_mask": allowed}


def _is_plain(rows: Rows) -> bool:
    """Each row: any prefix, then at most one completion, then padding; positions count from 0."""
    segment, position = rows.segment_RS, rows.position_RS
    real = segment >= 0
    order = torch.where(real, segment, segment.max() + 1)
    rises = bool((order.diff(dim=1) >= 0).all())
    one = bool((((segment > 0) & (segment != segment.amax(dim=1, keepdim=True))).sum() == 0).item())
    counts = bool((position == torch.arange(position.shape[1], device=position.device))[real].all())
    return rises and one and counts


@torch.no_grad()
def _is_linear(base: PreTrainedModel, head: nn.Linear) -> bool:
    inputs: list[Tensor] = []
    enlarged: list[Tensor] = []

    def enlarge(hidden_RSD: Tensor) -> Tensor:
        inputs.append(hidden_RSD)
        largest = F.linear(hidden_RSD, head.weight, head.bias).abs().amax()
        enlarged.append(hidden_RSD * (1000 / largest.clamp(min=1e-6)))
        return enlarged[0]

    ids = torch.arange(4, device=head.weight.device)[None] % head.out_features
    with _changed_states(head, enlarge):
        logits = base(input_ids=ids, use_cache=False).logits
    if not inputs:
        raise ModelError(f"{type(base).__name__} never calls its output layer, so its logits cannot be packed")
    hidden_RSD = base.base_model(input_ids=ids, use_cache=False).last_hidden_state
    if not torch.allclose(hidden_RSD, inputs[0], rtol=1e-4, atol=1e-5):
        return False
    expected = head(enlarged[0])
    return torch.equal(expected.argmax(-1), logits.argmax(-1)) and torch.allclose(logits, expected, rtol=1e-3, atol=1)


def _own_logits(base: PreTrainedModel, inputs: dict[str, Any], predict_N: Tensor) -> Tensor:
    """The model's own logits of the packed states, [N, V]."""
    head = base.get_output_embeddings()
    with _changed_states(head, lambda hidden_RSD: hidden_RSD.flatten(0, 1).index_select(0, predict_N)[None]):
        return base(**inputs).logits[0]


@contextmanager
def _changed_states(head: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let the output layer see `change(hidden states)`, and the model do to the logits whatever it does."""
    handle = head.register_forward_pre_hook(lambda _head, args: (change(args[0]), *args[1:]))
    try:
        yield
    finally:
        handle.remove()
