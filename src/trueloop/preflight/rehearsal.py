"""The first batch of a run, tried before the run: the very objects that it will use, and what they gave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from trueloop.engines.base import Engine
from trueloop.formulas.policy import overlong_penalty
from trueloop.loop.flow import Flow
from trueloop.loop.rollouts import Outcome
from trueloop.models import Policy
from trueloop.records import Group, Problem, Prompt, Rollout, Sampling, Score
from trueloop.tasks.base import Demonstration, Task
from trueloop.train.batch import Stream
from trueloop.train.step import Trainer

COMPLETIONS = 128
"""Most completions of a rehearsal; at least `PROBLEMS` problems are asked all the same."""

PROBLEMS = 8

Credit = Callable[[Sequence[Group]], tuple[Sequence[Group], Sequence[Stream]]]
"""(scored groups) -> the groups with their advantages, and the streams of a step on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What is measured.  The trainer is as it was before the first step, and the engine holds the policy's weights.

    tasks     the run's, by name
    outcomes  what became of each problem asked: scored rollouts, or why there are none; empty where nothing is sampled
    unfit     why each scored group that a step would not use is filtered
    credited  the groups that a step would use, with their advantages, audit and all
    streams   what the trainer would be given for that step
    drifting  the configuration makes a teacher of the policy as it is at each step
    beside    further streams of the same step: what is trained beside the rollouts
    credit    the run's own way from scored groups to both, for groups whose rewards were changed
    sampling  how the completions were drawn, stops and limit of the first task
    demonstrations  answers worth imitating, of the first task; what a supervised run trains on
    flow      how problems become a step; None where nothing is sampled
    shots     solved examples before each problem
    prompt    a problem as the first step asks it
    grade     the verdict on a text, as the first step grades
    rewarded  rewards make the advantages; False where they only tell how good completions are
    learned   False where a warm start is to come first: what these completions are worth says nothing yet
    configured  the run's settings, plain: what is measured can be held against what was asked for
    place     the run's directory, where its checkpoints would be written; None: a temporary one
    """

    policy: Policy
    trainer: Trainer
    engine: Engine
    tasks: Mapping[str, Task]
    outcomes: Sequence[Outcome]
    credited: Sequence[Group]
    streams: Sequence[Stream]
    credit: Credit
    sampling: Sampling
    learned: bool = True
    rewarded: bool = True
    configured: Mapping[str, Any] = field(default_factory=dict)
    place: Path | None = None
    beside: Sequence[Stream] = ()
    drifting: bool = False
    unfit: Sequence[str] = ()
    demonstrations: Sequence[Demonstration] = ()
    flow: Flow | None = None
    shots: int = 0
    prompt: Callable[[Problem], Prompt] | None = None
    grade: Callable[[Problem, str], Awaitable[Score]] | None = None

    @property
    def rollouts(self) -> list[Rollout]:
        """Every rollout that was sampled, those of filtered groups too."""
        return [r for o in self.outcomes for r in o.group.rollouts]


def rewards_alone(rehearsal: Rehearsal) -> bool:
    """Whether nothing but what `paid` says makes the advantages: no distance from a reference is in the reward, and no
    intervention has a say."""
    in_reward = dict(rehearsal.configured.get("kl") or {}).get("where") == "reward"
    return not (in_reward or rehearsal.trainer.chain.having("credit"))


def paid(rehearsal: Rehearsal, group: Group) -> list[float]:
    """The rewards of a group with the penalty on length that is configured."""
    rewards, overlong = list(group.rewards()), rehearsal.configured.get("overlong")
    if not overlong:
        return rewards
    lengths = torch.tensor([float(r.completion_length) for r in group.rollouts], dtype=torch.float64)
    limit = overlong.get("limit") or rehearsal.tasks[group.problem.task].max_tokens
    penalties = overlong_penalty(lengths, limit, overlong["cache"])
    return [r + overlong["weight"] * p for r, p in zip(rewards, penalties.tolist(), strict=True)]


def problems_asked(problems_per_step: int, samples: int) -> int:
    """How many problems a rehearsal asks, so that it stays small and still has several."""
    return min(problems_per_step, max(PROBLEMS, COMPLETIONS // samples))
