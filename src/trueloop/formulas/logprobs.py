"""Token log-probabilities and entropies from hidden states, without ever holding N x V logits.

N packed trained tokens, D hidden, V vocabulary, B one block of it, K further ids per token, J = 1 + K.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trueloop.errors import DataError

BLOCK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprobs:
    """Natural-log values under softmax((hidden headᵀ + bias) / temperature); None for what was not asked for."""

    logp_N: Tensor
    entropy_N: Tensor | None
    at_NK: Tensor | None


def token_logprobs(
    hidden_ND: Tensor,
    head_VD: Tensor,
    ids_N: Tensor,
    *,
    bias_V: Tensor | None = None,
    temperature: float = 1.0,
    entropy: bool = False,
    at_NK: Tensor | None = None,
    block: int = BLOCK,
) -> TokenLogprobs:
    """log p(ids[n]) and, on request, the entropy (nats) and log p(at[n, k]), all differentiable once.

    Gradients reach `hidden`, `head` and `bias` exactly.  The vocabulary is taken `block` columns at a time: a forward
    keeps one log-sum-exp per block and the backward computes the logits again, so memory is O(N block).  A
    vocabulary that fits in one block keeps its logits instead.  Arithmetic and results are float32, or float64 if an
    input is; half-precision inputs are raised, and autocast does not reach in.

    Raises DataError for shapes that do not fit, an id outside [0, V), or a temperature that is not positive.
    """
    _validate(hidden_ND, head_VD, ids_N, bias_V, temperature, at_NK, block)
    ids_NJ = _asked(ids_N, at_NK, len(head_VD))
    with torch.autocast(hidden_ND.device.type, enabled=False):
        logp_NJ, entropy_N = _TokenLogprobs.apply(hidden_ND, head_VD, bias_V, ids_NJ, temperature, entropy, block)
    return TokenLogprobs(logp_N=logp_NJ[:, 0], entropy_N=entropy_N, at_NK=None if at_NK is None else logp_NJ[:, 1:])


def logprobs_from_logits(
    logits_NV: Tensor,
    ids_N: Tensor,
    *,
    temperature: float = 1.0,
    entropy: bool = False,
    at_NK: Tensor | None = None,
) -> TokenLogprobs:
    """`token_logprobs` where the logits are there already: under softmax(logits / temperature), with the same
    arithmetic types and errors.  The backward holds N x V values."""
    _validate_logits(logits_NV, ids_N, at_NK, temperature)
    logp_NV = (_raised(logits_NV) / temperature).log_softmax(dim=1)
    logp_NJ = logp_NV.gather(1, _asked(ids_N, at_NK, logits_NV.shape[1]))
    return TokenLogprobs(
        logp_N=logp_NJ[:, 0],
        entropy_N=-torch.linalg.vecdot(logp_NV.exp(), logp_NV) if entropy else None,
        at_NK=None if at_NK is None else logp_NJ[:, 1:],
    )


@torch.no_grad()
def top_logprobs(
    hidden_ND: Tensor,
    head_VD: Tensor,
    k: int,
    *,
    bias_V: Tensor | None = None,
    temperature: float = 1.0,
    listed: int | None = None,
    block: int = BLOCK,
) -> tuple[Tensor, Tensor]:
    """The `k` most probable ids [N, K] and their log-probabilities [N, K], most probable first; without gradient.

    Exact, under softmax((hidden headᵀ + bias) / temperature) over all of V, in the arithmetic of `token_logprobs`.  Ids
    at or above `listed` count in the normaliser but are not named (a head is often longer than its vocabulary).  At
    most N x (block + K) logits are held.  Raises DataError as `token_logprobs`, and for a k outside [1, listed].
    """
    _validate(hidden_ND, head_VD, torch.zeros(len(hidden_ND)), bias_V, temperature, None, block)
    listed = _listed(listed, len(head_VD), k)
    with torch.autocast(hidden_ND.device.type, enabled=False):
        blocks = _Blocks(hidden_ND, head_VD, bias_V, temperature, block)
        return _top(((start, blocks.logits(start, stop)) for start, stop in blocks), k, listed, blocks.hidden_ND)


@torch.no_grad()
def top_from_logits(
    logits_NV: Tensor, k: int, *, temperature: float = 1.0, listed: int | None = None
) -> tuple[Tensor, Tensor]:
    """`top_logprobs` where the logits are there already."""
    _validate_logits(logits_NV, torch.zeros(len(logits_NV)), None, temperature)
    listed = _listed(listed, logits_NV.shape[1], k)
    return _top([(0, _raised(logits_NV) / temperature)], k, listed, logits_NV)


def _top(parts: Iterable[tuple[int, Tensor]], k: int, listed: int, like_N: Tensor) -> tuple[Tensor, Tensor]:
    """Over blocks of the logits, each after its first column.  like_N: any tensor of N rows."""
    best_NK, ids_NK = like_N.new_zeros(len(like_N), 0), like_N.new_zeros(len(like_N), 0).long()
    lse_parts = []
    for start, z_NB in parts:
        lse_parts.append(z_NB.logsumexp(dim=1))
        best_NK, ids_NK = _merge_top(best_NK, ids_NK, z_NB[:, : max(listed - start, 0)], start, k)
    return ids_NK, best_NK - torch.stack(lse_parts).logsumexp(dim=0)[:, None]


def _listed(listed: int | None, V: int, k: int) -> int:
    """How many ids can be named."""
    listed = V if listed is None else min(listed, V)
    if not 1 <= k <= listed:
        raise DataError(f"top_logprobs: k must lie in [1, {listed}], the number of ids that can be named; got {k}")
    return listed


def _merge_top(best_NK: Tensor, ids_NK: Tensor, z_NB: Tensor, start: int, k: int) -> tuple[Tensor, Tensor]:
    """The k largest, sorted, of those kept and a block whose first column is `start`; all, where there are fewer."""
    local = z_NB.topk(min(k, z_NB.shape[1]), dim=1)
    values = torch.cat([best_NK, local.values], dim=1)
    ids = torch.cat([ids_NK, local.indices + start], dim=1)
    chosen = values.topk(min(k, values.shape[1]), dim=1)
    return chosen.values, ids.gather(1, chosen.indices)


class _TokenLogprobs(torch.autograd.Function):
    """With z the logits over T, L their log-sum-exp, log p = z - L and H = -sum_v p_v log p_v:

    d log p_j / d z_v = [v = j] - p_v,        dH / d z_v = -p_v (log p_v + H).
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        head_VD: Tensor,
        bias_V: Tensor | None,
        ids_NJ: Tensor,
        temperature: float,
        entropy: bool,
        block: int,
    ) -> tuple[Tensor, Tensor | None]:
        blocks = _Blocks(hidden_ND, head_VD, bias_V, temperature, block)
        chosen_NJ = blocks.new_zeros(*ids_NJ.shape)
        lse_parts, entropy_parts = [], []
        z_NB = None
        for start, stop in blocks:
            z_NB = blocks.logits(start, stop)
            lse_parts.append(z_NB.logsumexp(dim=1))
            local_NJ, inside_NJ = _locate(ids_NJ, start, stop)
            chosen_NJ = torch.where(inside_NJ, z_NB.gather(1, local_NJ), chosen_NJ)
            if entropy:
                logp_NB = z_NB - lse_parts[-1][:, None]
                entropy_parts.append(-torch.linalg.vecdot(logp_NB.exp(), logp_NB))
        lse_N = torch.stack(lse_parts).logsumexp(dim=0)
        entropy_N = _chain_entropy(lse_parts, entropy_parts, lse_N) if entropy else None
        kept_NV = z_NB if len(lse_parts) == 1 else None
        ctx.save_for_backward(hidden_ND, head_VD, bias_V, ids_NJ, lse_N, entropy_N, kept_NV)
        ctx.temperature, ctx.block = temperature, block
        ctx.set_materialize_grads(False)
        return chosen_NJ - lse_N[:, None], entropy_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        hidden_ND, head_VD, bias_V, ids_NJ, lse_N, entropy_N, kept_NV = ctx.saved_tensors
        blocks = _Blocks(hidden_ND, head_VD, bias_V, ctx.temperature, ctx.block)
        d_logp_NJ, d_entropy_N = (None if g is None else g / ctx.temperature for g in grads)
        if d_logp_NJ is None:
            d_logp_NJ = blocks.new_zeros(*ids_NJ.shape)
        d_hidden, d_head, d_bias = (
            torch.zeros_like(x) if wanted else None
            for x, wanted in zip((blocks.hidden_ND, head_VD, bias_V), ctx.needs_input_grad, strict=False)
        )
        with torch.autocast(hidden_ND.device.type, enabled=False):
            for start, stop in blocks:
                z_NB = blocks.logits(start, stop) if kept_NV is None else kept_NV
                dz_NB = _d_logits(z_NB - lse_N[:, None], entropy_N, d_logp_NJ, d_entropy_N)
                local_NJ, inside_NJ = _locate(ids_NJ, start, stop)
                dz_NB.scatter_add_(1, local_NJ, d_logp_NJ * inside_NJ)
                if d_hidden is not None:
                    d_hidden.addmm_(dz_NB, blocks.head(start, stop))
                if d_head is not None:
                    d_head[start:stop] = dz_NB.T @ blocks.hidden_ND
                if d_bias is not None:
                    d_bias[start:stop] = dz_NB.sum(dim=0)
        return (None if d_hidden is None else d_hidden.to(hidden_ND.dtype)), d_head, d_bias, None, None, None, None


