import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from helpers import char_tokenizer
from trueloop.engines.fake import FakeEngine, Plan
from trueloop.errors import DataError, EngineError
from trueloop.loop.flow import Adaptive, Fixed
from trueloop.loop.rollouts import Outcome, Producer
from trueloop.records import Group, Probe, Problem, Request, Sampling, Score, derive_seed
from trueloop.tasks.source import Ticket

PROBLEMS = [Problem.create(prompt=f"{k}+1=", target=str(k + 1), task="sums", split="train") for k in range(12)]


def produce(n: int = 3, *, reply: Any = lambda r, p: "2", plan: Any = None, step: int = 1, **changes: Any) -> Any:
    tokenizer, steps = char_tokenizer(), []

    async def grade(problem: Problem, text: str, now: int) -> Score:
        steps.append(now)
        return Score(status="scored", reward=float(text == problem.target), passed=text == problem.target)

    engine = FakeEngine(reply, tokenizer, end_id=1, plan=plan or (lambda r: Plan()))
    fields = {
        "engine": engine,
        "encode": lambda problem, now: tuple(tokenizer.encode(problem.prompt)),
        "decode": tokenizer.decode,
        "grade": grade,
        "samples": Fixed(n=2),
        "sampling": lambda problem: Sampling(max_tokens=8, stop=(";",)),
        "seed": 5,
    }
    producer = Producer(**(fields | changes))
    tickets = [Ticket(problem=p, epoch=1, index=k) for k, p in enumerate(PROBLEMS[:n])]
    outcomes: list[Outcome] = asyncio.run(producer.produce(tickets, step))
    return outcomes, engine, steps, producer


def test_each_sample_has_a_seed_of_its_own_from_run_problem_epoch_and_number() -> None:
    outcomes, engine, steps, _ = produce(step=7)
    assert [r.sampling.seed for r in engine.requests] == [
        derive_seed(5, p.id, 1, k) for p in PROBLEMS[:3] for k in range(2)
    ]
    assert {r.sampling.stop for r in engine.requests} == {(";",)}
    assert [o.ticket.problem.id for o in outcomes] == [p.id for p in PROBLEMS[:3]]
    assert steps == [7] * 6


def test_rollouts_are_in_the_order_of_their_samples_whatever_finishes_first() -> None:
    outcomes, *_ = produce(1, samples=Fixed(n=12), plan=lambda r: Plan(seconds=0.002 * (r.sampling.seed % 3)))
    assert [(r.epoch, r.index) for r in outcomes[0].group.rollouts] == [(1, k) for k in range(12)]


def test_completions_and_verdicts_are_counted_as_they_arrive() -> None:
    *_, producer = produce(2)
    assert producer.arrived == 8


def raises_on(*numbers: int) -> Callable[..., Any]:
    """A verifier that raises, as the pool reports it, for the problems of these numbers."""

    async def grade(problem: Problem, text: str, now: int) -> Score:
        if PROBLEMS.index(problem) in numbers:
            return Score(status="error", why="Traceback: boom")
        return Score(status="scored", reward=0.0, passed=False)

    return grade


def test_a_verifiers_error_filters_its_group_which_is_neither_annotated_nor_sampled_further() -> None:
    seen = []

    async def annotate(engine: Any, groups: Sequence[Group]) -> Sequence[Group]:
        seen.extend(PROBLEMS.index(g.problem) for g in groups)
        return groups

    samples = Adaptive(successes=1, failures=0, chunk=2, max_samples=6)
    outcomes, *_ = produce(grade=raises_on(1), annotate=annotate, samples=samples)
    assert [(o.filtered, o.failure) for o in outcomes] == [(None, None), ("verifier_error", None), (None, None)]
    assert [len(o.group.rollouts) for o in outcomes] == [6, 2, 6]
    assert seen == [0, 2]


def test_the_prompt_is_kept_as_the_model_read_it() -> None:
    outcomes, _, _, producer = produce()
    assert producer.prompt_text(outcomes[1].group) == "1+1="


def test_a_prompt_over_the_limit_is_not_asked() -> None:
    outcomes, engine, *_ = produce(12, max_prompt_tokens=4)
    filtered = [o.ticket.problem.prompt for o in outcomes if o.filtered == "prompt_too_long"]
    assert filtered == ["10+1=", "11+1="]
    assert len(engine.requests) == 20
    assert all(len(o.group.rollouts) == (0 if o.filtered else 2) for o in outcomes)


