"""Advantages, policy terms and reductions as the recipes join them, against hand values and on a bandit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from pytest import approx

from helpers import tiny_policy
from trueloop.errors import DataError
from trueloop.recipes.policy import (
    Cispo,
    Clip,
    FixedLength,
    Gspo,
    Kl,
    PolicyLoss,
    Reinforce,
    SequenceMean,
    TokenMean,
    distance,
    give_advantages,
    reduction,
    to_sample,
)
from trueloop.records import Completion, Group, Problem, Rollout, Sample, Score, to_rollout
from trueloop.train.batch import Batch, Batching, Outputs, Stream
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer

PROBLEM = Problem.create(prompt="?", target="a", task="bandit", split="train")


def rollout(
    k: int, reward: float, tokens: Sequence[int] = (5, 6), policy_logprobs: Sequence[float] | None = None
) -> Rollout:
    drawn = tuple(policy_logprobs or [-1.0] * len(tokens))
    completion = Completion(
        tokens=tuple(tokens), logprobs=drawn, policy_logprobs=drawn, finish="length", stop=None, version=0, text=""
    )
    score = Score(status="scored", reward=reward, passed=reward > 0, audit={"hack": 1.0 - reward})
    return replace(to_rollout(PROBLEM, k, (3, 4), completion), score=score)


def group(*rewards: float) -> Group:
    return Group(problem=PROBLEM, rollouts=tuple(rollout(k, r) for k, r in enumerate(rewards)))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("grpo", [math.sqrt(3), -1 / math.sqrt(3), -1 / math.sqrt(3), -1 / math.sqrt(3)]),
        ("dr_grpo", [0.75, -0.25, -0.25, -0.25]),
        ("rloo", [1.0, -1 / 3, -1 / 3, -1 / 3]),
        ("max_rl", [3.0, -1.0, -1.0, -1.0]),
    ],
)
def test_advantages_of_one_success_in_four(kind: str, expected: list[float]) -> None:
    found = give_advantages([group(1, 0, 0, 0), group(1, 1, 1, 1)], kind)
    assert found[0].advantages == approx(expected)
    assert found[1].advantages == (0.0, 0.0, 0.0, 0.0)


def test_a_bonus_is_part_of_the_reward_before_the_group_is_compared() -> None:
    found = give_advantages([group(1, 1)], "dr_grpo", bonus=lambda r: -0.5 if r.id.endswith("/1") else 0.0)
    assert found[0].advantages == approx((0.25, -0.25))


def test_an_unscored_rollout_is_an_error_and_not_a_zero() -> None:
    broken = Group(problem=PROBLEM, rollouts=(rollout(0, 1.0), replace(rollout(1, 0.0), score=None)))
    with pytest.raises(DataError, match="unscored rollouts"):
        give_advantages([broken], "grpo")


def test_a_sample_holds_its_advantage_on_what_the_policy_wrote_and_the_untruncated_old_policy() -> None:
    drawn = replace(rollout(0, 1.0), logprobs=(0.0, 0.0, -0.5, -2.0), policy_logprobs=(0.0, 0.0, -1.5, -2.0))
    sample = to_sample(drawn, 2.0)
    assert sample.weights == (0.0, 0.0, 2.0, 2.0)
    assert sample.logprobs == drawn.policy_logprobs
    old = (0.0, 0.0, -0.25, -3.0)
    corrected = to_sample(drawn, 2.0, old=old, importance_cap=1.2)
    assert corrected.logprobs == old
    assert corrected.weights == approx((0.0, 0.0, 2.0 * 1.2, 2.0 * math.exp(-1.0)))


@pytest.mark.parametrize(("estimator", "value"), [("k1", 1.5), ("k2", 1.125 + 0.0), ("k3", math.exp(-1.5) + 1.5 - 1)])
def test_the_distance_in_the_reward_is_summed_over_what_the_rollout_wrote(estimator: str, value: float) -> None:
    kl = Kl(coefficient=1.0, estimator=estimator, where="reward")  # type: ignore[arg-type]
    drawn = rollout(0, 1.0, policy_logprobs=(-0.5, -2.0))
    assert distance(kl, drawn, (-9.0, -9.0, -2.0, -2.0)) == approx(value)


def test_audit_cannot_reach_a_sample() -> None:
    seen = replace(rollout(0, 1.0), score=Score(status="scored", reward=1.0, passed=True, audit={"hack": 1e9}))
    unseen = replace(seen, score=Score(status="scored", reward=1.0, passed=True))
    groups = [Group(problem=PROBLEM, rollouts=(r, rollout(1, 0.0))) for r in (seen, unseen)]
    samples = [
        [to_sample(r, a) for r, a in zip(g.rollouts, g.advantages or (), strict=True)]
        for g in give_advantages(groups, "grpo")
    ]
    assert samples[0] == samples[1]


def batch(old: float | None, weight: float, ref: float | None = None) -> Batch:
    column = torch.ones(1, 1)
    return Batch(
        ids=("a",),
        ids_BT=torch.tensor([[5]]),
        mask_BT=torch.ones(1, 1, dtype=torch.bool),
        weights_BT=column * weight,
        old_logp_BT=None if old is None else column * old,
        ref_logp_BT=None if ref is None else column * ref,
        teacher_ids_BTK=None,
        teacher_logp_BTK=None,
        scale_B=torch.ones(1),
    )


def loss_of(loss: PolicyLoss, logp: float, batch_: Batch) -> tuple[float, float, dict[str, float]]:
    """Value, derivative by logp, metrics."""
    logp_BT = torch.tensor([[logp]], requires_grad=True)
    out = Outputs(logp_BT=logp_BT, entropy_BT=torch.tensor([[0.7]]), teacher_token_logp_BTK=None)
    value_BT, metrics = loss(out, batch_)
    value_BT.sum().backward()
    assert logp_BT.grad is not None
    return value_BT.item(), logp_BT.grad.item(), {k: v.item() for k, v in metrics.items()}


HALF, QUARTER = math.log(0.5), math.log(0.25)


@pytest.mark.parametrize(
    ("term", "weight", "value", "slope"),
    [
        (Clip(low=0.2, high=0.28), 1.0, -1.28, 0.0),
        (Clip(low=0.2, high=0.28), -1.0, 2.0, 2.0),
        (Reinforce(), 1.0, -2.0 * HALF, -2.0),
        (Cispo(max_ratio=1.5), 1.0, -1.5 * HALF, -1.5),
        (Gspo(low=0.1, high=0.1), 1.0, -1.1, 0.0),
        (Gspo(low=0.1, high=0.1), -1.0, 2.0, 2.0),
    ],
)
def test_each_term_at_a_ratio_of_two(term: Clip, weight: float, value: float, slope: float) -> None:
    found = loss_of(PolicyLoss(term), HALF, batch(QUARTER, weight))
    assert found[:2] == approx((value, slope), abs=1e-6)
    assert found[2]["ratio"] == approx(2.0)
    assert found[2]["nll"] == approx(-HALF)


def test_without_old_logprobs_every_ratio_is_one_and_the_slope_is_minus_the_advantage() -> None:
    for term in (Clip(low=0.2, high=0.2), Reinforce(), Cispo(max_ratio=2.0), Gspo(low=0.1, high=0.1)):
        _, slope, metrics = loss_of(PolicyLoss(term), HALF, batch(None, 3.0))
        assert (slope, metrics["ratio"]) == approx((-3.0, 1.0))


def test_clip_shares_say_which_side_stopped_a_gradient() -> None:
    loss = PolicyLoss(Clip(low=0.2, high=0.28))
    assert loss_of(loss, HALF, batch(QUARTER, 1.0))[2]["clipped/above"] == 1.0
    assert loss_of(loss, HALF, batch(QUARTER, -1.0))[2]["clipped/above"] == 0.0
    assert loss_of(loss, QUARTER, batch(HALF, -1.0))[2]["clipped/below"] == 1.0


def test_the_kl_penalty_pulls_towards_the_reference_from_both_sides() -> None:
    loss = PolicyLoss(Clip(low=0.2, high=0.2), kl=Kl(coefficient=0.1, estimator="k3"))
    assert not loss.silent_at_zero_weight
    above = loss_of(loss, HALF, batch(HALF, 0.0, ref=QUARTER))
    below = loss_of(loss, QUARTER, batch(QUARTER, 0.0, ref=HALF))
    assert above[1] > 0 > below[1]
    d = QUARTER - HALF
    assert above[0] == approx(0.1 * (math.exp(d) - d - 1))


def test_a_kl_penalty_without_reference_is_an_error() -> None:
    with pytest.raises(DataError, match="ref_logprobs"):
        loss_of(PolicyLoss(Clip(low=0.2, high=0.2), kl=Kl(coefficient=0.1)), HALF, batch(HALF, 1.0))


def test_an_entropy_bonus_lowers_the_loss_by_the_entropy() -> None:
    plain, bonus = PolicyLoss(Reinforce()), PolicyLoss(Reinforce(), entropy=0.5)
    assert (plain.needs_entropy, bonus.needs_entropy) == (False, True)
    difference = loss_of(bonus, HALF, batch(HALF, 1.0))[0] - loss_of(plain, HALF, batch(HALF, 1.0))[0]
    assert difference == approx(-0.5 * 0.7)


def test_reductions_are_the_ones_they_are_called() -> None:
    lengths = [1, 3]
    assert reduction(TokenMean())(lengths) == [0.25, 0.25]
    assert reduction(SequenceMean())(lengths) == approx([0.5, 1 / 6])
    assert reduction(FixedLength(length=10))(lengths) == approx([0.05, 0.05])


ALGORITHMS = {
    "grpo": ("grpo", Clip(low=0.2, high=0.2), SequenceMean()),
    "dr_grpo": ("dr_grpo", Clip(low=0.2, high=0.2), FixedLength(length=1)),
    "dapo": ("grpo", Clip(low=0.2, high=0.28), TokenMean()),
    "rloo": ("rloo", Reinforce(), TokenMean()),
    "gspo": ("grpo", Gspo(low=3e-4, high=4e-4), SequenceMean()),
    "cispo": ("grpo", Cispo(max_ratio=2.0), TokenMean()),
    "max_rl": ("max_rl", Clip(low=0.2, high=0.2), TokenMean()),
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_each_algorithm_raises_the_probability_of_the_rewarded_token(name: str) -> None:
    """A bandit with all the arms in every group: no sampling noise, so each step must help."""
    advantage, term, reduce = ALGORITHMS[name]
    trainer = Trainer(tiny_policy(), Optim(lr=3e-3), Batching())
    arms, prompt, good = list(range(5, 13)), (3, 4), 7
    probes = [
        Sample(id=str(a), tokens=(*prompt, a), loss_mask=(False, False, True), weights=(0.0, 0.0, 1.0)) for a in arms
    ]

    def probability() -> list[float]:
        return [math.exp(row[-1]) for row in trainer.logprobs(probes)]

    before = probability()
    for _ in range(4):
        logps = [row[-1] for row in trainer.logprobs(probes)]
        rollouts = tuple(rollout(k, float(a == good), (a,), (logps[k],)) for k, a in enumerate(arms))
        credited = give_advantages([Group(problem=PROBLEM, rollouts=rollouts)], advantage)[0]
        samples = [to_sample(r, a) for r, a in zip(rollouts, credited.advantages or (), strict=True)]
        report = trainer.step([Stream(name="rl", samples=samples, loss=PolicyLoss(term), reduction=reduction(reduce))])
        assert report.metrics["rl/ratio"].low == approx(1.0, abs=1e-4)
        assert report.metrics["rl/ratio"].high == approx(1.0, abs=1e-4)
    after = probability()
    assert after[arms.index(good)] > 2 * before[arms.index(good)]
    assert sum(after) - after[arms.index(good)] < sum(before) - before[arms.index(good)]
