"""What a schedule and a machine amount to, as the checks of schedules and resources take it."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from trueloop.chat import encode_prompt
from trueloop.checks import schedule
from trueloop.models import Policy
from trueloop.records import CheckResult
from trueloop.tasks.base import Task
from trueloop.train.optim import Optim, learning_rate

PLACES = 200
"""Steps at which a long schedule is read."""

LONGEST = 16
"""Prompts that are encoded: the longest by their characters."""

CORE, GPU = 1e11, 1e14
"""Floating-point operations a second that a good core and a good GPU reach in matrix products."""


def rates(optim: Optim, steps: int) -> dict[int, float]:
    """Step (from 1) -> learning rate, at `PLACES` steps spread evenly, the first two and the last included."""
    spread = {1 + round(k * (steps - 1) / (PLACES - 1)) for k in range(PLACES)}
    places = sorted({1, min(2, steps), steps, *spread})
    return {step: learning_rate(optim, step - 1) for step in places}


@torch.no_grad()
def scheduling(optim: Optim, steps: int, policy: Policy, scaling: float | None) -> Iterator[CheckResult]:
    """The checks of the learning rate, for a run of so many steps."""
    found = rates(optim, steps)
    yield schedule.learning_rate(found, optim.lr)
    total = math.fsum(found.values()) / len(found) * steps
    yield schedule.travel(total, max(found.values()), weight_size(policy))
    yield schedule.weight_decay(total, optim.weight_decay)
    if scaling is not None:
        yield schedule.adapter_scale(scaling, optim.lr)


def weight_size(policy: Policy) -> float | None:
    """Root mean square over the trained matrices that are not zero; None without any."""
    whole = [p.detach() for p in policy.trainable().values() if p.ndim >= 2 and bool(p.any())]
    count = sum(p.numel() for p in whole)
    return math.sqrt(sum(float(p.double().square().sum()) for p in whole) / count) if count else None


def longest_prompt(policy: Policy, tasks: Sequence[tuple[Task, str]], shots: int) -> int:
    """Tokens of the longest prompt among the rows that are longest by their characters, solved examples included."""
    longest = 0
    for task, split in tasks:
        rows = sorted(task.problems(split), key=lambda p: -len(str(p.prompt)))[:LONGEST]
        for problem in rows:
            prompt = task.prompt(problem, task.few_shot(shots, exclude=problem.id))
            longest = max(longest, len(encode_prompt(policy.tokenizer, prompt, task.template)))
    return longest


def device_memory(policy: Policy) -> int | None:
    """Bytes of memory where the policy is: the GPU's, or the machine's within the limit of its control group."""
    device = policy.base_model.device
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return min(whole, int(text)) if text.isdigit() else whole


def free_disk(place: Path) -> int | None:
    """Bytes that are free where `place` is, or will be."""
    there = next((p for p in (place, *place.absolute().parents) if p.exists()), None)
    return None if there is None else shutil.disk_usage(there).free


def speed(policy: Policy) -> float:
    """Floating-point operations a second that the policy's device can be expected to reach."""
    return GPU if policy.base_model.device.type == "cuda" else CORE
