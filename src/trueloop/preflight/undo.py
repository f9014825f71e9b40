"""A step that is taken back: the preflight tries the real trainer and leaves it bit by bit as it was."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from trueloop.train.step import Trainer


@contextmanager
def undone(trainer: Trainer) -> Iterator[dict[str, Tensor]]:
    """Whatever happens to weights, moments, counters and interventions inside is undone at the end.

    Gives the trained weights as they are before, by name.
    """
    state = copy.deepcopy(trainer.state_dict())
    before = {name: p.detach().clone() for name, p in trainer.trainable.items()}
    try:
        yield before
    finally:
        with torch.no_grad():
            for name, p in trainer.trainable.items():
                p.copy_(before[name])
        trainer.load_state_dict(state)


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state with tensors of its own: a step changes the optimizer's in place."""
    parts = {part: {name: t.clone() for name, t in state[part].items()} for part in ("moments", "interventions")}
    return {**state, **parts}
