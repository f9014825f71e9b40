"""The history that checks are asked about."""

from __future__ import annotations

import pytest

from running_rows import SETUP, healthy, history
from trueloop.checks.running.seen import FIRST, WINDOW, Seen, number, numbers, streak


def test_a_history_is_bounded_and_keeps_how_the_run_began():
    seen = history(WINDOW + 20)
    assert len(seen.rows) == WINDOW and seen.rows[0]["step"] == 21
    assert [row["step"] for row in seen.beginning] == list(range(1, FIRST + 1))
    assert (seen.steps, seen.moved, seen.row["step"]) == (WINDOW + 20, WINDOW + 20, WINDOW + 20)


def test_steps_that_change_no_weight_are_not_counted_as_moved():
    seen = Seen(SETUP)
    for step, version in enumerate((0, 1, 1, 2), start=1):
        seen.add({**healthy(step), "version": version})
    assert (seen.steps, seen.moved) == (4, 2)


def test_numbers_of_the_past_leave_the_latest_out_and_medians_need_enough_of_them():
    seen = history(FIRST, {"grad_norm": 9.0})
    assert seen.now("grad_norm") == 9.0 and 9.0 not in seen.before("grad_norm")
    assert seen.usual("grad_norm") is None and seen.began("grad_norm") is None
    more = history(FIRST + 1, {"grad_norm": 9.0})
    expected = sorted(healthy(step)["grad_norm"] for step in range(1, FIRST + 1))
    assert more.usual("grad_norm") == more.began("grad_norm") == pytest.approx((expected[3] + expected[4]) / 2)
    assert more.last("grad_norm", 2) == [healthy(FIRST)["grad_norm"], 9.0]
    assert more.last("grad_norm", 50) is None and more.last("absent", 1) is None
    assert more.named("/nll") == ["policy/nll"]


def test_evaluations_keep_the_first():
    seen = Seen(SETUP)
    for k in range(WINDOW + 5):
        seen.add_evaluation({"step": k})
    assert seen.first_evaluation == {"step": 0} and seen.evaluations[0] == {"step": 5}


def test_numbers_and_streaks():
    assert number({"mean": 0.5, "se": 0.1}) == 0.5 and number(3) == 3.0
    assert number(True) is None and number("1") is None and number(None) is None
    row = {"a": 1, "b": {"c": 2.0, "d": {"e": 3}}, "seconds": {"f": 4}, "g": "x"}
    assert list(numbers(row)) == [("a", 1.0), ("b.c", 2.0), ("b.d.e", 3.0)]
    assert streak([True, False, True, True]) == 2 and streak([]) == 0
