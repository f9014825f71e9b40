"""Finding model, adapter and tokenizer files, and saying exactly what is missing before anything is loaded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from trueloop.errors import ModelError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_TEXT_FILES = ["*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken"]
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "adapter_model.safetensors", "adapter_model.bin")
_VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model", "*.tiktoken")
_INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


def locate(where: str | Path) -> Path:
    """The directory that holds the files: `where` itself, or the local copy of a Hub id (fetched if need be)."""
    path = Path(where).expanduser()
    if path.is_dir():
        return path.resolve()
    if isinstance(where, Path) or not _HUB_ID.fullmatch(where):
        raise ModelError(f"{where}: no such directory; expected a model directory or a Hub id such as Qwen/Qwen3-0.6B")
    return _fetch(where)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not readable as JSON ({error}); copy the file again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def is_adapter(directory: Path) -> bool:
    """Whether the directory holds a PEFT adapter instead of a whole model."""
    return (directory / "adapter_config.json").is_file()


def require_model(directory: Path) -> None:
    """Raise `ModelError` unless config.json and all weight files are there."""
    if not (directory / "config.json").is_file():
        raise ModelError(f"{directory}: no config.json, so this is no model directory; {_contents(directory)}")
    for index in _INDICES:
        if (directory / index).is_file():
            return _require_shards(directory, index)
    if not _has_weights(directory):
        raise ModelError(
            f"{directory}: config.json is there but no weights (expected {', '.join(_WEIGHTS[:2])} or an index of "
            f"shards); {_contents(directory)}; copy the weights, or train a fresh model from this configuration"
        )
    return None


def require_adapter(directory: Path) -> None:
    """Raise `ModelError` unless the directory holds an adapter and its weights."""
    if not is_adapter(directory):
        kind = "a whole model" if (directory / "config.json").is_file() else "neither adapter nor model"
        raise ModelError(f"{directory}: no adapter_config.json; this is {kind}; give a directory that PEFT saved")
    if not _has_weights(directory):
        raise ModelError(f"{directory}: adapter_config.json is there but no {_WEIGHTS[2]}; {_contents(directory)}")


def require_tokenizer(directory: Path) -> None:
    """Raise `ModelError` unless there is a file that a tokenizer's vocabulary can come from."""
    if not any(next(directory.glob(pattern), None) for pattern in _VOCABULARIES):
        raise ModelError(
            f"{directory}: no tokenizer (expected tokenizer.json); {_contents(directory)}; "
            "copy the tokenizer files of the model that it was made for"
        )


def adapter_base(directory: Path) -> str:
    """Where the base of a saved adapter is: a directory (a relative one inside the adapter's first) or a Hub id."""
    name = read_json(directory / "adapter_config.json").get("base_model_name_or_path")
    if not name:
        raise ModelError(f"{directory}: adapter_config.json names no base model; set base_model_name_or_path in it")
    inside = directory / name
    try:
        base = locate(inside) if inside.is_dir() else locate(name)
    except ModelError as error:
        raise ModelError(
            f"{directory} is an adapter whose base model {name!r} cannot be found ({error}); "
            "set base_model_name_or_path in its adapter_config.json to where the base is"
        ) from error
    if base == directory:
        raise ModelError(f"{directory}: adapter_config.json names the adapter itself as its base model")
    return str(base) if inside.is_dir() or Path(name).is_dir() else name


def _require_shards(directory: Path, index: str) -> None:
    shards = sorted(set(read_json(directory / index).get("weight_map", {}).values()))
    missing = [name for name in shards if not (directory / name).is_file()]
    if missing or not shards:
        raise ModelError(
            f"{directory}: {len(missing)} of the {len(shards)} weight shards that {index} lists are missing, "
            f"first {missing[:1]}; copy them again"
        )


def _has_weights(directory: Path) -> bool:
    return any((directory / name).is_file() for name in (*_WEIGHTS, *_INDICES))


def _contents(directory: Path) -> str:
    names = sorted(p.name for p in directory.iterdir())
    return f"found {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}" if names else "the directory is empty"


def _fetch(hub_id: str) -> Path:
    """Only the files of one weight format: safetensors where the repository has them."""
    try:
        directory = Path(snapshot_download(hub_id, allow_patterns=[*_TEXT_FILES, "*.safetensors"]))
        if not _has_weights(directory):
            directory = Path(snapshot_download(hub_id, allow_patterns=[*_TEXT_FILES, "*.bin"]))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{hub_id}: no such directory here, and not to be had from the Hub either ({reason}); "
            "check the name, the network, and HF_TOKEN for gated models"
        ) from error
    return directory
