"""Each check of the policy: a healthy run passes, the mistake does not, too little is unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from running_rows import SETUP, healthy, history
from trueloop.checks.running import policy
from trueloop.checks.running.seen import Seen

ALL = (policy.ratio, policy.kl, policy.clip_share, policy.entropy, policy.metric_frozen)


def test_a_healthy_run_passes_at_every_step():
    seen = Seen(SETUP)
    for step in range(1, 60):
        seen.add(healthy(step))
        assert {ask(seen).status for ask in ALL} <= {"pass", "unknown"}
    assert {ask(seen).status for ask in ALL} == {"pass"}


@pytest.mark.parametrize("ask", [policy.entropy, policy.loss, policy.metric_frozen])
def test_too_short_a_history_is_unknown(ask):
    assert ask(history(2)).status == "unknown"


def test_a_ratio_beyond_rounding_warns_and_fails_when_it_stays_or_is_large():
    off = {"policy/ratio/max": 1.004}
    assert policy.ratio(history(9, off)).status == "warn"
    assert policy.ratio(history(9, off, off, off)).status == "fail"
    assert policy.ratio(history(9, {"policy/ratio/min": 0.9})).status == "fail"
    assert policy.ratio(history(9, {"policy/ratio/min": 0.9}, setup=replace(SETUP, fresh=False))).status == "unknown"


def test_of_rounded_numbers_the_mean_is_held_and_not_the_most_extreme_token():
    rough = replace(SETUP, exact=False)
    extreme = {"policy/ratio/min": 0.5, "policy/ratio/max": 1.9, "policy/drift": 0.01}
    assert policy.ratio(history(9, extreme, extreme, extreme, setup=rough)).status == "pass"
    off = {**extreme, "policy/drift": 0.1}
    assert policy.ratio(history(9, off, setup=rough)).status == "warn"
    assert policy.ratio(history(9, off, off, off, setup=rough)).status == "fail"
    assert policy.ratio(history(9, {"policy/drift": 0.7}, setup=rough)).status == "fail"
    assert policy.ratio(history(9, {"policy/drift": None}, setup=rough)).status == "unknown"


def test_a_kl_beyond_a_nat_fails_and_a_leap_warns():
    assert policy.kl(history(9, {"policy/kl": 1.2})).status == "fail"
    assert policy.kl(history(9, {"policy/kl": -1.2})).status == "fail"
    assert policy.kl(history(20, {"policy/kl": 0.3})).status == "warn"


def test_a_reference_moves_only_where_it_is_to_be_renewed():
    said = [{"reference/logprob": -3.0}, {}, {}, {}, {}]
    assert policy.reference_fixed(history(9)).status == "unknown"
    assert policy.reference_fixed(history(12, *said, *said, {}, {})).status == "pass"
    moved = [*said, {"reference/logprob": -3.001}]
    assert policy.reference_fixed(history(6, *moved)).status == "fail"
    assert policy.reference_fixed(history(6, *moved, setup=replace(SETUP, refresh_every=5))).status == "pass"
    assert policy.reference_fixed(history(6, *moved, setup=replace(SETUP, refresh_every=8))).status == "fail"


def test_clipping_most_tokens_warns_and_fails_when_it_stays():
    clipped = {"policy/clipped/above": 0.5, "policy/clipped/below": 0.4}
    assert policy.clip_share(history(9, clipped)).status == "warn"
    assert policy.clip_share(history(9, clipped, clipped, clipped)).status == "fail"


@pytest.mark.parametrize(("nll", "status"), [(0.01, "warn"), (0.001, "fail"), (1.5, "warn"), (3.0, "fail")])
def test_an_entropy_that_collapses_or_blows_up(nll, status):
    assert policy.entropy(history(20, {"policy/nll": nll})).status == "pass"
    lost = {"policy/nll": nll, "reward/all": 0.05}
    assert policy.entropy(history(20, *[lost] * 4)).status == status


def test_certainty_about_what_is_solved_is_no_collapse():
    sure = {"policy/nll": 0.001, "reward/all": 1.0, "reward/std": 0.0, "groups/flat": 1.0}
    assert policy.entropy(history(20, *[sure] * 4)).status == "warn"
    dead = {**sure, "reward/all": 0.34}
    assert policy.entropy(history(20, *[dead] * 4)).status == "fail"
    assert policy.entropy(history(20, *[{"policy/nll": 0.001, "reward/all": None}] * 4)).status == "fail"


def supervised(*nll: float) -> Seen:
    seen = Seen(SETUP)
    for step, value in enumerate(nll, start=1):
        row: dict[str, Any] = {"step": step, "version": step, "grad_norm": 1.0, "lr": 1e-3, "sft/nll": value}
        seen.add(row)
    return seen


def test_a_loss_on_given_rows_that_rises_again():
    falling = [4.0 - 0.1 * k for k in range(30)]
    assert policy.loss(supervised(*falling)).status == "pass"
    assert policy.loss(supervised(*falling, 1.9, 1.9, 1.9, 1.9)).status == "warn"
    assert policy.loss(supervised(*falling, 5.0, 5.0, 5.0, 5.0)).status == "fail"
    assert policy.entropy(supervised(*falling)).status == "unknown"


def test_a_measure_that_stands_still_while_the_weights_move():
    assert policy.metric_frozen(history(9, *[{"policy/entropy": 0.0}] * 5)).status == "fail"
    assert policy.metric_frozen(history(9, *[{"policy/nll": 0.2}] * 4)).status == "pass"
    assert policy.metric_frozen(history(9, *[{"policy/nll": 0.2, "grad_norm": 0.0}] * 5)).status == "unknown"
