"""A rehearsal of a tiny policy: a few groups with rewards, the recipe's own credit, a real engine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.helpers import tiny_policy

from trueloop.formulas.reduce import token_mean
from trueloop.models import Policy
from trueloop.models.spec import LoRA
from trueloop.preflight.rehearsal import Rehearsal
from trueloop.recipes import wiring
from trueloop.recipes.policy import Clip, PolicyLoss, give_advantages, to_sample
from trueloop.records import CheckResult, Group, Problem, Rollout, Sample, Sampling, Score
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer


def groups(rewards: Sequence[Sequence[float]], seed: int = 0) -> list[Group]:
    """One group per row of rewards, of random tokens."""
    draw = random.Random(seed)
    found = []
    for k, row in enumerate(rewards):
        problem = Problem.create(prompt=f"{k}+1=", target="2", task="toy", split="train")
        prompt = tuple(draw.randrange(2, 60) for _ in range(4))
        found.append(Group(problem=problem, rollouts=tuple(_rollouts(problem, prompt, row, draw))))
    return found


def _rollouts(
    problem: Problem, prompt: tuple[int, ...], rewards: Sequence[float], draw: random.Random
) -> Iterator[Rollout]:
    for k, reward in enumerate(rewards):
        tokens = tuple(draw.randrange(2, 60) for _ in range(6))
        column = (0.0,) * 4 + (-4.0,) * 6
        yield Rollout(
            id=f"{problem.id}/{k}",
            problem_id=problem.id,
            tokens=prompt + tokens,
            loss_mask=(False,) * 4 + (True,) * 6,
            logprobs=column,
            policy_logprobs=column,
            finish="stop",
            stop="<eos>",
            version=0,
            text="x",
            score=Score(status="scored", reward=reward, passed=bool(reward)),
        )


def credit_with(trainer: Trainer) -> Callable[[Sequence[Group]], Any]:
    """Advantages and the policy stream, on-policy: the old log-probabilities are the trainer's."""

    def credit(groups: Sequence[Group]) -> tuple[list[Group], list[Stream]]:
        credited = give_advantages(groups, "dr_grpo")
        rated = [(r, a) for g in credited for r, a in zip(g.rollouts, g.advantages or (), strict=True)]
        old = trainer.logprobs([to_sample(r, a) for r, a in rated])
        samples: list[Sample] = [
            to_sample(r, a, old=o, importance_cap=1e9) for (r, a), o in zip(rated, old, strict=True)
        ]
        loss = PolicyLoss(Clip(low=0.2, high=0.2))
        return credited, [Stream(name="policy", samples=samples, loss=loss, reduction=token_mean)]

    return credit


@contextmanager
def rehearsal(
    *, lr: float = 1e-3, adapter: LoRA | None = None, rewards: Sequence[Sequence[float]] = ((0, 1, 0, 1), (1, 0, 0, 0))
) -> Iterator[Rehearsal]:
    """With an engine that is closed at the end."""
    policy: Policy = tiny_policy(adapter=adapter, initializer_range=0.1)
    trainer = Trainer(policy, Optim(lr=lr), Batching())
    engine = wiring.open_engine(wiring.Engine(cache_tokens=2048), policy)
    asyncio.run(engine.load_weights(policy.engine_weights(), 0))
    made = credit_with(trainer)
    credited, streams = made(groups(rewards))
    try:
        yield Rehearsal(
            policy=policy,
            trainer=trainer,
            engine=engine,
            tasks={},
            outcomes=(),
            credited=credited,
            streams=streams,
            credit=made,
            sampling=Sampling(max_tokens=8),
        )
    finally:
        asyncio.run(engine.close())


def said(results: AsyncIterator[CheckResult]) -> dict[str, CheckResult]:
    """All results of an asynchronous iterator, by id."""

    async def gather() -> dict[str, CheckResult]:
        return {result.id: result async for result in results}

    return asyncio.run(gather())
