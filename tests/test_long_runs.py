"""Hundreds of steps in which nothing goes wrong: small batches of hard problems, a task that is nearly mastered."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trueloop.checks.running import rewards
from trueloop.checks.running.seen import Seen, Setup
from trueloop.records import CheckResult

Row = dict[str, Any]
SAMPLES = 8
SETUP = Setup(steps=1000, lr=1e-6, rewarded=True, samples=SAMPLES)


def fails(rows: Iterator[Row], ask: Callable[[Seen], CheckResult]) -> list[int]:
    seen, found = Seen(SETUP), []
    for step, row in enumerate(rows, start=1):
        seen.add({"step": step, "version": step, **row})
        found += [step] if ask(seen).status == "fail" else []
    return found


def step_of(groups: list[list[float]]) -> Row:
    flat = [x for group in groups for x in group]
    mean = sum(flat) / len(flat)
    return {
        "reward/all": mean,
        "reward/std": (sum((x - mean) ** 2 for x in flat) / len(flat)) ** 0.5,
        "groups/flat": sum(len(set(group)) == 1 for group in groups) / len(groups),
        "groups/used": float(len(groups)),
        "rollouts/used": float(len(flat)),
    }


def hard(draw: random.Random, problems: int, mean: float, steps: int) -> Iterator[Row]:
    """Few of the problems are ever solved, and nothing changes."""
    for _ in range(steps):
        chances = [draw.betavariate(0.25, 0.25 * (1 - mean) / mean) for _ in range(problems)]
        yield step_of([[float(draw.random() < p) for _ in range(SAMPLES)] for p in chances])


def nearly_mastered(draw: random.Random, problems: int, flat: float, ramp: int, steps: int) -> Iterator[Row]:
    """All but a few impossible problems are learned, so that the groups go flat one after the other."""
    for step in range(steps):
        share = 0.4 + (flat - 0.4) * min(1.0, step / ramp)
        groups = []
        for _ in range(problems):
            if draw.random() < share:
                solved = draw.random() < 0.8
                groups.append([float(solved)] * SAMPLES)
            else:
                groups.append([1.0, 0.0] * (SAMPLES // 2))
        yield step_of(groups)


@pytest.mark.parametrize(("problems", "mean"), [(4, 0.15), (8, 0.15), (8, 0.09), (16, 0.05)])
@pytest.mark.parametrize("ask", [rewards.collapse, rewards.constant, rewards.signal])
def test_small_batches_of_hard_problems_are_no_fault(
    ask: Callable[[Seen], CheckResult], problems: int, mean: float
) -> None:
    stopped = [seed for seed in range(20) if fails(hard(random.Random(seed), problems, mean, 300), ask)]
    assert not stopped


@pytest.mark.parametrize(("problems", "flat", "ramp"), [(8, 0.9, 120), (8, 0.95, 300), (16, 0.9, 120)])
def test_a_task_that_is_nearly_mastered_is_no_fault(problems: int, flat: float, ramp: int) -> None:
    def rows(seed: int) -> Iterator[Row]:
        return nearly_mastered(random.Random(seed), problems, flat, ramp, 300)

    assert not [seed for seed in range(20) if fails(rows(seed), rewards.signal)]


def test_a_policy_that_loses_what_it_had_learned_is_one() -> None:
    def rows() -> Iterator[Row]:
        draw = random.Random(0)
        yield from hard(draw, 8, 0.6, 60)
        yield from hard(draw, 8, 0.02, 20)

    found = fails(rows(), rewards.collapse)
    assert found and min(found) > 60


def test_a_verifier_that_goes_dead_is_one() -> None:
    def rows(value: float) -> Iterator[Row]:
        yield from hard(random.Random(0), 8, 0.5, 40)
        for _ in range(6):
            yield step_of([[value] * SAMPLES] * 8)

    for value in (0.0, 1.0):
        assert fails(rows(value), rewards.signal) and fails(rows(value), rewards.constant)


def test_penalties_below_zero_can_collapse_too() -> None:
    def rows() -> Iterator[Row]:
        for step in range(60):
            mean = -0.1 if step < 40 else -0.95
            yield {"reward/all": mean + 0.01 * (step % 2), "reward/std": 0.3, "rollouts/used": 64.0}

    assert fails(rows(), rewards.collapse)
