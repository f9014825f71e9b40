"""The policy: a causal LM with its tokenizer and, perhaps, one LoRA adapter that is trained in its place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_layers import GradientCheckpointingLayer

from trueloop.errors import ConfigError, ModelError
from trueloop.models import attention, files, load, lora
from trueloop.models.forward import linear_head
from trueloop.models.spec import Fresh, LoRA, Pretrained, SavedAdapter


class Policy:
    """A model in evaluation mode (no dropout outside `training`), with float32 weights unless asked otherwise.

    model      transformers' PreTrainedModel, or PEFT's wrapper around it
    end_ids    every id that ends a completion
    adapter    name of the trained adapter; None where the whole model is trained
    base       directory or Hub id of what the adapter stands on, or of the model that was loaded; None if that exists
               in memory only (a fresh or merged model)
    notes      what was done on loading that may surprise
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        base: str | None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.base = base
        self.notes = notes
        self.adapter = lora.ADAPTER if isinstance(model, PeftModel) else None
        self.end_ids = load.end_ids(self.base_model, tokenizer)
        linear_head(self.base_model)
        attention.install(self.base_model)

    @classmethod
    def load(
        cls,
        where: str | Path,
        *,
        adapter: LoRA | str | Path | None = None,
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
        if_adapter: Literal["merge", "continue"] = "merge",
    ) -> Policy:
        """A directory or Hub id, under a new adapter, a saved one (directory or Hub id), or none.

        `seed` draws a new adapter.  See `Pretrained` for `if_adapter`.  Raises `ModelError`, or `ConfigError` if one
        adapter is to be continued and another added.
        """
        directory = files.locate(where)
        if if_adapter == "continue" and files.is_adapter(directory):
            if adapter is not None:
                raise ConfigError(
                    f"{where} is an adapter to be continued, so no second one can be added; "
                    'leave the adapter out, or set model.if_adapter = "merge"'
                )
            where, adapter = files.adapter_base(directory), directory
        loaded = load.load_model(where, dtype)
        model = _with_adapter(loaded.model, adapter, seed)
        return cls(model, loaded.tokenizer, base=loaded.source, notes=loaded.notes)

    @classmethod
    def fresh(
        cls,
        config: dict[str, Any],
        tokenizer: PreTrainedTokenizerBase | str | Path,
        seed: int,
        *,
        adapter: LoRA | str | Path | None = None,
    ) -> Policy:
        """Random weights drawn from `seed`; see `Fresh`."""
        if not isinstance(tokenizer, PreTrainedTokenizerBase):
            tokenizer = load.load_tokenizer(tokenizer)
        model = _with_adapter(load.new_model(config, tokenizer, seed), adapter, seed)
        return cls(model, tokenizer, base=None)

    @property
    def base_model(self) -> PreTrainedModel:
        """The transformers model, adapter layers included."""
        return lora.base_of(self.model)

    def trainable(self) -> dict[str, nn.Parameter]:
        """What the optimizer changes, by name; a tied weight once."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def engine_weights(self) -> dict[str, Tensor]:
        """The merged model under Hugging Face names, tied weights under each; copies only what an adapter changes.

        The other tensors are the model's own storage: an engine that outlives the next optimizer step copies them.
        """
        return lora.merged_weights(self.model)

    def save(self, directory: Path) -> None:
        """Write what `load`, transformers and PEFT read: the adapter if there is one, else the model; tokenizer too.

        An adapter whose base exists in memory only brings the base along, in `base/`.  Not atomic: the caller wraps it.
        """
        self.tokenizer.save_pretrained(directory)
        if not isinstance(self.model, PeftModel):
            self._write(directory, self.model.state_dict())
            return
        if self.base is None:
            self._write_base(directory / "base")
        self.model.peft_config[lora.ADAPTER].base_model_name_or_path = self.base or "base"
        self.model.save_pretrained(str(directory), save_embedding_layers=False)
        lora.sort_targets(directory)
        self.base_model.generation_config.save_pretrained(directory)

    def save_base(self, directory: Path) -> None:
        """Write what the adapter stands on.  With `base` set to where that is, transformers and PEFT find it from the
        saved adapter; a base that `save` had to bring along they do not find."""
        self._write_base(directory)

    def _write_base(self, directory: Path) -> None:
        assert isinstance(self.model, PeftModel)
        self.tokenizer.save_pretrained(directory)
        self._write(directory, lora.base_weights(self.model))

    def export_merged(self, directory: Path) -> None:
        """Write a whole model, adapter merged in, that `AutoModelForCausalLM` loads; this model is not touched."""
        self.tokenizer.save_pretrained(directory)
        self._write(directory, self.engine_weights())

    @contextmanager
    def training(self) -> Iterator[None]:
        """Turns the adapter's dropout on inside, if it has any; everything else stays in evaluation mode."""
        drops = [d for m in self.model.modules() if isinstance(m, LoraLayer) for d in m.lora_dropout.values()]
        try:
            for drop in drops:
                drop.train()
            yield
        finally:
            for drop in drops:
                drop.eval()

    def enable_gradient_checkpointing(self) -> None:
        """Recompute each layer in the backward: less memory for about a third more time.  Values do not change.

        transformers checkpoints layers in training mode only, so the layers' own flag is set, not their children's.
        Raises `ModelError` for a model without such layers, or whose layers drop out by that flag.
        """
        if not self.base_model.supports_gradient_checkpointing:
            raise ModelError(f"{type(self.base_model).__name__} cannot recompute its layers; leave checkpointing off")
        before = self._probe_logits()
        self.base_model.activation_checkpointing_enable({"use_reentrant": False})
        layers = [m for m in self.base_model.modules() if isinstance(m, GradientCheckpointingLayer)]
        for layer in layers:
            layer.training = True
        if not torch.equal(before, self._probe_logits()):
            self.base_model.activation_checkpointing_disable()
            self.model.eval()
            raise ModelError(
                f"{type(self.base_model).__name__}: its layers drop out while they are recomputed; "
                "set the dropout fields of its config.json to 0, or leave checkpointing off"
            )

    def fingerprint(self) -> str:
        """16 hex digits of every weight's name, type, shape and bytes, adapter and base."""
        digest = hashlib.blake2b(digest_size=8)
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """What a run records of its policy."""
        config = self.base_model.config
        return {
            "model_type": config.model_type,
            "base": self.base,
            "adapter": self.adapter,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "trainable": sum(p.numel() for p in self.trainable().values()),
            "dtype": str(self.base_model.dtype).removeprefix("torch."),
            "vocabulary": len(self.tokenizer),
            "end_tokens": [self.tokenizer.convert_ids_to_tokens(i) for i in self.end_ids],
            "notes": list(self.notes),
        }

    @torch.no_grad()
    def _probe_logits(self) -> Tensor:
        ids = torch.arange(8, device=self.base_model.device)[None] % len(self.tokenizer)
        return self.base_model(input_ids=ids, use_cache=False).logits

    def _write(self, directory: Path, weights: dict[str, Tensor]) -> None:
        with load.no_progress_bars():
            self.base_model.save_pretrained(directory, state_dict=weights)


def load_policy(model: Pretrained | Fresh, adapter: LoRA | SavedAdapter | None = None, seed: int = 0) -> Policy:
    """The policy that a configuration describes; `seed` draws fresh weights and new adapters."""
    chosen = adapter.path if isinstance(adapter, SavedAdapter) else adapter
    if isinstance(model, Fresh):
        return Policy.fresh(model.config, model.tokenizer, seed, adapter=chosen)
    return Policy.load(model.path, adapter=chosen, seed=seed, if_adapter=model.if_adapter)


def _with_adapter(model: PreTrainedModel, adapter: LoRA | str | Path | None, seed: int) -> PreTrainedModel | PeftModel:
    if adapter is None:
        return model
    if isinstance(adapter, LoRA):
        return lora.add_adapter(model, adapter, seed)
    return lora.load_adapter(model, files.locate(adapter))
