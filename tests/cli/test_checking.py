import argparse
import json

import pytest

from trueloop.cli import checking
from trueloop.cli.entry import main
from trueloop.errors import ConfigError
from trueloop.records import CheckResult


def asked(*, allow=(), because=()):
    return argparse.Namespace(allow=list(allow), because=list(because))


def test_each_allowance_needs_its_reason():
    assert checking.allowances(asked(allow=["a", "b"], because=["x", "y"])) == {"a": "x", "b": "y"}
    with pytest.raises(ConfigError, match="2 --allow and 1 --because"):
        checking.allowances(asked(allow=["a", "b"], because=["x"]))


def test_a_name_that_no_check_has_is_told_with_the_nearest(capsys):
    assert main(["check", "arithmetic", "--allow", "liveness.tensor_moved", "--because", "a test"]) == 2
    assert "did you mean liveness.tensors_moved?" in capsys.readouterr().err


def test_only_what_is_not_right_is_shown_before_a_run(capsys):
    gate = checking.open_gate(asked(allow=["liveness.tensors_moved"], because=["a test"]))
    gate.take([CheckResult(id="a.b", status=s, evidence=f"is {s}") for s in ("pass", "unknown", "warn")])
    gate.take([CheckResult(id="liveness.tensors_moved", status="fail", evidence="stands")])
    said = capsys.readouterr().err.splitlines()
    assert said == ["WARN a.b: is warn", "FAIL liveness.tensors_moved: stands (allowed: a test)"]
    assert not gate.refusals()


def test_every_check_is_listed(capsys):
    assert main(["checks"]) == 0
    assert "liveness.tensors_moved (before)" in capsys.readouterr().out


def test_the_table_of_a_check_and_its_json(capsys, monkeypatch):
    class Recipe:
        """Asks two checks."""

        @staticmethod
        def run(config, resolved, out, resume, gate):
            gate.take([CheckResult(id="a.fine", status="pass", evidence="all 3")])
            gate.take([CheckResult(id="a.bad", status="fail", evidence="0 of 3", advice="set a.b")])

    class Resolved:
        """No configuration."""

        config = None

    monkeypatch.setattr(checking, "resolved_of", lambda arguments: (Recipe, Resolved))
    assert main(["check", "anything"]) == 1
    out = capsys.readouterr().out
    assert "FAIL  a.bad" in out and "-> set a.b" in out and "2 results: 1 pass, 1 fail" in out
    assert main(["check", "anything", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [(r["id"], r["status"]) for r in rows] == [("a.fine", "pass"), ("a.bad", "fail")]


def test_every_fault_is_listed(capsys):
    assert main(["faults"]) == 0
    assert "optimizer_never_steps (frozen weights; run: rlvr)" in capsys.readouterr().out
