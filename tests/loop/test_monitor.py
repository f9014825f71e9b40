"""The monitor: what it writes, once; what it says at the end; and that a restored one goes on alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from running_rows import SETUP, healthy
from trueloop.checks.running import resources
from trueloop.loop import monitor as module
from trueloop.loop.monitor import Monitor
from trueloop.records import CheckResult
from trueloop.store.run import Run
from trueloop.verify.stats import VerifierStats


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    made = Run.create(tmp_path / "run", recipe="rlvr", config={}, difference={}, seed=0, data={})
    yield made
    made.close()


def drive(monitor: Monitor, run: Run, steps: range, **changed: dict[str, Any]) -> list[tuple[int, CheckResult]]:
    said = []
    for step in steps:
        row = {**healthy(step), **changed.get(f"at{step}", {})}
        run.write_step(row, ())
        for result in monitor.after_step(row, run):
            run.add_check(result, step)
            said.append((step, result))
    return said


def test_a_healthy_run_says_nothing_and_at_its_end_how_often_each_check_passed(run: Run):
    monitor = Monitor(replace(SETUP, every=1000))
    assert drive(monitor, run, range(1, 21)) == []
    ended = {result.id: result for result in monitor.end(run, 20)}
    assert {result.status for result in ended.values()} == {"pass"}
    assert ended["optimizer.finite"].evidence == "passed 20 times"
    assert ended["optimizer.gradient_spike"].evidence == "passed 12 times"


def test_a_warn_is_said_once_and_counted_and_a_fail_said_even_so(run: Run):
    spike = {"grad_norm": 7.0}
    said = drive(Monitor(replace(SETUP, every=1000)), run, range(1, 31), at12=spike, at18=spike, at24=spike, at25=spike)
    assert [(step, r.id, r.status) for step, r in said] == [
        (12, "optimizer.gradient_spike", "warn"),
        (25, "optimizer.gradient_spike", "fail"),
    ]
    assert said[1][1].refuses


def test_the_last_rows_count_the_warns(run: Run):
    monitor = Monitor(replace(SETUP, every=1000))
    drive(monitor, run, range(1, 31), at12={"grad_norm": 7.0}, at18={"grad_norm": 7.0})
    found = {result.id: result for result in monitor.end(run, 30)}["optimizer.gradient_spike"]
    assert (found.status, found.advice, found.value) == ("warn", "", {"asked": 22, "wrong": 2})
    assert found.evidence == "warn 2 of 22 times, steps 12 to 18"
    for result in monitor.end(run, 30):
        run.add_check(result, 30)
    assert monitor.end(run, 30) == []


def test_an_allowed_fail_does_not_refuse(run: Run):
    monitor = Monitor(replace(SETUP, every=1000), allow={"optimizer.finite": "known"})
    said = drive(monitor, run, range(1, 4), at3={"loss": float("inf")})
    assert [(r.id, r.allowed, r.refuses) for _, r in said] == [("optimizer.finite", "known", False)]


def test_a_restored_monitor_goes_on_as_if_never_stopped(run: Run, tmp_path: Path):
    changed: dict[str, Any] = {f"at{k}": {"grad_norm": 7.0, "reward/all": 0.01} for k in (12, 18, 19, 26)}
    whole = Monitor(replace(SETUP, every=1000))
    drive(whole, run, range(1, 16), **changed)
    run.add_evaluation({"strict": {"mean": 0.5, "se": 0.01}}, 15)
    whole.after_evaluation({"strict": {"mean": 0.5, "se": 0.01}}, 15)
    resumed = Monitor(replace(SETUP, every=1000))
    resumed.restore(run)
    other = SimpleNamespace(checks=run.checks, path=run.path, checkpoints=run.checkpoints)
    for step in range(16, 30):
        row = {**healthy(step), **changed.get(f"at{step}", {})}
        assert whole.after_step(row, run) == resumed.after_step(row, other)  # type: ignore[arg-type]
    assert [asdict(r) for r in whole.end(run, 29)] == [asdict(r) for r in resumed.end(run, 29)]
    assert whole.seen.evaluations[-1]["strict"] == resumed.seen.evaluations[-1]["strict"]


def test_what_was_asked_elsewhere_is_said_when_it_gets_worse(run: Run):
    monitor = Monitor(SETUP)
    warn, fail = (CheckResult(id="served.x", status=s) for s in ("warn", "fail"))
    passing = CheckResult(id="served.x", status="pass")
    assert monitor.beside([passing]) == []
    assert monitor.beside([warn]) == [warn] and monitor.beside([warn]) == []
    assert monitor.beside([fail]) == [fail] and monitor.beside([warn, fail]) == []
    run.add_check(warn, 1)
    again = Monitor(SETUP)
    again.restore(run)
    assert again.beside([warn]) == [] and again.beside([fail]) == [fail]


def test_a_run_that_trained_nothing_fails_at_its_end(run: Run):
    monitor = Monitor(replace(SETUP, every=1000))
    drive(monitor, run, range(1, 3), at1={"version": 0}, at2={"version": 0})
    assert [r.id for r in monitor.end(run, 2) if r.refuses] == ["optimizer.trained"]


def test_seconds_of_verdicts_are_taken_from_one_step_to_the_next(run: Run):
    stats = VerifierStats()
    monitor = Monitor(replace(SETUP, every=1000), verifiers={"sums": stats})
    said: list[str] = []
    for step in range(1, 9):
        for _ in range(20):
            stats.calls += 1
            stats.seconds.append(0.001 if step < 7 else 0.3)
        said += [r.id for r in monitor.after_step(healthy(step), run)]
    assert said == ["resources.verifier_seconds"]


def test_a_disk_that_fills_up_is_seen(run: Run, monkeypatch: pytest.MonkeyPatch):
    run.checkpoints.save(1, lambda folder: (folder / "x").write_bytes(b"0" * 5000) and None)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    said = drive(Monitor(SETUP), run, range(1, 6))
    assert [(step, r.id, r.status) for step, r in said if r.id != "resources.checkpoint_age"] == [
        (5, "resources.disk", "fail")
    ]


def test_the_memory_of_this_machine_is_known_or_unknown():
    available, total = module._memory()
    assert resources.memory(available, total).status in ("pass", "warn", "fail", "unknown")
    assert available is None or total is None or 0 < available <= total
