from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from numerics_toys import CLIP, policy, rows, stream, trainer
from trueloop.engines.local import LocalEngine
from trueloop.faults.claims import Lying, claiming, sampling
from trueloop.preflight.numerics.sampler import by_problem, engine_type, few, held_weights, sampler, starting_points
from trueloop.records import CheckResult, Problem, Request, Rollout, Sampling, to_rollout

SAMPLING = Sampling(max_tokens=12, temperature=0.8)


def asked(change: Callable[[LocalEngine], Any] = lambda engine: engine) -> dict[str, CheckResult]:
    """The sampler's checks on completions of the engine that `change` makes of a right one."""

    async def run() -> dict[str, CheckResult]:
        engine = change(LocalEngine(policy().base_model, policy().tokenizer, end_ids=policy().end_ids))
        await engine.load_weights(policy().engine_weights(), 0)
        try:
            rehearsal: Any = SimpleNamespace(
                policy=policy(),
                trainer=trainer(),
                engine=engine,
                rollouts=await drawn(engine),
                streams=[],
                sampling=SAMPLING,
                learned=True,
            )
            found = [held_weights(rehearsal)] + [r async for r in sampler(rehearsal)]
        finally:
            await engine.close()
        return {r.id: r for r in found}

    return asyncio.run(run())


async def drawn(engine: Any) -> list[Rollout]:
    problem = Problem.create(prompt="ab", target="c", task="toy", split="train")
    requests = [Request(id=str(k), prompt=(10 + k % 3, 11, 12), sampling=replace(SAMPLING, seed=k)) for k in range(12)]
    return [
        to_rollout(problem, int(name), requests[int(name)].prompt, c) async for name, c in engine.generate(requests)
    ]


def test_a_right_sampler_passes() -> None:
    found = asked()
    assert {r.status for r in found.values()} == {"pass"}, [r for r in found.values() if r.status != "pass"]
    assert {"numerics.sampler_trainer_gap", "numerics.draws_are_claimed", "numerics.sampler_weights"} <= set(found)


def test_another_temperature_is_named() -> None:
    found = asked(lambda engine: Lying(engine, ask=sampling(temperature=1.6)))
    assert "temperature 1.6 instead of 0.8" in found["numerics.sampler_trainer_gap"].evidence
    assert found["numerics.draws_are_claimed"].status == "fail"


def test_top_k_that_nobody_asked_for_shows_in_the_draws_alone() -> None:
    found = asked(
        lambda engine: Lying(engine, ask=sampling(top_k=3), claim=lambda c: replace(c, logprobs=c.policy_logprobs))
    )
    assert found["numerics.sampler_trainer_gap"].status == "pass"
    assert "top-k 3" in found["numerics.draws_are_claimed"].evidence


def test_log_probabilities_of_no_draw_are_a_gap() -> None:
    found = asked(lambda engine: Lying(engine, claim=claiming(lambda values: [0.0] * len(values))))
    assert "the same value 0" in found["numerics.sampler_trainer_gap"].evidence


def test_where_a_step_starts_from() -> None:
    rehearsal: Any = SimpleNamespace(trainer=trainer(), engine=object())
    right = stream(CLIP, samples=rows(reference=True))
    assert [r.status for r in starting_points(rehearsal, [right], [True])] == ["pass", "pass"]
    off = [replace(s, ref_logprobs=tuple(v - 0.2 for v in s.ref_logprobs or ())) for s in right.samples]
    found = {r.id: r.status for r in starting_points(rehearsal, [replace(right, samples=off)], [True])}
    assert found == {"numerics.ratio_starts_at_one": "pass", "numerics.reference_is_policy": "fail"}


def test_rows_are_few_and_engines_say_their_type() -> None:
    many = {str(k): [replace(s, id=f"{k}{s.id}") for s in rows(4)] for k in range(3)}
    assert len(few(many)) == 4
    assert engine_type(object()) == "float32"
    assert engine_type(SimpleNamespace(describe=lambda: {"dtype": "bfloat16"})) == "bfloat16"
    assert by_problem([]) == {}