def _d_logits(logp_NB: Tensor, entropy_N: Tensor | None, d_logp_NJ: Tensor, d_entropy_N: Tensor | None) -> Tensor:
    """The part of the gradient that is spread over the block: -p_v (sum_j g_j + g_H (log p_v + H))."""
    p_NB, total_N1 = logp_NB.exp(), d_logp_NJ.sum(dim=1, keepdim=True)
    if entropy_N is None or d_entropy_N is None:
        return p_NB.mul_(-total_N1)
    return p_NB.mul_(logp_NB.add_(entropy_N[:, None]).mul_(d_entropy_N[:, None]).add_(total_N1).neg_())


class _Blocks:
    """Logits over temperature, a block of columns at a time, in float32 or better."""

    def __init__(
        self, hidden_ND: Tensor, head_VD: Tensor, bias_V: Tensor | None, temperature: float, block: int
    ) -> None:
        self.hidden_ND = _raised(hidden_ND, head_VD)
        self.dtype = self.hidden_ND.dtype
        self.head_VD, self.bias_V, self.scale, self.block = head_VD, bias_V, 1.0 / temperature, block

    def __iter__(self) -> Iterator[tuple[int, int]]:
        V = len(self.head_VD)
        return ((start, min(start + self.block, V)) for start in range(0, V, self.block))

    def new_zeros(self, *shape: int) -> Tensor:
        return self.hidden_ND.new_zeros(shape)

    def head(self, start: int, stop: int) -> Tensor:
        return self.head_VD[start:stop].to(self.dtype)

    def logits(self, start: int, stop: int) -> Tensor:
        bias_B = self.new_zeros(1) if self.bias_V is None else self.bias_V[start:stop].to(self.dtype)
        return torch.addmm(bias_B, self.hidden_ND, self.head(start, stop).T, beta=self.scale, alpha=self.scale)


