import pytest

from trueloop.errors import CheckFailed, ConfigError, DataError
from trueloop.preflight.gate import Gate, refusal
from trueloop.records import CheckResult

BAD = CheckResult(id="liveness.downhill", status="fail", evidence="uphill", advice="turn round")
GOOD = CheckResult(id="liveness.tensors_moved", status="pass")


def test_a_fail_refuses_with_its_evidence_and_how_to_go_on():
    gate = Gate()
    gate.take([GOOD, BAD])
    with pytest.raises(CheckFailed, match=r"liveness\.downhill: uphill\n.*turn round\n.*--allow liveness\.downhill"):
        gate.require()
    assert gate.refusals() == [BAD] and refusal([BAD]).startswith("1 check says")


def test_what_is_allowed_is_let_through_and_marked():
    shown = []
    gate = Gate(allow={"liveness.downhill": "an experiment"}, show=shown.append)
    gate.take([BAD])
    gate.require()
    assert shown == gate.results and shown[0].allowed == "an experiment" and not gate.refusals()
    assert gate.inner().allow == gate.allow and not gate.inner().results


def test_only_checks_never_raise():
    gate = Gate(only=True)
    gate.take([BAD])
    gate.require()
    assert gate.refusals()


def test_an_allowance_needs_a_known_check_and_a_reason():
    with pytest.raises(ConfigError, match=r"did you mean liveness\.downhill"):
        Gate(allow={"liveness.downhil": "because"})
    with pytest.raises(ConfigError, match="without a reason"):
        Gate(allow={"liveness.downhill": " "})


def test_an_error_on_the_way_is_a_result_and_a_bug_is_not():
    gate = Gate()
    with gate.trying():
        raise DataError("no rows")
    assert [(r.id, r.status, r.evidence) for r in gate.results] == [("liveness.first_step", "fail", "no rows")]
    with pytest.raises(ZeroDivisionError), gate.trying():
        1 / 0  # noqa: B018
    with pytest.raises(CheckFailed), gate.trying():
        raise CheckFailed("by another check")


def test_a_first_step_is_told_once():
    gate = Gate()
    for _ in range(2):
        with gate.trying():
            pass
    assert [(r.id, r.status) for r in gate.results] == [("liveness.first_step", "pass")]


class Written:
    def __init__(self):
        self.rows = []

    def add_check(self, result, step):
        self.rows.append((result.id, step))


def test_each_result_is_written_once_and_counted_aloud():
    said = []
    gate, run = Gate(say=said.append), Written()
    gate.take([GOOD])
    gate.decide(run, begins=False)
    assert not run.rows and not said
    gate.decide(run, begins=True)
    gate.decide(run, begins=True)
    assert run.rows == [("liveness.tensors_moved", 0)] and said[0] == "checks: 1 results: 1 pass"


def test_a_refused_run_holds_what_was_asked():
    gate, run = Gate(), Written()
    gate.take([GOOD, BAD])
    with pytest.raises(CheckFailed):
        gate.decide(run, begins=False)
    assert [id for id, _ in run.rows] == ["liveness.tensors_moved", "liveness.downhill"]
