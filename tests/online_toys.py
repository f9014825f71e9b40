"""A feed over a fake engine, and a drive that calls it in the loop's order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from helpers import char_tokenizer
from trueloop.engines.fake import FakeEngine, Plan
from trueloop.loop.feed import Fill
from trueloop.loop.flow import Flow
from trueloop.loop.online import Online, Seams
from trueloop.loop.rollouts import Producer
from trueloop.records import Group, Problem, Request, Sampling, Score
from trueloop.tasks.source import Part, ProblemSource
from trueloop.train.batch import Stream
from trueloop.train.interventions import Chain

PROBLEMS = tuple(
    Problem.create(prompt=f"{k}+1=", target=str(k + 1), task="sums", split="train", tags={"k": k}) for k in range(23)
)


class CountingTrainer:
    """A trainer that only counts: each step is a new version."""

    def __init__(self) -> None:
        self.version, self.chain = 0, Chain(())


def grade(problem: Problem, text: str) -> Score:
    right = text == problem.target
    return Score(status="scored", reward=float(right), passed=right)


def give_zero(groups: Sequence[Group]) -> list[Group]:
    return [replace(g, advantages=(0.0,) * len(g.rollouts)) for g in groups]


def no_streams(groups: Sequence[Group], step: int) -> Sequence[Stream]:
    return []


def reply(request: Request, prompt: str) -> str:
    """Right in half of the samples."""
    return str(int(prompt.split("+")[0]) + request.sampling.seed % 2)


def make(flow: Flow, *, plan: Any = None, epochs: int | None = None, seed: int = 0, answer: Any = reply) -> Online:
    tokenizer = char_tokenizer()
    engine = FakeEngine(answer, tokenizer, end_id=1, plan=plan or (lambda _: Plan()))

    async def score(problem: Problem, text: str, step: int) -> Score:
        return grade(problem, text)

    producer = Producer(
        engine=engine,
        encode=lambda problem, step: tuple(tokenizer.encode(problem.prompt)),
        decode=tokenizer.decode,
        grade=score,
        samples=flow.samples,
        sampling=lambda problem: Sampling(max_tokens=8),
        seed=seed,
    )
    source = ProblemSource([Part(name="sums", problems=PROBLEMS)], seed=seed, epochs=epochs)
    seams = Seams(credit=give_zero, streams=no_streams)
    return Online(source=source, producer=producer, flow=flow, seams=seams, trainer=CountingTrainer())  # type: ignore[arg-type]


async def drive(online: Online, steps: int, *, work_s: float = 0.0) -> list[Fill]:
    """As the loop does: fill, train, sync every `sync_every` steps."""
    fills = []
    try:
        for step in range(1, steps + 1):
            fill = await asyncio.wait_for(online.next(step), timeout=20)
            if fill is None:
                break
            fills.append(fill)
            await asyncio.sleep(work_s)
            online.trainer.version += 1
            if step % online.flow.sync_every == 0:
                await online.producer.engine.load_weights({}, online.trainer.version)
    finally:
        await online.close()
    return fills


def used(fill: Fill) -> list[str]:
    return sorted({f"{r['problem_id']}/{r['epoch']}" for r in fill.rows if r["fate"] == "used"})
