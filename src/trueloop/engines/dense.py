"""The fast path: a functional forward for dense RMSNorm + RoPE + GQA + SwiGLU models, with fused matrices.

Covers Llama, Mistral without a sliding window, Qwen2 and Qwen3.  What a model is said to be is never trusted: the
engine compares the logits with the model's own forward before it uses this.

Shapes: B batch, T tokens, H query heads, K key heads, D head dimension, V vocabulary, J prompts, R rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from trueloop.engines.cache import Grid, Nowhere, Shape, Staged
from trueloop.engines.decoder import Prefix, pad
from trueloop.engines.lora import Adapters, Groups, add_deltas
from trueloop.engines.weights import load

ARCHITECTURES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
STATIC_ROPE = ("default", "linear", "llama3", "yarn")
"""Rotary embeddings whose frequencies do not depend on the sequence's length."""
SCORE_BLOCK = 64
"""Columns of a scored sequence whose logits are held at once."""


class Attends(Protocol):
    """Where keys and values go, and what the queries see."""

    def attend(self, layer: int, q_BTHD: Tensor, k_BTKD: Tensor, v_BTKD: Tensor) -> Tensor:
        """Attention output [B, T, H * D]."""
        ...


@dataclass(frozen=True, slots=True)
class Fused:
    """Linear layers that read the same input, as one matrix; `parts` are (module name, first row, end row)."""

    weight: Tensor
    bias: Tensor | None
    parts: tuple[tuple[str, int, int], ...]

    def __call__(self, x: Tensor, groups: Groups) -> Tensor:
        """The layers' outputs side by side, each row with its adapter's delta."""
        out = F.linear(x, self.weight, self.bias)
        for module, low, high in self.parts if groups else ():
            add_deltas(out[..., low:high], x, module, groups)
        return out


@dataclass(slots=True)
class Layer:
    """One block's weights; `qk_scale` [H + K, D] repeats Qwen3's two head norms over the heads."""

    input_norm: Tensor
    qkv: Fused
    out: Fused
    post_norm: Tensor
    gate_up: Fused
    down: Fused
    qk_norms: tuple[Tensor, Tensor] | None
    qk_scale: Tensor | None = None


def supports(model: PreTrainedModel) -> bool:
    """Whether the model is one of the architectures, in a variant that the functional forward covers."""
    config = model.config
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return (
        type(model).__name__ in ARCHITECTURES
        and config.hidden_act == "silu"
        and kinds == {"full_attention"}
        and (type(model).__name__ != "MistralForCausalLM" or config.sliding_window is None)
        and rope.get("rope_type", "default") in STATIC_ROPE
        and rope.get("partial_rotary_factor", 1.0) == 1.0
    )


