"""How large a model is, read from its configuration alone: no weights are loaded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from trueloop.models.files import adapter_base, is_adapter, locate
from trueloop.models.load import load_tokenizer
from trueloop.models.spec import Fresh, LoRA, Pretrained, SavedAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """parameters of the model; those that train; numbers of keys and values per cached position."""

    parameters: int
    trained: int
    cache_per_token: int


def measure(model: Pretrained | Fresh, adapter: LoRA | SavedAdapter | None) -> Size:
    """The size of what `load_policy` would build.  Raises `ModelError` for a model that is not there.

    An adapter's own size is counted for its linear layers; one from disk counts as none that trains, until it is read.
    """
    config = _config(model)
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(config)
    parameters = sum(p.numel() for p in skeleton.parameters())
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    trained = parameters if adapter is None else _adapter_parameters(skeleton, adapter)
    return Size(
        parameters=parameters, trained=trained, cache_per_token=2 * text.num_hidden_layers * int(heads) * int(width)
    )


def _config(model: Pretrained | Fresh) -> PretrainedConfig:
    if isinstance(model, Fresh):
        fields = {"vocab_size": len(load_tokenizer(model.tokenizer)), **model.config}
        return AutoConfig.for_model(fields.pop("model_type"), **fields)
    directory = locate(model.path)
    return AutoConfig.from_pretrained(adapter_base(directory) if is_adapter(directory) else directory)


def _adapter_parameters(skeleton: torch.nn.Module, adapter: LoRA | SavedAdapter) -> int:
    if isinstance(adapter, SavedAdapter):
        return 0
    head = skeleton.get_output_embeddings()  # type: ignore[operator]
    return sum(
        adapter.rank * (module.in_features + module.out_features)
        for name, module in skeleton.named_modules()
        if isinstance(module, torch.nn.Linear)
        and module is not head
        and (adapter.targets == "all-linear" or name.rsplit(".", 1)[-1] in adapter.targets)
    )
