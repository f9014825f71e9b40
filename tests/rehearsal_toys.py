"""A rehearsal of the arithmetic world with a random policy, built by hand so that tests can change any part of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

from trueloop.chat import encode_prompt
from trueloop.formulas.reduce import token_mean
from trueloop.loop.flow import Fixed, Flow
from trueloop.loop.rollouts import Producer
from trueloop.preflight.rehearsal import Rehearsal
from trueloop.recipes import wiring
from trueloop.recipes.policy import Clip, PolicyLoss, give_advantages, to_sample
from trueloop.records import CheckResult, Score
from trueloop.tasks.source import Ticket
from trueloop.tasks.worlds.arithmetic import Arithmetic
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer


async def made(engine: Any, policy: Any, **changes: Any) -> Rehearsal:
    """Four problems, four completions each; without a verifier."""
    task = Arithmetic(highest=30, max_tokens=16).build()
    problems = task.first("train", 4)
    await engine.load_weights(policy.engine_weights(), 0)
    producer = Producer(
        engine=engine,
        encode=lambda problem, step: encode_prompt(policy.tokenizer, task.prompt(problem), task.template),
        decode=policy.tokenizer.decode,
        grade=None,
        samples=Fixed(n=4),
        sampling=lambda problem: task.sampling(),
        seed=0,
    )
    outcomes = await producer.produce([Ticket(problem=p, epoch=0, index=k) for k, p in enumerate(problems)], 1)
    scored = [
        replace(o.group, rollouts=tuple(replace(r, score=_score(k)) for k, r in enumerate(o.group.rollouts)))
        for o in outcomes
    ]
    outcomes = [replace(o, group=g) for o, g in zip(outcomes, scored, strict=True)]
    credited = give_advantages(scored, "grpo")
    samples = [to_sample(r, a) for g in credited for r, a in zip(g.rollouts, g.advantages or (), strict=True)]
    loss = PolicyLoss(Clip(low=0.2, high=0.2))
    fields: dict[str, Any] = {
        "policy": policy,
        "trainer": Trainer(policy, Optim(lr=1e-4), Batching()),
        "engine": engine,
        "tasks": {task.name: task},
        "outcomes": outcomes,
        "credited": credited,
        "streams": [Stream(name="policy", samples=samples, loss=loss, reduction=token_mean)],
        "credit": lambda groups: ((), ()),
        "sampling": task.sampling(),
        "flow": Flow(problems_per_step=4, samples=Fixed(n=4)),
        "demonstrations": task.demonstrations("train")[:8],
    }
    return Rehearsal(**{**fields, **changes})


def _score(k: int) -> Score:
    return Score(status="scored", reward=float(k == 0), passed=k == 0)


def results(
    measure: Callable[[Rehearsal], AsyncIterator[CheckResult]], change: Callable[[Rehearsal], Rehearsal] = lambda r: r
) -> Mapping[str, CheckResult]:
    """What the checks of a part of the preflight say of a rehearsal, which `change` may change first."""

    async def ask() -> dict[str, CheckResult]:
        policy = wiring.build_policy(wiring.Tiny(), None, seed=0)
        engine = wiring.open_engine(wiring.Engine(), policy)
        try:
            rehearsal = change(await made(engine, policy))
            return {result.id: result async for result in measure(rehearsal)}
        finally:
            await engine.close()

    return asyncio.run(ask())