def _raised(x: Tensor, other: Tensor | None = None) -> Tensor:
    """In the arithmetic of this module: float32, or float64 if an input is."""
    dtype = x.dtype if other is None else torch.promote_types(x.dtype, other.dtype)
    return x.to(torch.promote_types(dtype, torch.float32))


def _locate(ids_NJ: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Columns of the ids within [start, stop), any valid column for the others, and which is which."""
    local_NJ = ids_NJ - start
    inside_NJ = (local_NJ >= 0) & (local_NJ < stop - start)
    return local_NJ.clamp(0, stop - start - 1), inside_NJ


def _chain_entropy(lse_parts: list[Tensor], entropy_parts: list[Tensor], lse_N: Tensor) -> Tensor:
    """Chain rule: H = sum_b w_b (H_b - log w_b), where w_b is the probability of block b."""
    log_w_PN = torch.stack(lse_parts) - lse_N
    return (log_w_PN.exp() * (torch.stack(entropy_parts) - log_w_PN)).sum(dim=0)


def _validate(
    hidden_ND: Tensor,
    head_VD: Tensor,
    ids_N: Tensor,
    bias_V: Tensor | None,
    temperature: float,
    at_NK: Tensor | None,
    block: int,
) -> None:
    N, D = hidden_ND.shape
    V = len(head_VD)
    fits = head_VD.shape == (V, D) and ids_N.shape == (N,) and (bias_V is None or bias_V.shape == (V,))
    if not fits or (at_NK is not None and at_NK.shape[:-1] != (N,)):
        shapes = {
            name: None if x is None else tuple(x.shape)
            for name, x in [("hidden", hidden_ND), ("head", head_VD), ("ids", ids_N), ("bias", bias_V), ("at", at_NK)]
        }
        raise DataError(
            f"token_logprobs: expected hidden (N, D), head (V, D), ids (N,), bias (V,), at (N, K): {shapes}"
        )
    _require_temperature(temperature)
    if block < 1:
        raise DataError(f"token_logprobs: block must be at least 1 column, got {block}")


def _validate_logits(logits_NV: Tensor, ids_N: Tensor, at_NK: Tensor | None, temperature: float) -> None:
    N = len(logits_NV)
    if logits_NV.ndim != 2 or ids_N.shape != (N,) or (at_NK is not None and at_NK.shape[:-1] != (N,)):
        shapes = [None if x is None else tuple(x.shape) for x in (logits_NV, ids_N, at_NK)]
        raise DataError(f"logprobs_from_logits: expected logits (N, V), ids (N,) and at (N, K) or None: {shapes}")
    _require_temperature(temperature)


def _require_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise DataError(f"token_logprobs: temperature must be positive, got {temperature}; score greedy samples at 1")


def _asked(ids_N: Tensor, at_NK: Tensor | None, V: int) -> Tensor:
    """All ids that are asked for [N, 1 + K], within [0, V)."""
    ids_NJ = ids_N[:, None] if at_NK is None else torch.cat([ids_N[:, None], at_NK], dim=1)
    if ids_NJ.numel() == 0:
        return ids_NJ
    low, high = (int(x) for x in ids_NJ.aminmax())
    if low < 0 or high >= V:
        raise DataError(
            f"token_logprobs: ids must lie in [0, {V}), found {low} to {high}; pack the trained tokens alone, and give "
            "missing teacher tokens any valid id with a log-probability of -inf"
        )
    return ids_NJ
