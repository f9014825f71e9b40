"""Every check, by id."""

from __future__ import annotations

from trueloop.checks import (
    data,
    direction,
    liveness,
    numerics,
    outcome,
    overfit,
    pair_steps,
    preferences,
    prompt,
    prompt_tokens,
    sampled,
    sampling,
    schedule,
    served,
    serving,
    task,
    transcripts,
    weights,
)
from trueloop.checks.base import CHECKS, Check
from trueloop.checks.running import flow, guard, optimizer, policy, resources, rewards, rollouts, spot

RUNNING = (optimizer, policy, rollouts, rewards, spot, guard, flow, resources)
THEMES = (
    task,
    data,
    prompt,
    prompt_tokens,
    sampling,
    sampled,
    direction,
    liveness,
    serving,
    schedule,
    overfit,
    served,
    numerics,
    preferences,
    pair_steps,
    weights,
    *RUNNING,
    transcripts,
    outcome,
)
"""Importing a theme registers its checks."""

CATALOGUE: dict[str, Check] = dict(sorted(CHECKS.items()))
