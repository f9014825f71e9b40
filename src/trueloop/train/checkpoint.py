"""A training state on disk: weights that transformers or PEFT load, and all that a bit-exact resume needs.

    model/               what `Policy.save` writes
    trainer.safetensors  trained weights (float32, under the trainer's names), AdamW's moments, interventions' state
    trainer.json         counters

The trained weights are kept twice on purpose: formats for other programs may rename, convert or leave out what a model
was extended with, and a resume must not depend on that.  Nothing here draws from a generator with a state: dropout
draws from the seed and the step.  The caller makes the directory appear whole or not at all.
"""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trueloop.errors import StoreError
from trueloop.train.step import Trainer

MODEL = "model"
TENSORS = "trainer.safetensors"
COUNTERS = "trainer.json"


def write(directory: Path, trainer: Trainer) -> None:
    """Write the trainer's state into an existing directory.  Raises `OSError` where the disk refuses."""
    try:
        _write(directory, trainer)
    except SafetensorError as error:
        full = "No space left" in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(directory)) from error


def _write(directory: Path, trainer: Trainer) -> None:
    trainer.policy.save(directory / MODEL)
    state = trainer.state_dict()
    tensors = {f"weights/{name}": p.detach() for name, p in trainer.trainable.items()}
    for part in ("moments", "interventions"):
        tensors |= {f"{part}/{name}": value for name, value in state[part].items()}
    save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, directory / TENSORS)
    counters = {"version": state["version"], "steps": state["steps"]}
    (directory / COUNTERS).write_text(json.dumps(counters, indent=1) + "\n", encoding="utf-8")


def read(directory: Path, trainer: Trainer) -> None:
    """Bring a trainer, built as the one that wrote, to the state in `directory`.

    Raises `StoreError` for a directory that is incomplete or belongs to another model or adapter.
    """
    counters, tensors = _read_files(directory)
    weights = _below("weights/", tensors)
    wrong = _differences(weights, trainer)
    if wrong:
        raise StoreError(
            f"{directory / TENSORS} is of another model or adapter: {len(wrong)} parameters do not fit, the first is "
            f"{wrong[0]}; resume with the model section of the configuration it was written with"
        )
    parts = {part: _below(f"{part}/", tensors) for part in ("moments", "interventions")}
    trainer.load_state_dict({**counters, **parts})
    with torch.no_grad():
        for name, parameter in trainer.trainable.items():
            parameter.copy_(weights[name])


def _read_files(directory: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        counters = json.loads((directory / COUNTERS).read_text(encoding="utf-8"))
        return counters, load_file(directory / TENSORS)
    except (OSError, ValueError, SafetensorError) as error:
        raise StoreError(
            f"{directory} is no complete training checkpoint: {error}; expected {COUNTERS} and {TENSORS}; "
            "resume from an earlier one"
        ) from error


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _differences(weights: dict[str, Tensor], trainer: Trainer) -> list[str]:
    expected = {name: tuple(p.shape) for name, p in trainer.trainable.items()}
    found = {name: tuple(t.shape) for name, t in weights.items()}
    return [
        f"{name!r} ({found.get(name, 'absent')} there, {expected.get(name, 'absent')} here)"
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]
