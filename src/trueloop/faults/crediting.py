"""Faults between rewards and rows: advantages, masks, weights, rows that are lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest import mock

from trueloop.faults import seams
from trueloop.faults.base import Fault
from trueloop.formulas.policy import overlong_penalty
from trueloop.recipes import rlvr
from trueloop.records import Group, Sample
from trueloop.train.batch import Stream

ADVANTAGES = ("numerics.advantages",)
ROWS = ("numerics.rows_are_rollouts",)
LONG = "overlong={limit=48, cache=40}"
"""A penalty that most answers of the world meet."""

Plant = Callable[[], AbstractContextManager[Any]]


def _streams(change: Callable[[Stream], Stream]) -> Plant:
    return lambda: seams.streams(lambda streams: [change(s) for s in streams])


def _samples(change: Callable[[Sample], Sample]) -> Plant:
    return _streams(lambda s: replace(s, samples=[change(sample) for sample in s.samples]))


def _advantages(change: Callable[[tuple[float, ...], Group], Sequence[float]]) -> Plant:
    def changed(groups: Sequence[Group]) -> list[Group]:
        return [replace(g, advantages=tuple(change(g.advantages or (), g))) for g in groups]

    return lambda: seams.credit(changed)


def _other_group_s(groups: Sequence[Group]) -> list[Group]:
    around = [*groups[1:], *groups[:1]]
    return [replace(g, advantages=o.advantages) for g, o in zip(groups, around, strict=True)]


def _over_spread(given: tuple[float, ...], group: Group) -> list[float]:
    rewards = group.rewards()
    mean = sum(rewards) / len(rewards)
    spread = math.sqrt(sum((r - mean) ** 2 for r in rewards) / len(rewards))
    return [(r - mean + 1e-9 * (k % 2)) / (spread + 1e-12) for k, r in enumerate(rewards)]


def _with_prompt(sample: Sample) -> Sample:
    """Prompt tokens are trained too, by the completion's weight."""
    weight = sample.weights[-1]
    return replace(
        sample,
        loss_mask=(False, *(True for _ in sample.tokens[1:])),
        weights=(0.0, *(weight for _ in sample.tokens[1:])),
    )


def _without_end(sample: Sample) -> Sample:
    return replace(sample, loss_mask=(*sample.loss_mask[:-1], False), weights=(*sample.weights[:-1], 0.0))


def _by_length(sample: Sample) -> Sample:
    return replace(sample, weights=tuple(w / max(sample.trained_tokens, 1) for w in sample.weights))


FAULTS = (
    Fault(
        id="advantage_turned",
        mechanism="advantage",
        what="advantages have the wrong sign",
        caught_by=ADVANTAGES,
        plant=_advantages(lambda a, g: [-x for x in a]),
    ),
    Fault(
        id="advantage_not_centred",
        mechanism="advantage",
        what="rewards are used as advantages",
        caught_by=ADVANTAGES,
        plant=_advantages(lambda a, g: g.rewards()),
    ),
    Fault(
        id="advantage_not_scaled",
        mechanism="advantage",
        what="GRPO without its division by the spread",
        caught_by=ADVANTAGES,
        recorded=("rlvr 16",),
        plant=_advantages(lambda a, g: [x / 10 for x in a]),
    ),
    Fault(
        id="advantage_of_another_group",
        mechanism="advantage",
        what="advantages of the group next to it",
        caught_by=ADVANTAGES,
        plant=lambda: seams.credit(_other_group_s),
    ),
    Fault(
        id="spread_explodes",
        mechanism="advantage",
        what="noise of 1e-9 in the rewards is divided by a spread of nearly 0",
        caught_by=ADVANTAGES,
        plant=_advantages(_over_spread),
    ),
    Fault(
        id="length_penalty_turned",
        mechanism="penalty",
        what="the penalty on length is added to the reward instead of taken off it",
        caught_by=ADVANTAGES,
        overrides=(LONG,),
        plant=lambda: mock.patch.object(rlvr, "overlong_penalty", lambda *a: -overlong_penalty(*a)),
    ),
    Fault(
        id="length_penalty_lost",
        mechanism="penalty",
        what="the penalty on length is configured and never reaches the reward",
        caught_by=ADVANTAGES,
        overrides=(LONG,),
        plant=lambda: mock.patch.object(rlvr, "overlong_penalty", lambda lengths, *a: 0.0 * lengths),
    ),
    Fault(
        id="advantage_not_finite",
        mechanism="advantage",
        what="0 / 0 in flat groups",
        caught_by=ADVANTAGES,
        plant=_advantages(lambda a, g: [math.nan if len(set(g.rewards())) == 1 else x for x in a]),
        refused="nan|finite",
    ),
    Fault(
        id="loss_mask_covers_prompt",
        mechanism="rows",
        what="the loss mask covers the prompt",
        caught_by=ROWS,
        plant=_samples(_with_prompt),
    ),
    Fault(
        id="end_is_not_trained",
        mechanism="rows",
        what="the last token, the end, is masked as if it were padding",
        caught_by=ROWS,
        recorded=("rlvr 4", "rlvr 25"),
        plant=_samples(_without_end),
    ),
    Fault(
        id="weights_divided_by_length",
        mechanism="rows",
        what="advantages are divided by the length before they are averaged over tokens",
        caught_by=ROWS,
        recorded=("rlvr 16",),
        plant=_samples(_by_length),
    ),
    Fault(
        id="rows_lost",
        mechanism="rows",
        what="a batch that does not divide evenly loses its tail",
        caught_by=ROWS,
        plant=_streams(lambda s: replace(s, samples=s.samples[: len(s.samples) * 2 // 3])),
    ),
)
