"""Each check of the flow: a healthy run passes, the mistake does not, too little is unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from running_rows import SETUP, healthy, history
from trueloop.checks.running import flow
from trueloop.checks.running.seen import Seen

ALL = (
    flow.version_lag,
    flow.trained,
    flow.ledger,
    flow.buffer,
    flow.failed,
    flow.lost,
    flow.filtered,
    flow.verdicts,
)


def test_a_healthy_run_passes_at_every_step():
    seen = Seen(SETUP)
    for step in range(1, 60):
        seen.add(healthy(step))
        assert {ask(seen).status for ask in ALL} <= {"pass", "unknown"}
    assert {ask(seen).status for ask in ALL} == {"pass"}


@pytest.mark.parametrize("ask", [*ALL, flow.stale])
def test_a_run_that_samples_nothing_is_not_asked(ask):
    seen = Seen(SETUP)
    seen.add({"step": 1, "version": 1, "loss": 1.0})
    assert ask(seen).status == "unknown"


def test_rollouts_older_than_promised_fail():
    assert flow.version_lag(history(3, {"rollouts/lag": 1.0})).status == "fail"
    ahead = replace(SETUP, max_staleness=2)
    assert flow.version_lag(history(3, {"rollouts/lag": 2.0}, setup=ahead)).status == "pass"
    assert flow.version_lag(history(3, {"flow/lag_max": 3.0}, setup=ahead)).status == "fail"


def test_rollouts_that_do_not_train():
    assert flow.trained(history(3, {"rollouts/untrained": 0.2})).status == "warn"
    assert flow.trained(history(3, *[{"rollouts/untrained": 0.2}] * 2)).status == "fail"


@pytest.mark.parametrize(
    "changed", [{"fates/used": 17.0}, {"fates/used": 25.0}, {"fates/filtered": -1.0}, {"fates/open": 2.0}]
)
def test_accounts_that_do_not_add_up_fail(changed):
    assert flow.ledger(history(3, changed)).status == "fail"


def test_more_open_groups_than_fit_fail():
    assert flow.buffer(history(3, {"fates/open": 9.0})).status == "fail"


def test_attempts_that_fail():
    assert flow.failed(history(20, {"fates/failed": 8.0})).status == "warn"
    assert flow.failed(history(20, {"fates/failed": 200.0})).status == "fail"


def test_problems_that_are_given_up():
    assert flow.lost(history(3, {"flow/lost": 1.0})).status == "warn"
    assert flow.lost(history(3, *[{"flow/lost": 1.0}] * 2)).status == "fail"


def test_groups_too_old_to_use():
    ahead = replace(SETUP, max_staleness=1)
    assert flow.stale(history(20, setup=ahead)).status == "pass"
    assert flow.stale(history(20, {"fates/stale": 40.0}, setup=ahead)).status == "warn"
    assert flow.stale(history(20, {"fates/stale": 400.0}, setup=ahead)).status == "fail"


def test_groups_filtered_by_reason():
    assert flow.filtered(history(20, {"fates/filtered": 30.0})).status == "warn"
    assert flow.filtered(history(20, {"fates/filtered": 200.0})).status == "fail"
    flat = {"fates/filtered": 200.0, "filtered/zero_variance": 200.0}
    assert flow.filtered(history(20, flat)).status == "pass"
    assert flow.filtered(history(20, {k: 3 * v for k, v in flat.items()})).status == "warn"


def test_completions_without_a_verdict():
    assert flow.verdicts(history(20, {"rollouts/without_verdict": 12.0})).status == "warn"
    assert flow.verdicts(history(20, {"rollouts/without_verdict": 64.0, "rollouts/scored": 0.0})).status == "fail"
