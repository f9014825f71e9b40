from __future__ import annotations

import math
from collections.abc import Callable

from trueloop.checks.numerics import loss

DISTANCES = (-7.0, -1.0, -0.1, 0.1, 1.0, 7.0)


def penalty(value: Callable[[float], float], slope: Callable[[float], float], pull: float = 1.0) -> loss.Penalty:
    return loss.Penalty(
        values={d: value(d) for d in DISTANCES},
        slopes={d: slope(d) for d in DISTANCES},
        expected=[(0.1, 0.1)],
        pull=[pull],
    )


K3 = penalty(lambda d: math.expm1(-d) + d, lambda d: 1 - math.exp(-d))
REVERSED = penalty(lambda d: math.expm1(d) - d, lambda d: math.expm1(d))
K2 = penalty(lambda d: d * d / 2, lambda d: d)
K1 = penalty(lambda d: d, lambda d: 1.0)
TURNED = penalty(lambda d: -(math.expm1(-d) + d), lambda d: math.exp(-d) - 1, pull=-1.0)


def test_a_token_is_pushed_by_its_weight() -> None:
    assert loss.loss_follows_weights([1.0, 1.0], [-1.0, -1.0]).status == "pass"
    assert loss.loss_follows_weights([2.0, 2.0], [-2.0, -2.0]).status == "warn"
    assert loss.loss_follows_weights([-1.0], [1.0]).status == "fail"
    assert loss.loss_follows_weights([0.0], [0.0]).status == "fail"
    assert loss.loss_follows_weights([1.0], [0.0]).status == "fail"
    assert loss.loss_follows_weights([1.0], [0.0], signed=False).status == "pass"
    assert loss.loss_follows_weights([], []).status == "unknown"


def test_clip_bounds_let_the_first_step_through_and_act_later() -> None:
    assert loss.clip_bounds(0, 100, 1.2, 0.8, spread=1e-6).status == "pass"
    assert loss.clip_bounds(40, 100, 1.2, 0.8, spread=0.5).status == "fail"
    assert loss.clip_bounds(0, 100, 1.00001, 0.8, spread=1e-6).status == "fail"
    assert loss.clip_bounds(0, 100, None, 0.8, spread=1e-6).status == "warn"
    assert loss.clip_bounds(0, 100, None, None, spread=1e-6, asked=False).status == "pass"
    assert loss.clip_bounds(0, 0, None, None, spread=0.0).status == "unknown"


def test_a_penalty_grows_both_ways_pulls_back_and_stays_bounded() -> None:
    assert loss.kl_penalty(K3, 1.0).status == "pass" and loss.kl_penalty(K2).status == "pass"
    assert loss.kl_penalty(K1).status == "warn"
    assert "1095 times" in loss.kl_penalty(REVERSED).evidence
    assert loss.kl_penalty(TURNED).status == "fail"
    assert loss.kl_penalty(None).status == "fail"
    assert loss.kl_penalty(K3, 0.01).status == "fail"


def test_a_penalty_without_gradient_is_none() -> None:
    assert loss.kl_penalty(penalty(lambda d: d * d / 2, lambda d: 0.0, pull=0.0)).status == "fail"


def test_a_sample_s_loss_is_its_own() -> None:
    assert loss.samples_are_apart(0.0, 1.0, 0.0).status == "pass"
    assert loss.samples_are_apart(0.01, 1.0, 0.0).status == "fail"
    assert loss.samples_are_apart(0.0, 1.0, 0.1).status == "fail"
