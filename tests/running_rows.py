"""Rows of a healthy run, as metrics.jsonl has them, and histories made of them."""

from __future__ import annotations

import random
from typing import Any

from trueloop.checks.running.seen import Seen, Setup

SETUP = Setup(steps=100, lr=1e-3, fresh=True, rewarded=True, samples=8, capacity=8)


def healthy(step: int) -> dict[str, Any]:
    """A step of 8 groups of 8 rollouts, a little different from every other."""
    draw = random.Random(step)
    reward = 0.3 + 0.002 * step + draw.uniform(-0.05, 0.05)
    return {
        "step": step,
        "version": step,
        "loss": draw.uniform(-1e-8, 1e-8),
        "grad_norm": draw.uniform(0.4, 0.8),
        "lr": 1e-3,
        "groups/used": 8.0,
        "groups/filtered": 0.0,
        "groups/flat": 0.25,
        "groups/all_passed": 0.125,
        "reward/all": reward,
        "reward/std": 0.45,
        "parts/strict": reward,
        "parts/lenient": reward + 0.05,
        "length/mean": draw.uniform(28, 34),
        "length/cut": 0.0,
        "length/distinct": 0.7,
        "flow/lag_max": 0.0,
        "flow/lost": 0.0,
        "fates/used": 8.0 * step,
        "fates/filtered": 0.0,
        "fates/stale": 0.0,
        "fates/failed": 0.0,
        "fates/open": 0.0,
        "rollouts/used": 64.0,
        "rollouts/groups": 8.0,
        "rollouts/lag": 0.0,
        "rollouts/untrained": 0.0,
        "rollouts/commonest": 0.05,
        "rollouts/looping": 0.0,
        "rollouts/scored": 64.0,
        "rollouts/without_verdict": 0.0,
        "weights/changed": 0.99,
        "weights/update": draw.uniform(0.25, 0.35),
        "policy/silent": 0.25,
        "policy/ratio": 1.0,
        "policy/ratio/min": 0.99998,
        "policy/ratio/max": 1.00001,
        "policy/drift": 1e-6,
        "policy/nll": draw.uniform(0.18, 0.22),
        "policy/kl": draw.uniform(0.001, 0.002),
        "policy/clipped/above": 0.0,
        "policy/clipped/below": 0.0,
        "seconds": {"passes": 0.1},
    }


def history(steps: int, *changed: dict[str, Any], setup: Setup = SETUP) -> Seen:
    """A healthy run of so many steps, the last of which are changed as given."""
    seen = Seen(setup)
    for step in range(1, steps + 1):
        k = step - 1 - steps + len(changed)
        seen.add({**healthy(step), **(changed[k] if k >= 0 else {})})
    return seen
