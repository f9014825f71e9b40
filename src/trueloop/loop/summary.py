"""What a step's groups say before anything is trained: rewards, signal, lengths, stops."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

from trueloop.records import Group, Rollout


def group_metrics(used: Sequence[Group], filtered: Sequence[Group]) -> dict[str, float]:
    """Means over rollouts or groups.  `reward/all` includes filtered groups; what was not computed is absent.

    Keys of `Score.parts` appear as `parts/<name>` and keys of `Score.audit` as `audit/<name>`.
    """
    rollouts = [r for g in used for r in g.rollouts]
    everything = [r for g in (*used, *filtered) for r in g.rollouts]
    rewards = _rewards(rollouts)
    metrics = {"groups/used": float(len(used)), "groups/filtered": float(len(filtered))}
    if rewards:
        metrics["reward/mean"] = statistics.fmean(rewards)
        metrics["reward/std"] = statistics.pstdev(rewards)
    if all_rewards := _rewards(everything):
        metrics["reward/all"] = statistics.fmean(all_rewards)
    metrics |= _signal([g for g in (*used, *filtered) if 0 < len(g.rollouts) == len(_rewards(g.rollouts))])
    metrics |= _named(everything)
    metrics |= _lengths(everything)
    return metrics


def _rewards(rollouts: Sequence[Rollout]) -> list[float]:
    return [r.score.reward for r in rollouts if r.score is not None and r.score.reward is not None]


def _signal(groups: Sequence[Group]) -> dict[str, float]:
    """Shares of groups in which all rewards are equal, split into all passed, none passed, and the rest."""
    if not groups:
        return {}
    flat = [g for g in groups if len(set(g.rewards())) == 1]
    passed = [g for g in groups if all(r.score is not None and r.score.passed for r in g.rollouts)]
    failed = [g for g in groups if not any(r.score is not None and r.score.passed for r in g.rollouts)]
    n = len(groups)
    return {"groups/flat": len(flat) / n, "groups/all_passed": len(passed) / n, "groups/none_passed": len(failed) / n}


def _named(rollouts: Sequence[Rollout]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for rollout in rollouts:
        if rollout.score is not None:
            for kind, named in (("parts", rollout.score.parts), ("audit", rollout.score.audit)):
                for name, value in named.items():
                    values.setdefault(f"{kind}/{name}", []).append(value)
    return {name: statistics.fmean(v) for name, v in sorted(values.items())}


def _lengths(rollouts: Sequence[Rollout]) -> dict[str, float]:
    if not rollouts:
        return {}
    lengths = sorted(r.completion_length for r in rollouts)
    finishes = Counter(r.finish for r in rollouts)
    return {
        "length/mean": statistics.fmean(lengths),
        "length/median": float(statistics.median(lengths)),
        "length/max": float(lengths[-1]),
        "length/cut": finishes["length"] / len(rollouts),
        "length/distinct": len({r.text for r in rollouts}) / len(rollouts),
    }
