from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from trueloop.formulas.policy import overlong_penalty
from trueloop.formulas.reduce import token_mean
from trueloop.preflight.numerics.credits import credits
from trueloop.recipes.policy import Clip, PolicyLoss, give_advantages, to_sample
from trueloop.records import CheckResult, Group, Problem, Rollout, Score
from trueloop.train.batch import Stream

PER_TOKEN = ("tokens", "loss_mask", "logprobs", "policy_logprobs")


def group(name: str, rewards: Sequence[float]) -> Group:
    problem = Problem.create(prompt=name, target="2", task="toy", split="train")
    rollouts = tuple(
        Rollout(
            id=f"{name}{k}",
            problem_id=problem.id,
            tokens=(5, 6, 7 + k, 1),
            loss_mask=(False, False, True, True),
            logprobs=(0.0, 0.0, -1.0, -0.5),
            policy_logprobs=(0.0, 0.0, -1.0, -0.5),
            finish="stop",
            stop=None,
            version=0,
            text="x",
            score=Score(status="scored", reward=reward, passed=bool(reward)),
        )
        for k, reward in enumerate(rewards)
    )
    return Group(problem=problem, rollouts=rollouts)


def credit(groups: Sequence[Group]) -> tuple[list[Group], list[Stream]]:
    credited = give_advantages(groups, "grpo")
    samples = [to_sample(r, a) for g in credited for r, a in zip(g.rollouts, g.advantages or (), strict=True)]
    loss = PolicyLoss(Clip(low=0.2, high=0.2))
    return credited, [Stream(name="policy", samples=samples, loss=loss, reduction=token_mean)]


def asked(change: Any = lambda stream: stream, how: Any = credit, **configured: Any) -> dict[str, CheckResult]:
    groups, streams = how([group("a", [0.0, 1.0]), group("b", [1.0, 1.0])])
    chain = SimpleNamespace(having=lambda method: [])
    rehearsal: Any = SimpleNamespace(
        credited=groups,
        credit=how,
        configured={"advantage": {"kind": "grpo"}, **configured},
        trainer=SimpleNamespace(chain=chain),
    )
    return {r.id: r for r in credits(rehearsal, [change(s) for s in streams], groups)}


def test_the_recipe_s_own_credit_passes() -> None:
    assert {r.status for r in asked().values()} == {"pass"} and len(asked()) == 2


def test_another_sign_shows_against_the_configured_estimator() -> None:
    def turned(groups: Sequence[Group]) -> Any:
        credited, streams = credit(groups)
        return [replace(g, advantages=tuple(-a for a in g.advantages or ())) for g in credited], streams

    found = asked(how=turned)["numerics.advantages"]
    assert found.status == "fail" and "sign turned" in found.evidence


def test_rows_without_their_last_token_and_lost_rows_show() -> None:
    def cut(stream: Stream) -> Stream:
        rows = [replace(s, loss_mask=(False, False, True, False)) for s in stream.samples]
        return replace(stream, samples=rows)

    assert "last token" in asked(cut)["numerics.rows_are_rollouts"].evidence
    lost = asked(lambda stream: replace(stream, samples=stream.samples[1:]))
    assert "have no row" in lost["numerics.rows_are_rollouts"].evidence


def test_a_penalty_may_turn_advantages_round_and_a_sign_may_not() -> None:
    def shorter_is_better(groups: Sequence[Group]) -> Any:
        return give_advantages(groups, "grpo", lambda r: -3.0 * r.tokens[2]), credit(groups)[1]

    def turned(groups: Sequence[Group]) -> Any:
        credited, streams = shorter_is_better(groups)
        return [replace(g, advantages=tuple(-a for a in g.advantages or ())) for g in credited], streams

    distance = {"where": "reward"}
    assert asked(how=shorter_is_better, kl=distance)["numerics.advantages"].status == "pass"
    assert asked(how=turned, kl=distance)["numerics.advantages"].status == "fail"
    assert asked(how=shorter_is_better)["numerics.advantages"].status == "fail"


def _longer(rollout: Rollout) -> Rollout:
    more = {name: (*getattr(rollout, name), getattr(rollout, name)[-1]) for name in PER_TOKEN}
    return replace(rollout, **more)


@pytest.mark.parametrize(("weight", "status"), [(2.0, "pass"), (-2.0, "fail"), (0.0, "fail")])
def test_the_penalty_on_length_is_the_one_that_is_configured(weight: float, status: str) -> None:
    def credited(groups: Sequence[Group]) -> Any:
        penalty = overlong_penalty(torch.arange(100), 8, 8).tolist()
        uneven = [replace(g, rollouts=(_longer(g.rollouts[0]), *g.rollouts[1:])) for g in groups]
        return give_advantages(uneven, "grpo", lambda r: weight * penalty[r.completion_length]), credit(groups)[1]

    configured = {"limit": 8, "cache": 8, "weight": 2.0}
    assert asked(how=credited, overlong=configured)["numerics.advantages"].status == status
