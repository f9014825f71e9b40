"""What a run will need, in words: memory, disk and time, before anything is loaded."""

from __future__ import annotations

import time

import torch

from trueloop.errors import ModelError
from trueloop.models.size import Size, measure
from trueloop.recipes import wiring

BYTES_PER_TOKEN = 5.8
"""Of a rollout in the trace, as measured in store/trace.py."""

PROBE_SECONDS = 0.2


def describe(config: wiring.Common, *, sampled: int, trained: int) -> list[str]:
    """Lines on memory, disk and time for a run that samples and trains so many tokens in all."""
    try:
        with wiring.plain_model(config.model) as model:
            size = measure(model, config.adapter)
    except ModelError as error:
        return [f"memory, disk and time: not known, since the model was not found ({error})"]
    speed = multiply_rate()
    flops = 2 * size.parameters * sampled + 6 * size.parameters * trained
    return [
        f"model: {size.parameters:,} parameters, {size.trained:,} of them trained",
        f"memory: {_bytes(memory(config, size))} and activations (weights, gradients, optimizer, engine, its cache)",
        f"disk: at most {_bytes(disk(config, size, sampled))} (checkpoints kept, rollouts)",
        f"time: about {_seconds(flops / speed / config.processes)} of matrix products at the {speed / 1e9:.0f} GFLOP/s "
        "that one thread reaches with large ones here and now; small models take several times as long",
    ]


def memory(config: wiring.Common, size: Size) -> int:
    """Bytes of float32 weights, gradients and two moments, and of the engine's weights and cache."""
    wide = 4 if config.engine.dtype == "float32" else 2
    trainer = 4 * size.parameters + 12 * size.trained
    return trainer + wide * (size.parameters + config.engine.cache_tokens * size.cache_per_token)


def disk(config: wiring.Common, size: Size, sampled: int) -> int:
    """Bytes of the checkpoints that are kept, one being written, and the rollouts up to their budget."""
    keep = config.retention.checkpoints
    count = keep.latest + keep.best + 1
    if keep.every is not None:
        count += config.loop.steps // keep.every
    saved = size.parameters if config.adapter is None else size.trained
    rollouts = min(config.retention.rollout_bytes, int(BYTES_PER_TOKEN * sampled))
    return count * (4 * saved + 12 * size.trained) + rollouts


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