class DenseDecoder:
    """See `Decoder`.  Copies the weights of `model`, which must be one that `supports` accepts."""

    def __init__(self, model: PreTrainedModel, adapters: Adapters, *, dtype: torch.dtype) -> None:
        config = model.config
        self.name = "dense (fused, functional)"
        self._adapters = adapters
        self._heads, self._key_heads = config.num_attention_heads, config.num_key_value_heads
        self._dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._eps, self._device, self._dtype = config.rms_norm_eps, model.device, dtype
        self._frequency = model.model.rotary_emb.inv_freq.to(model.device, torch.float32, copy=True)
        self._rope_scale = float(model.model.rotary_emb.attention_scaling)
        self.slots: dict[str, Tensor] = {}
        self._build(model.state_dict(), config.num_hidden_layers, tied=config.tie_word_embeddings)
        adapters.require_modules(module for site in self._sites() for module, _, _ in site.parts)
        self._shape = Shape(config.num_hidden_layers, self._key_heads, self._dim, dtype, model.device)
        self._grid = Grid(self._shape)
        self._row_adapters: list[str | None] = []
        self._row_groups: Groups = ()

    @property
    def rows(self) -> int:
        """See `Decoder`."""
        return self._grid.rows

    @property
    def positions(self) -> int:
        """See `Decoder`."""
        return self._grid.capacity * self._grid.width

    def start(self, prompts: Sequence[tuple[int, ...]], adapters: Sequence[str | None]) -> Prefix:
        """See `Decoder`."""
        kv = Staged(self._shape, len(prompts), max(map(len, prompts)))
        return Prefix(prompts=prompts, adapters=adapters, kv=kv)

    def extend(self, prefix: Prefix, count: int) -> Tensor | None:
        """See `Decoder`."""
        start, stop = prefix.done, min(prefix.done + count, prefix.width)
        prefix.kv.start, prefix.kv.stop = start, stop
        ids_JT = pad(prefix.prompts, start, stop, self._device)
        position_T = torch.arange(start, stop, device=self._device)
        x_JTE = self._forward(ids_JT, position_T[None], prefix.kv, self._adapters.groups(prefix.adapters))
        prefix.done = stop
        if stop < prefix.width:
            return None
        last_J = torch.tensor([len(p) - 1 - start for p in prefix.prompts], device=self._device)
        x_JE = x_JTE[torch.arange(len(last_J), device=self._device), last_J]
        return self._head(x_JE, self._adapters.groups(prefix.adapters)).float()

    def reserve(self, rows: int, width: int) -> None:
        """See `Decoder`."""
        self._grid.reserve(rows, width)

    def append(self, prefix: Prefix, picks: Sequence[int]) -> None:
        """See `Decoder`."""
        self._grid.append(prefix.kv, picks, [len(prefix.prompts[j]) for j in picks])
        self._set_row_adapters(self._row_adapters + [prefix.adapters[j] for j in picks])

    def step(self, token_R: Sequence[int]) -> Tensor:
        """See `Decoder`."""
        position_R = self._grid.begin_step()
        ids_R1 = torch.tensor(token_R, device=self._device)[:, None]
        x_R1E = self._forward(ids_R1, position_R[:, None], self._grid, self._row_groups)
        return self._head(x_R1E[:, 0], self._row_groups).float()

    def retire(self, gone: Sequence[int]) -> list[int]:
        """See `Decoder`."""
        order = self._grid.retire(gone)
        self._set_row_adapters([self._row_adapters[row] for row in order])
        return order

    def score(self, ids_JT: Tensor, adapters: Sequence[str | None]) -> Iterator[Tensor]:
        """See `Decoder`."""
        groups = self._adapters.groups(adapters)
        position_T = torch.arange(ids_JT.shape[1], device=self._device)
        x_JTE = self._forward(ids_JT, position_T[None], Nowhere(), groups)
        for block in x_JTE.split(SCORE_BLOCK, dim=1):
            yield self._head(block, groups).float()

    def refresh(self) -> None:
        """See `Decoder`: the two head norms of Qwen3 are applied as one."""
        for layer in self._layers:
            if layer.qk_norms is not None:
                q_D, k_D = layer.qk_norms
                rows = (q_D.expand(self._heads, -1), k_D.expand(self._key_heads, -1))
                layer.qk_scale = torch.cat(rows)

    def _forward(self, ids_BT: Tensor, position_BT: Tensor, kv: Attends, groups: Groups) -> Tensor:
        """Final hidden states [B, T, E]."""
        B, T = ids_BT.shape
        H, K, D = self._heads, self._key_heads, self._dim
        cos, sin = self._rotary(position_BT)
        x_BTE = F.embedding(ids_BT, self._embedding)
        for i, layer in enumerate(self._layers):
            qkv = layer.qkv(self._norm(x_BTE, layer.input_norm), groups).view(B, T, H + 2 * K, D)
            qk, v = qkv[:, :, : H + K], qkv[:, :, H + K :]
            if layer.qk_scale is not None:
                qk = F.rms_norm(qk, (D,), None, self._eps) * layer.qk_scale
            qk = torch.addcmul(qk * cos, torch.cat((qk[..., D // 2 :], qk[..., : D // 2]), -1), sin)
            x_BTE += layer.out(kv.attend(i, qk[:, :, :H], qk[:, :, H:], v), groups)
            gate, up = layer.gate_up(self._norm(x_BTE, layer.post_norm), groups).chunk(2, -1)
            x_BTE += layer.down(F.silu(gate).mul_(up), groups)
        return self._norm(x_BTE, self._final_norm)

    def _rotary(self, position_BT: Tensor) -> tuple[Tensor, Tensor]:
        """cos and sin [B, T, 1, D] for halves that rotate into each other; sin carries the sign."""
        angle = position_BT[..., None, None].float() * self._frequency
        cos, sin = angle.cos() * self._rope_scale, angle.sin() * self._rope_scale
        return torch.cat((cos, cos), -1).to(self._dtype), torch.cat((-sin, sin), -1).to(self._dtype)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, weight.shape, weight, self._eps)

    def _set_row_adapters(self, adapters: list[str | None]) -> None:
        self._row_adapters, self._row_groups = adapters, self._adapters.groups(adapters)

    def _sites(self) -> Iterator[Fused]:
        for layer in self._layers:
            yield from (layer.qkv, layer.out, layer.gate_up, layer.down)
        yield self._head

    def _build(self, source: dict[str, Tensor], layers: int, *, tied: bool) -> None:
        """Allocate every weight with its slots, then fill them as any later load does."""
        self._embedding = self._tensor("model.embed_tokens.weight", source)
        self._final_norm = self._tensor("model.norm.weight", source)
        if tied:
            self.slots["lm_head.weight"] = self._embedding
            self._head = Fused(self._embedding, None, (("lm_head", 0, len(self._embedding)),))
        else:
            self._head = self._fused("", ("lm_head",), source)
        self._layers = [self._layer(f"model.layers.{i}.", source) for i in range(layers)]
        load(self.slots, source)
        self.refresh()

    def _layer(self, prefix: str, source: dict[str, Tensor]) -> Layer:
        attn, mlp = prefix + "self_attn.", prefix + "mlp."
        norms = [self._tensor(f"{attn}{x}_norm.weight", source) for x in "qk" if f"{attn}{x}_norm.weight" in source]
        return Layer(
            input_norm=self._tensor(prefix + "input_layernorm.weight", source),
            qkv=self._fused(attn, ("q_proj", "k_proj", "v_proj"), source),
            out=self._fused(attn, ("o_proj",), source),
            post_norm=self._tensor(prefix + "post_attention_layernorm.weight", source),
            gate_up=self._fused(mlp, ("gate_proj", "up_proj"), source),
            down=self._fused(mlp, ("down_proj",), source),
            qk_norms=(norms[0], norms[1]) if norms else None,
        )

    def _tensor(self, name: str, source: dict[str, Tensor]) -> Tensor:
        self.slots[name] = torch.empty(source[name].shape, dtype=self._dtype, device=self._device)
        return self.slots[name]

    def _fused(self, prefix: str, names: Sequence[str], source: dict[str, Tensor]) -> Fused:
        """One matrix for these modules, with a slot for each; biases are all there or all absent."""
        modules = [prefix + name for name in names]
        ends = torch.tensor([0] + [len(source[f"{m}.weight"]) for m in modules]).cumsum(0).tolist()
        parts = tuple(zip(modules, ends[:-1], ends[1:], strict=True))
        width, biased = source[f"{modules[0]}.weight"].shape[1], f"{modules[0]}.bias" in source
        weight = torch.empty(ends[-1], width, dtype=self._dtype, device=self._device)
        bias = torch.empty(ends[-1], dtype=self._dtype, device=self._device) if biased else None
        for module, low, high in parts:
            self.slots[f"{module}.weight"] = weight[low:high]
            if bias is not None:
                self.slots[f"{module}.bias"] = bias[low:high]
        return Fused(weight, bias, parts)
