"""What may only be looked at, kept from what trains: a recipe's parts of the loop are handed groups without it."""

from __future__ import annotations

from dataclasses import replace

from trueloop.records import Group, Rollout


def without_audit(group: Group) -> Group:
    """The group with the audit of every score empty."""
    return replace(group, rollouts=tuple(map(_without, group.rollouts)))


def with_audit(group: Group, original: Group) -> Group:
    """The group with the audit of the original's scores, beside what its own scores hold by now.

    Both have the same rollouts, in one order.
    """
    pairs = zip(group.rollouts, original.rollouts, strict=True)
    return replace(group, rollouts=tuple(_with(rollout, source) for rollout, source in pairs))


def _without(rollout: Rollout) -> Rollout:
    if rollout.score is None or not rollout.score.audit:
        return rollout
    return replace(rollout, score=replace(rollout.score, audit={}))


def _with(rollout: Rollout, source: Rollout) -> Rollout:
    if rollout.score is None or source.score is None:
        return rollout
    return replace(rollout, score=replace(rollout.score, audit={**source.score.audit, **rollout.score.audit}))
