"""Runs held side by side: what differs besides the named key, and seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from doctor_toys import healthy_run
from trueloop.doctor import examine
from trueloop.doctor.beside import beside


def another(path: Path, *, config: dict[str, Any] | None = None, **changes: Any) -> Path:
    run = healthy_run(path)
    info = json.loads((run / "run.json").read_text())
    info["config"] |= config or {}
    (run / "run.json").write_text(json.dumps(info | changes))
    return Path(run)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return another(tmp_path / "run")


def statuses(run: Path, other: Path, *varies: str) -> dict[str, str]:
    return {result.id.removeprefix("outcome."): result.status for result in beside(run, [other], varies)}


def test_the_same_run_with_other_seeds(run: Path, tmp_path: Path) -> None:
    others = [another(tmp_path / f"seed{k}", seed=k, config={"seed": k}) for k in (1, 2)]
    assert [r.status for r in beside(run, others, [])] == ["pass", "pass"]
    assert examine(run, others).healthy


def test_the_same_seed_twice(run: Path, tmp_path: Path) -> None:
    report = examine(run, [another(tmp_path / "again")])
    assert [d.id for d in report.diagnoses] == ["one-run-counted-twice"]


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {"optim": {"lr": 1.0}, "draw": {"temperature": 0.5}}},
        {"config": {"optim": {"lr": 1.0}}, "data": {"sums/train": "e"}},
        {"config": {"optim": {"lr": 1.0}}, "commit": "f00"},
        {"config": {"optim": {"lr": 1.0}}, "packages": {"torch": "1"}},
        {"config": {"optim": {"lr": 1.0}}, "recipe": "distill"},
        {"config": {}},
    ],
)
def test_arms_that_differ_in_more_or_not_at_all(run: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    other = another(tmp_path / "other", **changes)
    assert statuses(run, other, "optim.lr") == {"only_the_named_key_differs": "fail"}
    assert examine(run, [other], ["optim.lr"]).diagnoses[0].id == "arms-differ-in-more"


def test_arms_that_differ_as_they_should(run: Path, tmp_path: Path) -> None:
    other = another(tmp_path / "other", config={"optim": {"lr": 1.0}, "expects": "policy-collapsed"}, seed=3)
    assert statuses(run, other, "optim") == {"only_the_named_key_differs": "pass"}
    assert examine(run, [other], ["optim"]).healthy
