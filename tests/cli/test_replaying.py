"""What the command replay prints of a step, and its exit code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trueloop.cli.entry import main
from trueloop.recipes import replay as recipe
from trueloop.recipes.replay import Replay, Row, Taken
from trueloop.train.step import Contribution

ROWS = tuple(
    Row(brought=Contribution(stream="policy", id=f"r{k}", loss=0.1 * k, norm=3.0 - k), texts=(f"Q: {k}⟶{'x' * 900}",))
    for k in range(3)
)
STEP = Taken(row={"loss": 0.5, "grad_norm": 2.25}, weights="abc")
FOUND = Replay(step=7, began=5, taken=STEP, recorded=STEP, differences=(), rows=ROWS)


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def command(found: Replay, *arguments: str) -> tuple[int, str, dict[str, object]]:
        asked: dict[str, object] = {}

        def replay(place: Path, **kwargs: object) -> Replay:
            asked.update(kwargs, place=place)
            return found

        monkeypatch.setattr(recipe, "replay", replay)
        return main(["replay", "runs/a", *arguments]), capsys.readouterr().out, asked

    return command


def test_a_step_that_is_the_same(printed):
    code, out, asked = printed(FOUND, "--at", "7", "--rows", "2")
    assert (code, asked) == (0, {"place": Path("runs/a"), "at": 7, "drop": []})
    assert "step 7, repeated from step 5: loss 0.5, gradient norm 2.25, weights abc" in out
    assert "the same as in the run, bit by bit: loss, gradient norm, metrics and weights" in out
    assert "policy/r0: gradient norm 3 (50% of the sum over rows), loss 0" in out
    assert "r1" in out and "r2" not in out
    assert all(len(line) < 450 for line in out.splitlines())


def test_a_step_that_is_not_the_same(printed):
    code, out, _ = printed(replace(FOUND, differences=("step 6: loss was 1 and is 2",), began=0))
    assert code == 1
    assert "repeated from the start" in out
    assert "NOT the same in 1 places:\n  step 6: loss was 1 and is 2" in out


def test_an_error_again_and_the_step_without_its_row(printed):
    failed = Taken(error="row r0 is inf")
    row = Row(brought=Contribution(stream="policy", id="r0", loss=None, norm=None, why="loss is inf"), texts=("a⟶b",))
    found = replace(FOUND, taken=failed, recorded=failed, why="row r0 is inf", rows=(row,), without=STEP)
    code, out, asked = printed(found, "--drop", "r0")
    assert (code, asked["drop"]) == (0, ["r0"])
    assert "error: row r0 is inf" in out and "what ended it in the run: row r0 is inf" in out
    assert "bit by bit: error" in out
    assert "policy/r0: loss is inf" in out
    assert "without r0: loss 0.5" in out


def test_a_killed_step(printed):
    code, out, _ = printed(replace(FOUND, recorded=None))
    assert code == 0
    assert "killed before it wrote this step down" in out


def test_a_directory_that_is_no_run(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["replay", str(tmp_path)]) == 1
    assert "not a run directory" in capsys.readouterr().err
