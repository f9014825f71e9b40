"""Models and tokenizers from disk, from the Hub, or from scratch; each way to fail has its message."""

from __future__ import annotations

import dataclasses
import difflib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from trueloop.errors import ModelError
from trueloop.models.files import adapter_base, is_adapter, locate, read_json, require_model, require_tokenizer
from trueloop.models.lora import load_adapter

log = logging.getLogger(__name__)

_UNDECLARED = {"head_dim"}
"""Fields that some models read although their configuration class does not declare them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A whole model and its tokenizer.

    source  the directory or Hub id that holds just these weights; None for what exists in memory only
    notes   what was done that the caller may not expect
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    source: str | None
    notes: tuple[str, ...] = ()


def load_model(where: str | Path, dtype: torch.dtype = torch.float32) -> Loaded:
    """A causal LM with its tokenizer, in `dtype` whatever the checkpoint's type.

    An adapter directory is merged into the base it names, which is noted and logged.
    """
    directory = locate(where)
    if is_adapter(directory):
        return _load_merged(directory, dtype)
    require_model(directory)
    model = _read_weights(directory, dtype)
    tokenizer = load_tokenizer(directory)
    _require_vocabulary(tokenizer, model, str(where))
    return Loaded(model=model, tokenizer=tokenizer, source=str(directory if Path(where).is_dir() else where))


def load_tokenizer(where: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a directory or Hub id.

    One that was saved without a class of its own is what its tokenizer.json says.  (transformers would put the model
    type's usual class over it for some types, and makes an empty one of that class where there are no files at all.)
    """
    directory = locate(where)
    require_tokenizer(directory)
    config = directory / "tokenizer_config.json"
    declared = read_json(config).get("tokenizer_class") if config.is_file() else None
    generic = declared in ("TokenizersBackend", "PreTrainedTokenizerFast") and (directory / "tokenizer.json").is_file()
    try:
        return (PreTrainedTokenizerFast if generic else AutoTokenizer).from_pretrained(directory)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{directory}: transformers cannot load this tokenizer ({reason}); copy it again") from error


def new_model(config: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    """A float32 model with weights drawn from `seed`; see `Fresh` for what the tokenizer fills in."""
    fields = {"vocab_size": len(tokenizer), **_special_tokens(tokenizer), **config}
    model_type = fields.pop("model_type", None)
    _require_known(model_type, fields)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            resolved = AutoConfig.for_model(model_type, **fields)
            model = AutoModelForCausalLM.from_config(resolved, dtype=torch.float32)
    except (ValueError, TypeError, RuntimeError, StrictDataclassError) as error:
        raise ModelError(f"model.config does not make a causal language model: {error}") from error
    _require_vocabulary(tokenizer, model, "model.config")
    return model


def end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Every id that ends a completion, as tokenizer, generation config and model config declare them."""
    declared: list[Any] = [tokenizer.eos_token_id, getattr(tokenizer, "eot_token_id", None)]
    for config in (model.generation_config, model.config.get_text_config()):
        ids = getattr(config, "eos_token_id", None)
        declared += ids if isinstance(ids, list | tuple) else [ids]
    rows = embedding_rows(model)
    return tuple(dict.fromkeys(int(i) for i in declared if i is not None and 0 <= i < rows))


def embedding_rows(model: PreTrainedModel) -> int:
    """How many token ids the model knows; often more than its tokenizer has."""
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return len(weight)


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """transformers draws its bars over everything else that is printed."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _load_merged(directory: Path, dtype: torch.dtype) -> Loaded:
    base = load_model(adapter_base(directory), dtype)
    model = load_adapter(base.model, directory).merge_and_unload()
    model.requires_grad_(True)
    own = (directory / "tokenizer_config.json").is_file()
    note = f"{directory} is an adapter: merged it into its base {base.source}"
    log.warning(note)
    tokenizer = load_tokenizer(directory) if own else base.tokenizer
    _require_vocabulary(tokenizer, model, str(directory))
    return Loaded(model=model, tokenizer=tokenizer, source=None, notes=(*base.notes, note))


def _read_weights(directory: Path, dtype: torch.dtype) -> PreTrainedModel:
    try:
        with no_progress_bars():
            loaded: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype, output_loading_info=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        raise ModelError(f"{directory}: transformers cannot load this as a causal language model: {error}") from error
    model, info = loaded
    _require_complete(directory, info)
    _make_generation_config_savable(model)
    return model


def _require_complete(directory: Path, info: Mapping[str, Any]) -> None:
    """transformers fills what is missing with random numbers and drops what has no place; both are errors here."""
    missing, surplus = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    mismatched = sorted(str(key) for key in info["mismatched_keys"])
    if missing or surplus or mismatched:
        found = [
            f"{len(names)} {what} (first: {names[0]})"
            for what, names in (
                ("weights that config.json asks for are missing and would be random", missing),
                ("weights have another shape", mismatched),
                ("weights have no place in the model and would be dropped", surplus),
            )
            if names
        ]
        architecture = read_json(directory / "config.json").get("architectures")
        raise ModelError(f"{directory}: weights and config.json ({architecture}) do not match: {'; '.join(found)}")


def _make_generation_config_savable(model: PreTrainedModel) -> None:
    """Some published ones set a temperature without sampling: transformers loads them but refuses to save them."""
    try:
        model.generation_config.validate(strict=True)
    except ValueError:
        model.generation_config.do_sample = True


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int | None]:
    return {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}


def _require_known(model_type: Any, fields: Mapping[str, Any]) -> None:
    if model_type not in CONFIG_MAPPING:
        near = difflib.get_close_matches(str(model_type), list(CONFIG_MAPPING), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ModelError(f"model.config.model_type: {model_type!r} is no model type of transformers{hint}")
    cls = CONFIG_MAPPING[model_type]
    known = {f.name for f in dataclasses.fields(cls)} | set(cls.attribute_map) | _UNDECLARED
    for name in fields:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(known))}"
            raise ModelError(f"model.config.{name}: {model_type} has no such field; {hint}")


def _require_vocabulary(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, what: str) -> None:
    rows, ids = embedding_rows(model), max(tokenizer.get_vocab().values()) + 1
    if ids > rows:
        raise ModelError(
            f"{what}: the tokenizer has ids up to {ids - 1} but the model has {rows} embeddings; "
            "this tokenizer belongs to another model"
        )
