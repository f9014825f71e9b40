"""A step that is taken back: the preflight tries the real trainer and leaves it bit by bit as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from trueloop.train.step import Trainer


@contextmanager
def undone(trainer: Trainer) -> Iterator[dict[str, Tensor]]:
    """Whatever happens to weights, moments, counters and interventions inside is undone at the end.

    Gives the trained weights as they are before, by name.  What is kept is kept in the memory of the CPU.
    """
    state = trainer.state_dict()
    state |= {part: on_cpu(state[part]) for part in ("moments", "interventions")}
    before = on_cpu(trainer.trainable)
    try:
        yield before
    finally:
        with torch.no_grad():
            for name, p in trainer.trainable.items():
                p.copy_(before[name])
        trainer.load_state_dict(state)


def on_cpu(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies that nothing else changes."""
    return {name: t.detach().to("cpu", copy=True) for name, t in named.items()}
