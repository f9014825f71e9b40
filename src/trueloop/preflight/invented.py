"""A first batch without signal, given some: rewards are invented, so that the step can be measured all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trueloop.preflight.rehearsal import Rehearsal
from trueloop.records import Group, Rollout, Score
from trueloop.train.batch import Stream

LARGE = 1e4
"""A reward beside which no penalty on length or distance has a say."""


def with_invented_rewards(groups: Sequence[Group], size: float = 1.0) -> list[Group]:
    """The groups with rewards 0, `size`, 0, `size`, ... in the order of their rollouts, and nothing else of their
    scores."""
    return [replace(g, advantages=None, rollouts=tuple(_rewarded(g, size))) for g in groups]


def with_signal(rehearsal: Rehearsal) -> tuple[Sequence[Group], Sequence[Stream]]:
    """The rehearsal's credited groups and streams if any of its rows has a weight, else the recipe's own credit and
    streams for the same rollouts with invented rewards."""
    if has_weight(rehearsal.streams) or not rehearsal.credited:
        return rehearsal.credited, rehearsal.streams
    return rehearsal.credit(with_invented_rewards(rehearsal.credited))


def has_weight(streams: Sequence[Stream]) -> bool:
    """Whether any trained token, or any pair, of the streams has a weight that is not 0."""
    return any(
        w for s in streams for row in s.samples for w, m in zip(row.weights, row.loss_mask, strict=True) if m
    ) or (any(pair.weight for s in streams for pair in s.pairs))


def _rewarded(group: Group, size: float) -> list[Rollout]:
    return [
        replace(rollout, score=Score(status="scored", reward=size * (k % 2), passed=bool(k % 2)))
        for k, rollout in enumerate(group.rollouts)
    ]
