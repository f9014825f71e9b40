"""The greedy probe: it rides along, disturbs nothing, and what it tells is compared with the trainer and the past."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from helpers import char_tokenizer, tiny_policy
from online_toys import PROBLEMS, make
from trueloop.engines.fake import FakeEngine
from trueloop.loop.flow import Fixed, Flow
from trueloop.loop.probe import TOKENS, Answer, Probe, compared
from trueloop.records import Completion, Problem, Sampling
from trueloop.train.batch import Batching
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer


def encode(problem: Problem) -> tuple[int, ...]:
    return tuple(char_tokenizer().encode(str(problem.prompt)))


def probe(every: int = 2, max_tokens: int = 8) -> Probe:
    return Probe(
        PROBLEMS[:2],
        every=every,
        encode=encode,
        sampling=lambda problem: Sampling(max_tokens=max_tokens, temperature=0.7, top_p=0.5, stop=("Q",), seed=3),
        dtype="float32",
    )


def test_it_is_asked_once_in_each_step_that_is_due() -> None:
    asked = probe(every=3)
    assert [len(asked.requests(step)) for step in (1, 1, 2, 3, 4, 4, 5, 6, 7)] == [2, 0, 0, 0, 2, 0, 0, 0, 2]


def test_it_is_greedy_with_the_tasks_stops_and_short() -> None:
    (request, _) = probe(max_tokens=9999).requests(1)
    assert request.sampling == Sampling(max_tokens=TOKENS, temperature=0.0, stop=("Q",))
    assert request.prompt == encode(PROBLEMS[0])


def test_it_rides_along_and_becomes_no_rollout() -> None:
    async def sample(with_probe: bool) -> tuple[Any, Any]:
        online = make(Flow(problems_per_step=3, samples=Fixed(n=2)))
        online.producer.probe = probe() if with_probe else None
        fills = [await online.next(step) for step in (1, 2, 3)]
        return [fill.rows for fill in fills if fill], online

    plain, _ = asyncio.run(sample(False))
    probed, online = asyncio.run(sample(True))
    assert plain == probed
    assert len(probed) == 3
    answered = online.producer.probe._answered
    assert sorted(answered) == sorted(f"probe/{p.id}" for p in PROBLEMS[:2])


def test_a_prompt_that_cannot_be_served_is_not_asked() -> None:
    online = make(Flow(problems_per_step=3, samples=Fixed(n=2)))
    online.producer.probe, online.producer.max_prompt_tokens = probe(), 3
    assert online.producer._probing(1) == []


def test_what_the_trainer_says_stands_beside_what_the_sampler_said() -> None:
    trainer = Trainer(tiny_policy(), Optim(lr=1e-2), Batching())
    engine = FakeEngine(lambda request, prompt: "42", char_tokenizer(), end_id=1)
    asked = probe()

    async def ask() -> None:
        async for id, completion in engine.generate(asked.requests(1)):
            assert asked.take(id, completion)

    asyncio.run(ask())
    assert not asked.take("other/0/0", completion_of("x"))
    first, second = asked.measure(trainer)
    assert {first.id, second.id} == {p.id for p in PROBLEMS[:2]}
    assert len(first.trainer) == len(first.sampler) == len(first.tokens) == 3
    assert all(-20 < x < 0 for x in first.trainer)
    assert asked.measure(trainer) == []


def completion_of(text: str) -> Completion:
    return Completion(
        tokens=(5,), logprobs=(-1.0,), policy_logprobs=(-1.0,), finish="length", stop=None, version=0, text=text
    )


def answer(sampler: float, trainer: float, version: int, tokens: tuple[int, ...] = (7, 8)) -> Answer:
    return Answer(id="a", text="t", tokens=tokens, sampler=(-0.5, sampler), trainer=(-0.5, trainer), version=version)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (answer(-1.1, -1.1, 5), ("pass", "pass")),
        (answer(-1.0, -1.1, 5), ("fail", "fail")),
        (answer(-1.05, -1.1, 5), ("fail", "pass")),
        (answer(-1.0, -1.1, 0), ("unknown", "unknown")),
        (answer(-1.0, -1.1, 5, tokens=(7, 9)), ("fail", "unknown")),
        (answer(-1.0, -1.1, 5, tokens=(6, 8)), ("fail", "unknown")),
    ],
)
def test_answers_are_held_against_trainer_and_past(now: Answer, said: tuple[str, str]) -> None:
    before = [answer(-1.0, -1.0, 0).row()]
    assert tuple(r.status for r in compared([now], before, version=5, dtype="float32")) == said


def test_the_first_probe_has_no_past() -> None:
    (only,) = compared([answer(-1.0, -1.0, 0)], [], version=0, dtype="float32")
    assert (only.id, only.status) == ("served.probe_gap", "pass")
