"""Each check of what is written: a healthy run passes, the mistake does not, too little is unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from running_rows import SETUP, healthy, history
from trueloop.checks.running import rollouts
from trueloop.checks.running.seen import Seen

ALL = (rollouts.length, rollouts.cut, rollouts.distinct, rollouts.repetition)


def test_a_healthy_run_passes_at_every_step():
    seen = Seen(SETUP)
    for step in range(1, 60):
        seen.add(healthy(step))
        assert {ask(seen).status for ask in ALL} <= {"pass", "unknown"}
    assert {ask(seen).status for ask in ALL} == {"pass"}


@pytest.mark.parametrize("ask", ALL)
def test_too_short_a_history_is_unknown(ask):
    assert ask(history(1)).status == "unknown"


@pytest.mark.parametrize(("length", "status"), [(9.0, "warn"), (4.0, "fail"), (200.0, "warn")])
def test_lengths_that_leave_the_start(length, status):
    short = {"length/mean": length, "reward/all": 0.05}
    assert rollouts.length(history(20, short)).status == "pass"
    assert rollouts.length(history(20, *[short] * 4)).status == status


def test_a_policy_that_learns_to_stop_may_become_short():
    runs_on, stops = {"length/mean": 250.0}, {"length/mean": 38.0, "reward/all": 0.6}
    assert rollouts.length(history(20, *[runs_on] * 16, *[stops] * 4)).status == "warn"
    silent = {**stops, "reward/all": None}
    assert rollouts.length(history(20, *[runs_on] * 16, *[silent] * 4)).status == "fail"


def test_short_answers_are_healthy_where_they_always_were():
    assert rollouts.length(history(20, *[{"length/mean": 2.0}] * 20)).status == "pass"


def test_cuts():
    assert rollouts.cut(history(20, *[{"length/cut": 0.97}] * 2)).status == "fail"
    assert rollouts.cut(history(20, *[{"length/cut": 0.6}] * 2)).status == "warn"
    assert rollouts.cut(history(20, *[{"length/cut": 0.6}] * 20)).status == "pass"


def test_variety():
    assert rollouts.distinct(history(20, *[{"rollouts/commonest": 0.95}] * 2)).status == "fail"
    same = {"rollouts/one_text": 1.0, "reward/all": 0.0}
    assert rollouts.distinct(history(20, *[same] * 4)).status == "fail"
    assert rollouts.distinct(history(20, *[same | {"reward/all": 0.9}] * 4)).status == "warn", "the reward is held"
    assert rollouts.distinct(history(20, *[same | {"rollouts/one_text": 0.9}] * 4)).status == "pass"
    assert rollouts.distinct(history(20, *[{"length/distinct": 0.15}] * 2)).status == "warn"


def test_loops():
    assert rollouts.repetition(history(20, *[{"rollouts/looping": 0.9}] * 2)).status == "fail"
    assert rollouts.repetition(history(20, *[{"rollouts/looping": 0.3}] * 2)).status == "warn"


def test_an_evaluation_that_measures_the_limit():
    seen = history(3)
    assert rollouts.guard_cut(seen).status == "unknown"
    seen.add_evaluation({"truncated": 0.3, "problems": 200, "samples": 1})
    assert rollouts.guard_cut(seen).status == "warn"
    seen.add_evaluation({"truncated": 0.0, "problems": 200, "samples": 1})
    assert rollouts.guard_cut(seen).status == "pass"
    imitating = history(3, setup=replace(SETUP, rewarded=False))
    imitating.add_evaluation({"truncated": 1.0, "problems": 200, "samples": 1})
    imitating.add_evaluation({"truncated": 0.9, "problems": 200, "samples": 1})
    assert rollouts.guard_cut(imitating).status == "unknown", "it may learn to stop on its way"
    imitating.add_evaluation({"truncated": 1.0, "problems": 200, "samples": 1})
    imitating.first_evaluation = {"truncated": 0.0}
    assert rollouts.guard_cut(imitating).status == "warn"
    untrained = Seen(SETUP)
    untrained.add_evaluation({"truncated": 1.0, "problems": 200, "samples": 1})
    assert rollouts.guard_cut(untrained).status == "unknown"
