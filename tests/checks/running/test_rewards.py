"""Each check of the reward: a healthy run passes, the mistake does not, too little is unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from running_rows import SETUP, healthy, history
from trueloop.checks.running import rewards
from trueloop.checks.running.seen import Seen, Setup

ALL = (rewards.signal, rewards.constant, rewards.collapse, rewards.format, rewards.learning)
DEAD = {"groups/flat": 1.0, "groups/all_passed": 0.0, "reward/all": 0.0, "reward/std": 0.0}
FULL = {"groups/flat": 1.0, "groups/all_passed": 1.0, "reward/all": 1.0, "reward/std": 0.0}


def test_a_healthy_run_passes_at_every_step():
    seen = Seen(SETUP)
    for step in range(1, 101):
        seen.add(healthy(step))
        assert {ask(seen).status for ask in ALL} <= {"pass", "unknown"}
    assert {ask(seen).status for ask in ALL} == {"pass"}


@pytest.mark.parametrize("ask", [rewards.constant, rewards.collapse, rewards.format, rewards.learning])
def test_too_short_a_history_is_unknown(ask):
    assert ask(history(2)).status == "unknown"


@pytest.mark.parametrize("dead", [DEAD, FULL])
def test_groups_that_go_flat_at_once_fail_in_three_steps(dead):
    assert rewards.signal(history(12, dead, dead)).status == "pass"
    assert rewards.signal(history(12, dead, dead, dead)).status == "fail"
    assert rewards.constant(history(12, dead, dead, dead)).status == "fail"


def test_groups_that_were_flat_from_the_start_fail_after_enough_of_them():
    assert rewards.signal(history(4, *[DEAD] * 4)).status == "warn"
    assert rewards.signal(history(5, *[DEAD] * 5)).status == "fail"
    assert rewards.signal(history(5, *[DEAD] * 5, setup=replace(SETUP, rewarded=False))).status == "unknown"


def test_problems_that_are_solved_step_by_step_are_no_fault():
    rising = [{"groups/flat": f, "reward/all": 0.9 + f / 20, "groups/all_passed": f} for f in (0.6, 0.7, 0.8, 0.9)]
    seen = history(30, *rising * 2, FULL, FULL, FULL, FULL, FULL)
    assert rewards.signal(seen).status == "warn" and "solved" in rewards.signal(seen).advice
    assert rewards.constant(seen).status == "unknown"


def solved(*rewards: float, **flat: Any) -> list[dict[str, Any]]:
    full = {**FULL, **flat}
    return [full if r == 1 else {"reward/all": r, "groups/flat": 0.2} for r in rewards]


def test_a_steep_curve_that_leads_to_all_right_is_no_fault():
    rising = (0.4, 0.5, 0.6, 0.7, 0.75, 1, 1, 1)
    for seen in (history(8, *solved(*rising)), history(8, *solved(*rising, **{"groups/all_passed": 0.0}))):
        assert rewards.signal(seen).status == "warn" and rewards.constant(seen).status == "unknown"
    level = (0.5, 0.45, 0.55, 0.5, 0.48, 1, 1, 1)
    assert rewards.signal(history(8, *solved(*level))).status == "fail"
    assert rewards.constant(history(8, *solved(*level))).status == "fail"


def test_a_guard_that_rises_too_says_that_the_problems_are_solved():
    for last, status in ((0.95, "warn"), (1.0, "fail"), (0.3, "fail")):
        seen = history(8, *solved(0.5, 0.45, 0.55, 0.5, 0.48, 1, 1, 1))
        for step, mean in ((0, 0.4), (8, last)):
            seen.add_evaluation({"step": step, "strict": {"mean": mean, "se": 0.03}})
        assert rewards.signal(seen).status == status


def test_a_reward_that_was_learned_and_is_lost():
    low = {"reward/all": 0.03, "reward/std": 0.17, "parts/strict": 0.03, "parts/lenient": 0.05}
    assert rewards.collapse(history(30, *[low] * 4)).status == "fail"
    assert rewards.collapse(history(30, *[low] * 4, setup=replace(SETUP, rewarded=False))).status == "warn"
    lower = {"reward/all": 0.12, "reward/std": 0.32}
    assert rewards.collapse(history(30, *[lower] * 4)).status == "warn"
    assert rewards.collapse(history(30, *[{"reward/all": 0.25}] * 4)).status == "pass"


def test_a_format_that_is_lost_while_answers_stay_right():
    lost = {"parts/strict": 0.05, "parts/lenient": 0.4}
    assert rewards.format(history(30, *[lost] * 4)).status == "warn"
    assert rewards.format(history(30, *[{"parts/strict": 0.2, "parts/lenient": 0.5}] * 4)).status == "warn"
    assert rewards.format(history(30, *[{"parts/strict": 0.0, "parts/lenient": 0.0}] * 4)).status == "pass"


def evaluation(mean: float, se: float = 0.03) -> dict[str, Any]:
    return {"strict": {"mean": mean, "se": se}, "lenient": {"mean": 0.9, "se": 0.01}}


def test_an_evaluation_below_the_best_one_before_it():
    seen = history(20)
    assert rewards.held_out(seen).status == "unknown"
    for mean, status in ((0.5, "unknown"), (0.7, "pass"), (0.62, "pass"), (0.4, "warn"), (0.2, "fail")):
        seen.add_evaluation(evaluation(mean))
        assert rewards.held_out(seen).status == status
    assert "went from" in rewards.held_out(seen).evidence


def test_what_is_looked_at_parts_from_what_is_paid():
    good = {"agreement/truth": 0.9, "audit/truth": 0.4}
    assert rewards.audit(history(20)).status == "unknown"
    assert rewards.audit(history(20, *[good] * 20)).status == "pass"
    fell = {"agreement/truth": 0.5, "audit/truth": 0.05}
    assert rewards.audit(history(20, *[good] * 16, *[fell] * 4)).status == "warn"
    left = {"agreement/truth": 0.1, "audit/truth": 0.4}
    assert rewards.audit(history(20, *[good] * 16, *[left] * 4)).status == "warn"
    none, paid = {"agreement/hacked": 0.0, "audit/hacked": 0.1}, {"agreement/hacked": 0.8, "audit/hacked": 0.5}
    assert rewards.audit(history(20, *[none] * 16, *[paid] * 4)).status == "warn"


def test_a_reward_that_does_not_move_is_said_late():
    still = [{"reward/all": 0.3 + 0.02 * (k % 3)} for k in range(60)]
    assert rewards.learning(history(49, *still[:49])).status == "unknown"
    assert rewards.learning(history(60, *still)).status == "warn"


def test_a_supervised_run_may_change_its_format_on_the_way():
    seen = Seen(Setup(steps=400, lr=1e-3))
    for k in range(1, 20):
        seen.add({"step": k, "version": k})
    for mean, se in ((0.075, 0.019), (0.0, 0.0)):
        seen.add_evaluation({"strict": {"mean": mean, "se": se}, "lenient": {"mean": 0.2, "se": 0.03}})
    assert rewards.held_out(seen).status == "pass"  # 15 of 200 and then none: twice the error of the first is not four
    seen.add_evaluation({"strict": {"mean": 0.5, "se": 0.035}, "lenient": {"mean": 0.6, "se": 0.03}})
    seen.add_evaluation({"strict": {"mean": 0.0, "se": 0.0}, "lenient": {"mean": 0.6, "se": 0.03}})
    assert rewards.held_out(seen).status == "warn"