@pytest.mark.parametrize(("outcome", "words"), [("error", "ended with 'error'"), ("fail", "told to fail")])
def test_what_the_engine_loses_is_a_failure_of_its_ticket_with_the_reason(outcome: Any, words: str) -> None:
    def plan(request: Request) -> Plan:
        return Plan(outcome=outcome if request.id.startswith(PROBLEMS[1].id) else "finish")

    outcomes, *_ = produce(plan=plan)
    assert words in str(outcomes[1].failure)
    if outcome == "error":
        assert [o.failure is None for o in outcomes] == [True, False, True]


def test_adaptive_rounds_ask_again_only_for_groups_that_lack_something() -> None:
    right_from = {PROBLEMS[0].id: 0, PROBLEMS[1].id: 3, PROBLEMS[2].id: 99}

    def reply(request: Request, prompt: str) -> str:
        problem, _, k = request.id.split("/")
        return str(int(prompt.split("+")[0]) + 1) if int(k) >= right_from[problem] else "x"

    samples = Adaptive(successes=1, failures=0, chunk=2, max_samples=5)
    outcomes, *_ = produce(reply=reply, samples=samples)
    assert [len(o.group.rollouts) for o in outcomes] == [2, 4, 5]


def noted(group: Group) -> Group:
    """A belief at the first token of each answer."""
    at = [r.loss_mask.index(True) for r in group.rollouts]
    beliefs = [Probe(name="belief", start=t, stop=t + 1, value=0.5) for t in at]
    rollouts = (replace(r, probes=(b,)) for r, b in zip(group.rollouts, beliefs, strict=True))
    return replace(group, rollouts=tuple(rollouts))


def test_groups_that_came_through_whole_are_annotated_together() -> None:
    calls: list[tuple[Any, list[str]]] = []

    async def annotate(engine: Any, groups: Sequence[Group]) -> list[Group]:
        calls.append((engine, [g.problem.prompt for g in groups]))
        return [noted(g) for g in groups]

    def plan(request: Request) -> Plan:
        return Plan(outcome="error" if request.id.startswith(PROBLEMS[1].id) else "finish")

    outcomes, engine, *_ = produce(11, plan=plan, max_prompt_tokens=4, annotate=annotate)
    assert calls == [(engine, ["0+1=", *(f"{k}+1=" for k in range(2, 10))])]
    seen = [[p.name for r in o.group.rollouts for p in r.probes] for o in outcomes]
    assert seen == [["belief"] * 2, [], *[["belief"] * 2] * 8, []]
    assert outcomes[1].failure is not None and outcomes[10].filtered == "prompt_too_long"


BREACHES: dict[str, Callable[[Sequence[Group]], Sequence[Group]]] = {
    "a group is lost": lambda groups: groups[1:],
    "a group is there twice": lambda groups: [*groups, groups[0]],
    "groups change places": lambda groups: groups[::-1],
    "a rollout is lost": lambda groups: [replace(g, rollouts=g.rollouts[1:]) for g in groups],
    "rollouts change places": lambda groups: [replace(g, rollouts=g.rollouts[::-1]) for g in groups],
}


@pytest.mark.parametrize("breach", BREACHES)
def test_annotations_of_other_groups_are_refused(breach: str) -> None:
    async def annotate(engine: Any, groups: Sequence[Group]) -> Sequence[Group]:
        return BREACHES[breach](groups)

    with pytest.raises(DataError, match=r"annotate returned \d groups for 3 \(\d rollouts for 6\)"):
        produce(annotate=annotate)


def test_what_the_engine_loses_while_annotating_is_a_failure_of_the_tickets() -> None:
    async def annotate(engine: Any, groups: Sequence[Group]) -> list[Group]:
        raise EngineError("out of memory")

    outcomes, *_ = produce(12, annotate=annotate, max_prompt_tokens=4)
    assert [o.failure for o in outcomes] == ["engine: annotate: out of memory"] * 10 + [None] * 2
    assert all(len(o.group.rollouts) == 2 for o in outcomes[:10])
