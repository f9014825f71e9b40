"""LoRA adapters: new, loaded, switched off, and merged without touching the model.

Only plain LoRA is taken (rank-stabilised scaling included): for it alone is the merged weight W + scale B A, which
`merged_weights` computes, the exact counterpart of the adapted forward.  The rest is refused when it is attached.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from peft.tuners.lora import Embedding, Linear, LoraLayer
from peft.utils import ModulesToSaveWrapper, load_peft_weights, set_peft_model_state_dict
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from trueloop.errors import ModelError
from trueloop.models.files import require_adapter
from trueloop.models.spec import LoRA

ADAPTER = "default"


def base_of(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The transformers model, adapter layers included, without PEFT's wrapper."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(base, PreTrainedModel)
    return base


def add_adapter(model: PreTrainedModel, lora: LoRA, seed: int) -> PeftModel:
    """A new trainable adapter on `model` (changed in place); A is drawn from `seed`, B is zero."""
    linear = _linear_names(model)
    kinds = sorted({_kind(name) for name in linear})
    targets = kinds if lora.targets == "all-linear" else list(lora.targets)
    chosen = [name for name, _ in model.named_modules() if _matches(name, targets)]
    missing = [target for target in targets if not any(_matches(name, [target]) for name in chosen)]
    if missing or not targets:
        raise ModelError(
            f"adapter targets {missing} match no module of {type(model).__name__}; "
            f"its linear modules are {', '.join(kinds)}"
        )
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        fan_in_fan_out=any(isinstance(model.get_submodule(name), Conv1D) for name in chosen),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _attach(model, config, f"adapter targets {targets}")


def load_adapter(model: PreTrainedModel, directory: Path) -> PeftModel:
    """The trainable adapter that PEFT saved in `directory`, on `model` (changed in place).

    Raises `ModelError` if it is not plain LoRA, or does not fit the model weight by weight.
    """
    require_adapter(directory)
    try:
        config = PeftConfig.from_pretrained(str(directory))
        weights = load_peft_weights(str(directory), device="cpu")
    except (ValueError, TypeError, KeyError, SafetensorError) as error:
        raise ModelError(f"{directory}: PEFT cannot read this adapter: {error}") from error
    if not isinstance(config, LoraConfig):
        raise ModelError(
            f"{directory}: this adapter is {config.peft_type}, expected LORA; train a LoRA adapter instead"
        )
    config.inference_mode = False
    config.base_model_name_or_path = None
    peft = _attach(model, config, str(directory))
    try:
        result: Any = set_peft_model_state_dict(peft, weights)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"{directory}: the adapter does not fit {type(model).__name__}: {error}") from error
    missing = [k for k in result.missing_keys if ".lora_" in k or ".modules_to_save." in k]
    if missing or result.unexpected_keys:
        raise ModelError(
            f"{directory}: the adapter does not fit {type(model).__name__}: {len(missing)} weights missing "
            f"{missing[:2]}, {len(result.unexpected_keys)} without a place {result.unexpected_keys[:2]}; "
            "is this the base it was trained on?"
        )
    return peft


@contextmanager
def adapter_off(model: PeftModel) -> Iterator[None]:
    """The bare base inside; afterwards what was trainable is trainable and what was frozen is frozen.

    PEFT couples "active" with "requires grad" and, on its own, would unfreeze a frozen adapter here.
    """
    trainable = [(p, p.requires_grad) for p in model.parameters()]
    try:
        with model.disable_adapter():
            yield
    finally:
        for parameter, flag in trainable:
            parameter.requires_grad_(flag)


@torch.no_grad()
def merged_weights(model: PreTrainedModel | PeftModel) -> dict[str, Tensor]:
    """Every weight and persistent buffer under its Hugging Face name, adapter merged in; tied ones under each name.

    Detached; what no adapter touches is the model's own storage, not a copy.
    """
    base = base_of(model)
    weights = {_plain_name(n): t.detach() for n, t in base.state_dict().items() if not _is_adapter_weight(n)}
    for name, layer in base.named_modules():
        if isinstance(layer, Linear | Embedding):
            delta = layer.get_delta_weight(ADAPTER)
            weights[f"{_plain_name(name)}.weight"] = layer.get_base_layer().get_parameter("weight") + delta
    return weights


def base_weights(model: PeftModel) -> dict[str, Tensor]:
    """Every weight and persistent buffer of the bare base under its Hugging Face name; no copies."""
    state = base_of(model).state_dict()
    plain = re.compile(r"\.base_layer\b|\.original_module\b")
    return {plain.sub("", n): t for n, t in state.items() if ".lora_" not in n and ".modules_to_save." not in n}


def _attach(model: PreTrainedModel, config: LoraConfig, what: str) -> PeftModel:
    with (
        warnings.catch_warnings()
    ):  # PEFT only warns of tied targets, which _require_plain refuses; it reads an old name
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
        warnings.filterwarnings("ignore", message="Model (with|has) `tie_word_embeddings=True`")
        try:
            peft = get_peft_model(model, config, adapter_name=ADAPTER)
        except (ValueError, TypeError) as error:
            raise ModelError(f"{what}: PEFT cannot attach this to {type(model).__name__}: {error}") from error
    _require_plain(peft, config, what)
    return peft


def _require_plain(peft: PeftModel, config: LoraConfig, what: str) -> None:
    layers: dict[str, Any] = {
        n: m for n, m in base_of(peft).named_modules() if isinstance(m, LoraLayer | ModulesToSaveWrapper)
    }
    special = [
        name
        for name, layer in layers.items()
        if isinstance(layer, LoraLayer)
        and (type(layer) not in (Linear, Embedding) or layer.lora_variant or any(layer.lora_bias.values()))
    ]
    if special or config.bias != "none" or config.trainable_token_indices:
        raise ModelError(
            f"{what}: only plain LoRA is supported, without variants such as DoRA, trained biases or token rows "
            f"(bias={config.bias!r}, first special layer: {special[:1]}); merge it with PEFT and load the result"
        )
    tied = _tied_modules(base_of(peft), layers)
    if tied:
        raise ModelError(
            f"{what}: {tied} share one weight with another module (tie_word_embeddings), so an adapter on them has no "
            "merged model; take other targets, or untie the model first"
        )


def _tied_modules(base: PreTrainedModel, layers: dict[str, Any]) -> list[str]:
    owners: dict[int, int] = {}
    for _, parameter in base.named_parameters(remove_duplicate=False):
        owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    original: dict[str, nn.Module] = {
        n: m.original_module if isinstance(m, ModulesToSaveWrapper) else m.base_layer for n, m in layers.items()
    }
    return [n for n, m in original.items() if any(owners[id(p)] > 1 for p in m.parameters(recurse=False))]


def _linear_names(model: PreTrainedModel) -> list[str]:
    head = model.get_output_embeddings()
    return [n for n, m in model.named_modules() if isinstance(m, nn.Linear | Conv1D) and m is not head]


def _kind(name: str) -> str:
    """The last part of a module's name; all of it for a numbered one, whose number would match any other list too."""
    last = name.rpartition(".")[2]
    return name if last.isdigit() else last


def _matches(name: str, targets: list[str]) -> bool:
    return any(name == target or name.endswith(f".{target}") for target in targets)


def _is_adapter_weight(name: str) -> bool:
    return ".lora_" in name or ".original_module." in name


def _plain_name(name: str) -> str:
    return re.sub(rf"\.base_layer\b|\.modules_to_save\.{ADAPTER}\b", "", name)


def sort_targets(directory: Path) -> None:
    """PEFT writes its set of target modules in another order in every process; equal adapters get equal files."""
    path = directory / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(config.get("target_modules"), list):
        config["target_modules"] = sorted(config["target_modules"])
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
