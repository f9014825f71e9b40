"""Any Hugging Face causal LM with an attention cache, through its own forward.

Prompts are right-padded while they are computed, which causal attention needs no mask for.  Decode rows are
left-padded to one length, as `generate` does, so that the model's own masks (sliding windows, ALiBi) are right.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from trueloop.engines.decoder import Prefix, pad, survivors
from trueloop.engines.lora import Adapters, Groups, add_deltas


class GenericDecoder:
    """See `Decoder`.  Owns `model`."""

    def __init__(self, model: PreTrainedModel, adapters: Adapters) -> None:
        self.name = f"generic ({type(model).__name__}.forward)"
        self.slots = model.state_dict()
        self._model = model
        self._adapters = adapters
        self._accepts = set(inspect.signature(model.forward).parameters)
        self._cache = DynamicCache()
        self._lengths: list[int] = []
        self._row_adapters: list[str | None] = []
        self._row_groups: Groups = ()
        self._groups: Groups = ()
        self._hook_adapters()

    @property
    def rows(self) -> int:
        """See `Decoder`."""
        return len(self._lengths)

    @property
    def positions(self) -> int:
        """See `Decoder`."""
        return self.rows * max(self._lengths, default=0)

    def start(self, prompts: Sequence[tuple[int, ...]], adapters: Sequence[str | None]) -> Prefix:
        """See `Decoder`."""
        return Prefix(prompts=prompts, adapters=adapters, kv=DynamicCache())

    def extend(self, prefix: Prefix, count: int) -> Tensor | None:
        """See `Decoder`."""
        start, stop = prefix.done, min(prefix.done + count, prefix.width)
        last = [min(len(p), stop) - 1 - start for p in prefix.prompts]
        logits_JV = self._forward(
            pad(prefix.prompts, start, stop, self._model.device),
            groups=self._adapters.groups(prefix.adapters),
            position_BT=torch.arange(start, stop, device=self._model.device)[None],
            cache=prefix.kv,
            mask_BT=None,
            last=last,
        )
        prefix.done = stop
        return logits_JV if stop == prefix.width else None

    def reserve(self, rows: int, width: int) -> None:
        """Nothing to do: the cache is as wide as its longest row at present."""

    def append(self, prefix: Prefix, picks: Sequence[int]) -> None:
        """See `Decoder`."""
        lengths = [len(prefix.prompts[j]) for j in picks]
        width, held = max([*self._lengths, *lengths]), self.rows
        staged = _layers(prefix.kv)
        present = _layers(self._cache) or [(None, None)] * len(staged)
        cache = DynamicCache()
        for i, (new_kv, old_kv) in enumerate(zip(staged, present, strict=True)):
            keys, values = (
                _right_aligned(new, old, picks, lengths, held, width) for new, old in zip(new_kv, old_kv, strict=True)
            )
            cache.update(keys, values, i)
        self._cache = cache
        self._lengths += lengths
        self._set_row_adapters(self._row_adapters + [prefix.adapters[j] for j in picks])

    def step(self, token_R: Sequence[int]) -> Tensor:
        """See `Decoder`."""
        device, width = self._model.device, max(self._lengths)
        length_R1 = torch.tensor(self._lengths, device=device)[:, None]
        logits_RV = self._forward(
            torch.tensor(token_R, device=device)[:, None],
            groups=self._row_groups,
            position_BT=length_R1,
            cache=self._cache,
            mask_BT=(torch.arange(width + 1, device=device) >= width - length_R1).long(),
            last=[0] * self.rows,
        )
        self._lengths = [n + 1 for n in self._lengths]
        return logits_RV

    def retire(self, gone: Sequence[int]) -> list[int]:
        """See `Decoder`."""
        order = survivors(self.rows, gone)
        width = max(self._lengths)
        self._lengths = [self._lengths[row] for row in order]
        self._set_row_adapters([self._row_adapters[row] for row in order])
        cut, index = width - max(self._lengths, default=width), torch.tensor(order, device=self._model.device)
        kept = _layers(self._cache) if order else []
        self._cache = DynamicCache()
        for i, (keys, values) in enumerate(kept):
            self._cache.update(keys[index, :, cut:], values[index, :, cut:], i)
        return order

    def score(self, ids_JT: Tensor, adapters: Sequence[str | None]) -> Iterator[Tensor]:
        """See `Decoder`; one block, since the head is inside the model's forward."""
        self._groups = self._adapters.groups(adapters)
        yield self._model(input_ids=ids_JT, use_cache=False).logits.float()

    def refresh(self) -> None:
        """Nothing is derived from the weights."""

    def _forward(
        self,
        ids_BT: Tensor,
        *,
        groups: Groups,
        position_BT: Tensor,
        cache: DynamicCache,
        mask_BT: Tensor | None,
        last: Sequence[int],
    ) -> Tensor:
        """Logits [B, V] at column last[b] of each row; the cache is extended in place."""
        self._groups = groups
        last_B1 = torch.tensor(last, device=ids_BT.device)[:, None]
        optional = {"position_ids": position_BT.expand_as(ids_BT), "logits_to_keep": last_B1}
        out = self._model(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            past_key_values=cache,
            use_cache=True,
            **{name: value for name, value in optional.items() if name in self._accepts},
        )
        logits_BTV = out.logits.float()
        if "logits_to_keep" not in self._accepts:
            logits_BTV = logits_BTV.take_along_dim(last_B1[..., None], dim=1)
        return logits_BTV[:, 0]

    def _set_row_adapters(self, adapters: list[str | None]) -> None:
        self._row_adapters, self._row_groups = adapters, self._adapters.groups(adapters)

    def _hook_adapters(self) -> None:
        """Let every linear layer that some adapter changes add its deltas, for the rows in `_groups`."""
        linear = {name: m for name, m in self._model.named_modules() if _is_linear(m)}
        self._adapters.require_modules(linear)
        for name in self._adapters.modules:

            def hook(_: nn.Module, args: tuple[Any, ...], out: Tensor, name: str = name) -> None:
                add_deltas(out, args[0], name, self._groups)

            linear[name].register_forward_hook(hook)


def _layers(cache: DynamicCache) -> list[tuple[Any, Any]]:
    """Keys and values of every layer."""
    layers: list[Any] = cache.layers
    return [(layer.keys, layer.values) for layer in layers]


def _is_linear(module: nn.Module) -> bool:
    """A linear layer, or GPT-2's transposed one: both map the last dimension and carry one weight matrix."""
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def _right_aligned(
    new: Tensor, old: Tensor | None, picks: Sequence[int], lengths: Sequence[int], held: int, width: int
) -> Tensor:
    """Keys or values of the `held` rows and one more for each pick, all ending in the last of `width` columns."""
    out = new.new_zeros(held + len(picks), new.shape[1], width, new.shape[3])
    if old is not None:
        out[:held, :, width - old.shape[2] :] = old
    for row, (j, length) in enumerate(zip(picks, lengths, strict=True), held):
        out[row, :, width - length :] = new[j, :, :length]
    return out
