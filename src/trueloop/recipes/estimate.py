"""What a run will need, in words: memory, disk and time, before anything is loaded."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from trueloop.errors import ModelError
from trueloop.models import Pretrained
from trueloop.models.size import Size, measure
from trueloop.recipes import wiring

BYTES_PER_TOKEN = 5.8
"""Of a rollout in the trace, as measured in store/trace.py."""

PROBE_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of a run, with the most tokens of completions that it goes through.

    steps    of a loop, which keeps checkpoints and rollouts; 0 of evaluations
    sampled  tokens that are drawn
    trained  tokens of a forward and backward pass
    read     tokens of a forward pass alone: a reference, the student as its own teacher
    taught   tokens that a teacher of its own size reads
    """

    name: str
    steps: int = 0
    sampled: int = 0
    trained: int = 0
    read: int = 0
    taught: int = 0


class OtherModel(Protocol):
    """A teacher beside the policy."""

    @property
    def path(self) -> str:
        """A directory or Hub id."""
        ...

    @property
    def dtype(self) -> Literal["float32", "bfloat16"]:
        """Of its weights."""
        ...


def guarding(name: str, guard: wiring.Evaluating | None, steps: int, max_tokens: int) -> list[Stage]:
    """The guard's evaluations of a loop of so many steps: before it, every so often, and at its end."""
    if guard is None:
        return []
    evaluations = 1 + -(-steps // guard.every)
    return [Stage(name=name, sampled=evaluations * guard.problems * guard.samples * max_tokens)]


def describe(
    config: wiring.Common, stages: Sequence[Stage], *, frozen: bool = False, teacher: OtherModel | None = None
) -> list[str]:
    """Lines on memory, disk and time.  `frozen`: a copy of what trains is kept, as a reference or teacher."""
    try:
        with wiring.plain_model(config.model) as model:
            size = measure(model, config.adapter)
        taught = measure(Pretrained(path=teacher.path), None).parameters if teacher is not None else 0
    except ModelError as error:
        return [f"memory, disk and time: not known, since the model was not found ({error})"]
    speed = multiply_rate()
    seconds = {stage.name: flops(config, size, stage, taught) / speed for stage in stages}
    parts = ", ".join(f"{name} {_seconds(part)}" for name, part in seconds.items())
    held = ["weights", "gradients", "optimizer", "engine", "its cache"]
    held += ["frozen copy"] * frozen + ["teacher"] * (teacher is not None)
    other = f"; teacher: {taught:,}" if teacher is not None else ""
    room = memory(config, size, frozen=frozen) + taught * _width(teacher.dtype if teacher is not None else "float32")
    return [
        f"model: {size.parameters:,} parameters, {size.trained:,} of them trained{other}",
        f"memory: {_bytes(room)} and activations ({', '.join(held)})",
        f"disk: at most {_bytes(disk(config, size, stages, frozen=frozen))} (checkpoints kept, rollouts)",
        f"time: at most about {_seconds(sum(seconds.values()))} of matrix products ({parts}), prompts not counted, at "
        f"the {speed / 1e9:.0f} GFLOP/s that one thread reaches with large ones here and now; small models take "
        "several times as long",
        f"one thread per process; processes = {config.processes}, this machine has {os.cpu_count()} cores",
    ]


def flops(config: wiring.Common, size: Size, stage: Stage, taught: int) -> float:
    """Of the matrix products on the path that takes longest: the processes divide training and nothing else.

    A forward pass is 2 per parameter and token, gradients of activations 2 more, those of weights 2 per trained one.
    `taught` is the teacher's number of parameters.
    """
    passes = 6 if config.gradient_checkpointing else 4
    training = (passes * size.parameters + 2 * size.trained) * stage.trained / config.processes
    return training + 2 * size.parameters * (stage.sampled + stage.read) + 2 * taught * stage.taught


def memory(config: wiring.Common, size: Size, *, frozen: bool = False) -> int:
    """Bytes of float32 weights, gradients of each process, two moments and a frozen copy, and of the engine."""
    trainer = 4 * size.parameters + 4 * size.trained * (2 + config.processes + frozen)
    return trainer + _width(config.engine.dtype) * (size.parameters + config.engine.cache_tokens * size.cache_per_token)


def disk(config: wiring.Common, size: Size, stages: Sequence[Stage], *, frozen: bool = False) -> int:
    """Bytes of the checkpoints that each loop keeps, one being written, and of its rollouts up to their budget."""
    saved = size.parameters if config.adapter is None else size.trained
    one = 4 * saved + 4 * size.trained * (3 + frozen)
    keep, total = config.retention.checkpoints, one
    for stage in (stage for stage in stages if stage.steps):
        total += one * (keep.latest + keep.best + (stage.steps // keep.every if keep.every is not None else 0))
        total += min(config.retention.rollout_bytes, int(BYTES_PER_TOKEN * stage.sampled))
    return total


def multiply_rate() -> float:
    """Floating-point operations a second of one thread in float32 matrix products, measured for a moment."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        a_DD, count, start = torch.rand(512, 512), 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < PROBE_SECONDS:
            a_DD @ a_DD
            count += 1
        return count * 2 * 512**3 / spent
    finally:
        torch.set_num_threads(threads)


def _width(dtype: str) -> int:
    return 4 if dtype == "float32" else 2


def _bytes(n: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def _seconds(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
