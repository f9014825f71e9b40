from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from trueloop.formulas.reduce import token_mean
from trueloop.preflight.invented import has_weight, with_invented_rewards, with_signal
from trueloop.recipes.policy import Clip, PolicyLoss, give_advantages, to_sample
from trueloop.records import Group, Problem, Rollout, Score
from trueloop.train.batch import Stream


def group(rewards: list[float]) -> Group:
    problem = Problem.create(prompt="1+1=", target="2", task="toy", split="train")
    rollouts = [
        Rollout(
            id=f"r{k}",
            problem_id=problem.id,
            tokens=(5, 6, 1),
            loss_mask=(False, True, True),
            logprobs=(0.0, -1.0, -1.0),
            policy_logprobs=(0.0, -1.0, -1.0),
            finish="stop",
            stop=None,
            version=0,
            text="x",
            score=Score(status="scored", reward=reward, passed=bool(reward), audit={"secret": 1.0}),
        )
        for k, reward in enumerate(rewards)
    ]
    return Group(problem=problem, rollouts=tuple(rollouts))


def credit(groups: Any) -> tuple[list[Group], list[Stream]]:
    credited = give_advantages(groups, "grpo")
    samples = [to_sample(r, a) for g in credited for r, a in zip(g.rollouts, g.advantages or (), strict=True)]
    return credited, [
        Stream(name="policy", samples=samples, loss=PolicyLoss(Clip(low=0.2, high=0.2)), reduction=token_mean)
    ]


def rehearsal(groups: list[Group]) -> Any:
    credited, streams = credit(groups)
    return cast(Any, SimpleNamespace(credited=credited, streams=streams, credit=credit))


def test_rewards_alternate_and_nothing_else_of_a_score_is_kept() -> None:
    found = with_invented_rewards([replace(group([1.0, 1.0, 1.0]), advantages=(0.0, 0.0, 0.0))])[0]
    assert found.rewards() == (0.0, 1.0, 0.0) and found.advantages is None
    assert with_invented_rewards([group([1.0, 1.0])], 50.0)[0].rewards() == (0.0, 50.0)
    assert all(r.score is not None and not r.score.audit for r in found.rollouts)


def test_a_flat_batch_gets_invented_signal_through_the_run_s_own_credit() -> None:
    credited, streams = with_signal(rehearsal([group([1.0, 1.0, 1.0, 1.0])]))
    assert credited[0].advantages == (-1.0, 1.0, -1.0, 1.0)
    assert [s.weights[-1] for s in streams[0].samples] == [-1.0, 1.0, -1.0, 1.0]


def test_a_batch_with_signal_is_taken_as_it_is() -> None:
    given = rehearsal([group([1.0, 1.0]), group([0.0, 1.0])])
    assert with_signal(given) == (given.credited, given.streams)


def test_weights_outside_the_mask_are_no_signal() -> None:
    sample = to_sample(group([1.0]).rollouts[0], 0.0)
    outside = replace(sample, weights=(1.0, 0.0, 0.0))
    stream = Stream(name="policy", samples=[outside], loss=PolicyLoss(Clip(low=0.2, high=0.2)), reduction=token_mean)
    assert not has_weight([stream])
    assert has_weight([replace(stream, samples=[replace(sample, weights=(0.0, 0.0, 2.0))])])
