"""Each fault in a finished run's directory gets its diagnosis first; the healthy run gets none of them."""

import json

import pytest

from doctor_toys import healthy_run
from trueloop.doctor import examine
from trueloop.faults.outcome import SPOILED, change_rollouts, change_rows, change_status, diagnosed
from trueloop.store.trace import read_rollouts


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    return healthy_run(tmp_path_factory.mktemp("healthy") / "run")


def test_the_healthy_run_is_healthy(healthy):
    report = examine(healthy)
    assert [d.id for d in report.diagnoses] == ["healthy"]
    assert [r.id for r in report.asked if r.status in ("fail", "warn")] == []


@pytest.mark.parametrize("fault", SPOILED, ids=lambda f: f.id)
def test_a_spoiled_run_is_diagnosed(fault, healthy, tmp_path):
    found = diagnosed(fault, healthy, tmp_path / "run")
    assert found[0] == fault.diagnosis, found


def test_rows_and_rollouts_are_really_changed(healthy, tmp_path):
    copy = healthy_run(tmp_path / "run")
    change_rows(copy / "metrics.jsonl", lambda row: {**row, "lr": 7.0} if row["step"] > 1 else None)
    rows = [json.loads(line) for line in (copy / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(2, 21)) and {row["lr"] for row in rows} == {7.0}
    change_rollouts(copy, lambda row: {**row, "reward": 0.25})
    assert {row["reward"] for row in read_rollouts(copy)} == {0.25}
    change_status(copy, state="failed")
    assert json.loads((copy / "status.json").read_text())["state"] == "failed"
