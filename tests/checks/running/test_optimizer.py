"""Each check of the optimizer: a healthy run passes, the mistake does not, too little is unknown."""

from __future__ import annotations

import math

import pytest

from running_rows import SETUP, healthy, history
from trueloop.checks.running import optimizer
from trueloop.checks.running.seen import Seen

ALL = (
    optimizer.finite,
    optimizer.gradient_spike,
    optimizer.gradient_trend,
    optimizer.gradient_vanished,
    optimizer.weights_moved,
    optimizer.update_size,
    optimizer.memory,
    optimizer.learning_rate,
    optimizer.trained,
)


def test_a_healthy_run_passes_at_every_step():
    seen = Seen(SETUP)
    for step in range(1, 60):
        seen.add(healthy(step))
        assert {ask(seen).status for ask in ALL} <= {"pass", "unknown"}
    assert {ask(seen).status for ask in ALL} == {"pass"}


@pytest.mark.parametrize(
    "ask", [optimizer.gradient_spike, optimizer.gradient_trend, optimizer.gradient_vanished, optimizer.memory]
)
def test_too_short_a_history_is_unknown(ask):
    assert ask(history(2)).status == "unknown"


@pytest.mark.parametrize(
    "changed",
    [{"loss": math.nan}, {"policy/nll/max": math.inf}, {"x": {"y": -math.inf}}, {"weights/not_finite": 1.0}],
)
def test_one_number_that_is_not_finite_fails(changed):
    assert optimizer.finite(history(3, changed)).status == "fail"


def test_a_spike_warns_and_two_in_three_steps_or_a_huge_one_fail():
    assert optimizer.gradient_spike(history(20, {"grad_norm": 7.0})).status == "warn"
    assert optimizer.gradient_spike(history(20, {"grad_norm": 7.0}, {}, {"grad_norm": 8.0})).status == "fail"
    assert optimizer.gradient_spike(history(20, {"grad_norm": 100.0})).status == "fail"
    assert optimizer.gradient_spike(history(20, {"grad_norm": 3.0})).status == "pass"


def test_the_first_step_with_signal_is_held_against_no_penalty_alone():
    alone = {"grad_norm": 1e-4, "groups/flat": 1.0}
    assert optimizer.gradient_spike(history(21, *[alone] * 20, {"grad_norm": 0.3})).status == "unknown"
    sparse = [*[alone] * 5, {"grad_norm": 0.3}] * 12
    assert optimizer.gradient_spike(history(72, *sparse)).status == "pass"
    assert optimizer.gradient_spike(history(72, *sparse[:-1], {"grad_norm": 60.0})).status == "fail"
    assert optimizer.gradient_trend(history(72, *sparse)).status == "unknown"


def test_a_slow_rise_is_no_spike_and_all_the_same_a_trend():
    grown = [{"grad_norm": 0.6 * 1.1**k} for k in range(42)]
    seen = history(50, *grown)
    assert optimizer.gradient_spike(seen).status != "fail"
    assert optimizer.gradient_trend(seen).status == "fail"
    assert optimizer.gradient_trend(history(38, *grown[:30])).status == "warn"


def test_no_gradient_fails_only_where_rows_carried_weight():
    nothing = {"grad_norm": 0.0}
    assert optimizer.gradient_vanished(history(9, nothing, nothing, nothing)).status == "fail"
    assert optimizer.gradient_vanished(history(9, nothing, nothing)).status == "pass"
    silent = {**nothing, "policy/silent": 1.0}
    assert optimizer.gradient_vanished(history(9, silent, silent, silent)).status == "pass"


def test_steps_that_move_nothing_fail_even_if_every_other_one_does():
    still = {"weights/changed": 0.0}
    assert optimizer.weights_moved(history(9, still, still)).status == "pass"
    assert optimizer.weights_moved(history(9, still, {}, still, {}, still)).value == 3
    assert optimizer.weights_moved(history(9, still, {}, still, {}, still)).status == "fail"
    warming = {**still, "lr": 0.0}
    assert optimizer.weights_moved(history(9, warming, warming, warming)).status == "pass"


def test_updates_beyond_the_learning_rate_fail_and_leaps_warn():
    assert optimizer.update_size(history(20, {"weights/update": 50.0})).status == "fail"
    assert optimizer.update_size(history(20, {"weights/update": 4.0})).status == "warn"
    assert optimizer.update_size(history(1, {"weights/update": 1.0})).status == "pass"


def test_an_optimizer_that_forgot_moves_everything_by_the_whole_rate_again():
    assert optimizer.memory(history(20, {"weights/update": 0.99})).status == "warn"
    assert optimizer.memory(history(20, {"weights/update": 0.5})).status == "pass"


def test_the_learning_rate_is_at_most_what_was_asked_and_not_0_for_long():
    assert optimizer.learning_rate(history(5, {"lr": 1.1e-3})).status == "fail"
    assert optimizer.learning_rate(history(30, *[{"lr": 0.0}] * 10)).status == "fail"
    assert optimizer.learning_rate(history(30, *[{"lr": 0.0}] * 9)).status == "pass"
    assert optimizer.learning_rate(history(99, *[{"lr": 0.0}] * 10)).status == "pass"


def test_a_run_that_changed_nothing_is_warned_of_and_fails():
    still = [{"version": 0, "groups/flat": 1.0}] * 12
    assert optimizer.trained(history(4, *still[:4])).status == "unknown"
    assert optimizer.trained(history(5, *still[:5])).status == "warn"
    assert optimizer.trained(history(10, *still[:10])).status == "fail"
    ended = optimizer.trained(history(2, *still[:2]), ended=True)
    assert ended.status == "fail"
    assert ended.evidence == "none of 2 steps changed a weight: in all their groups all rewards agree"
    assert optimizer.trained(history(30, *[{"version": 18, "groups/flat": 0.5}] * 12)).status == "warn"
