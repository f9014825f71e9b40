import math

import pytest

from trueloop.checks import direction
from trueloop.checks.direction import Rung


def test_credit_follows_reward():
    rewards = [[0.0, 1.0] * 4] * 4
    assert direction.credit_follows_reward(rewards, [[-1.0, 1.0] * 4] * 4).status == "pass"
    assert direction.credit_follows_reward(rewards, [[1.0, -1.0] * 4] * 4).status == "fail"
    assert direction.credit_follows_reward(rewards, [[0.0, 0.0] * 4] * 4).status == "fail"
    assert direction.credit_follows_reward([[1.0, 1.0]], [[0.0, 0.0]]).status == "unknown"  # nothing to compare


@pytest.mark.parametrize("check", [direction.demonstrations_rise, direction.divergence_falls])
def test_directions(check):
    right, over = [Rung(lr=1e-3, gain=0.5)], [Rung(lr=1e-3, gain=-2.0), Rung(lr=1e-5, gain=0.1)]
    wrong = [Rung(lr=1e-3, gain=-2.0), Rung(lr=1e-5, gain=-0.1)]
    assert check(right, None).status == "pass"
    assert check(over, None).status == "warn" and "1e-05" in check(over, None).advice
    assert check(wrong, None).status == "fail"
    assert check(wrong, 0.3).status == "warn"  # its own gradient is right: another stream outweighs it
    assert check([Rung(lr=1e6, gain=math.nan), Rung(lr=1e-5, gain=-0.1)], -0.3).status == "fail"
    assert check([Rung(lr=1e-30, gain=0.0)], None).status == "unknown"


def test_reward_rises_says_where_rewards_are_invented():
    assert "invented" in direction.reward_rises([Rung(lr=1e-3, gain=0.5)], None, True).evidence
    assert direction.reward_rises([Rung(lr=1e-3, gain=-0.5)], None, False).status == "fail"


def test_step_is_sane():
    assert direction.step_is_sane(0.05, 0.003, 1e-4, None).status == "pass"
    assert direction.step_is_sane(0.5, 0.003, 1e-3, 1e-4).status == "warn"
    assert direction.step_is_sane(None, 0.9, 1.0, 1e-3).status == "fail"
    assert "1e-05" in direction.step_is_sane(math.nan, None, 1e6, 1e-5).advice
    assert direction.step_is_sane(math.nan, None, 1e6, None).status == "fail"
    assert direction.step_is_sane(None, None, 1e-3, None).status == "unknown"


def test_reference_held():
    assert direction.reference_held(0.0, 0.1, "reference").status == "pass"
    assert direction.reference_held(0.1, 0.1, "reference").status == "fail"
    assert direction.reference_held(0.005, 0.1, "teacher").status == "warn"
    assert direction.reference_held(0.0, 0.0, "reference").status == "unknown"


def test_streams_reach():
    assert direction.streams_reach({"policy": 1.0, "sft": 0.5}).status == "pass"
    assert direction.streams_reach({"policy": 1.0, "sft": 1e-6}).status == "warn"
    assert direction.streams_reach({"policy": 0.0, "sft": 0.5}).status == "fail"
    assert direction.streams_reach({"policy": 0.0}).status == "fail"
