import pytest

from trueloop.checks.outcome import ending
from trueloop.records import CheckResult


@pytest.mark.parametrize(
    ("state", "status"),
    [("finished", "pass"), ("running", "unknown"), ("interrupted", "warn"), ("failed", "fail"), ("killed", "fail")],
)
def test_ended(state, status):
    assert ending.ended_well(state, "why", 3, 9).status == status


def test_disk_and_memory():
    assert ending.disk("OSError: [Errno 28] No space left on device", True).status == "fail"
    assert ending.disk("all steps done", True).status == "pass"
    assert ending.disk("", False).status == "unknown"
    assert ending.memory("CUDA out of memory", "failed").status == "fail"
    assert [ending.memory("", s).status for s in ("killed", "finished", "running")] == ["warn", "pass", "unknown"]


def test_standstill():
    assert ending.kept_moving("", "").status == "pass"
    assert ending.kept_moving("nothing has moved for 9 s\n", "").status == "warn"
    assert ending.kept_moving("", "EngineError: nothing has moved for 99 s").status == "fail"


def test_failing_batches_name_the_command():
    assert ending.steps_taken_whole([]).status == "pass"
    found = ending.steps_taken_whole(["runs/a/failures/step-3"])
    assert (found.status, found.advice) == ("fail", "trueloop replay runs/a/failures/step-3")


def test_overrides():
    fine, allowed = CheckResult(id="a.b", status="pass"), CheckResult(id="c.d", status="fail", allowed="a control")
    assert ending.nothing_overridden([fine]).status == "pass"
    assert "c.d (a control)" in ending.nothing_overridden([fine, allowed]).evidence
    assert ending.nothing_overridden([]).status == "unknown"


def test_resumes():
    assert ending.one_code([{"step": 3, "config": {}, "code": []}]).status == "pass"
    changed = ending.one_code([{"step": 3, "config": {"optim.lr": [1, 2]}, "code": ["commit"]}])
    assert changed.status == "warn" and "step 3: optim.lr, commit" in changed.evidence


def test_warm_start():
    assert ending.warm_start_reached("finished", "", 0.5, 0.4).status == "pass"
    assert ending.warm_start_reached("finished", "", 0.3, 0.4).status == "warn"
    assert ending.warm_start_reached("failed", "", None, 0.4).status == "fail"
    assert ending.warm_start_reached("running", "", None, 0.4).status == "unknown"


def test_declared_diagnosis():
    assert ending.as_expected(["a", "b"], "a").status == "pass"
    assert ending.as_expected(["a", "b"], "b").status == ending.as_expected(["healthy"], "a").status == "fail"


def test_named_keys():
    check = ending.only_the_named_key_differs
    assert check(["optim.lr", "seed"], ["optim"]).status == "pass"
    assert check(["optim.lr", "engine.dtype"], ["optim.lr"]).status == "fail"
    assert check([], ["optim.lr"]).status == "fail"


def test_seeds():
    assert [ending.seeds(s).status for s in ([1], [1, 2, 3], [1, 1, 2])] == ["unknown", "pass", "fail"]


def test_a_run_that_a_check_stopped():
    assert ending.not_refused("all 9 steps done").status == "pass"
    assert ending.not_refused("CheckFailed: step 9: rollouts.distinct: one text").status == "fail"
