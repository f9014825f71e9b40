"""A failed step's bundle: laid out like a run, complete, and cheap."""

from __future__ import annotations

from pathlib import Path

from trueloop.records import CheckResult
from trueloop.store.batches import Recorded
from trueloop.store.bundle import KEPT, bundles, failure_of, write_bundle
from trueloop.store.run import Run

BATCH = [Recorded(name="sft", settings={"coefficient": 1.0})]


def begun(path: Path, steps: int = 4, checkpoint: int | None = 2) -> Run:
    run = Run.create(path, recipe="test", config={"seed": 1}, difference={}, seed=1, data={})
    for step in range(1, steps + 1):
        run.recent.write(step, BATCH)
        run.write_step({"step": step, "loss": float(step)}, [])
        run.add_liveness({"weights": f"w{step}"}, step)
        if step == checkpoint:
            run.checkpoints.save(step, lambda place: (place / "weights").write_bytes(b"w" * 1000) and None)
    run.add_check(CheckResult(id="a.b", status="fail"), steps)
    return run


def test_a_bundle_has_the_checkpoint_and_all_since(tmp_path: Path) -> None:
    with begun(tmp_path / "run") as run:
        path = write_bundle(run, 4, {"why": "it broke", "error": "TrainingError"})
        assert path == tmp_path / "run/failures/step-000004"
        assert failure_of(path) == {"step": 4, "checkpoint": 2, "why": "it broke", "error": "TrainingError"}
        found = Run.open(path)
        assert [c.step for c in found.checkpoints.all()] == [2]
        assert list(found.recent.steps()) == [3, 4]
        assert [row["loss"] for row in found.metrics()] == [3.0, 4.0]
        assert [row["weights"] for row in found.liveness()] == ["w3", "w4"]
        assert [row["id"] for row in found.checks()] == ["a.b"]
        assert found.info == run.info
        latest = found.checkpoints.latest()
        assert latest is not None
        assert (latest.path / "weights").samefile(run.path / "checkpoints/step-000002/weights")


def test_a_bundle_outlives_what_the_run_prunes(tmp_path: Path) -> None:
    with begun(tmp_path / "run") as run:
        path = write_bundle(run, 4, {"why": ""})
        run.rewind(0)
    found = Run.open(path)
    assert list(found.recent.steps()) == [3, 4]
    assert found.checkpoints.latest() is not None


def test_without_a_checkpoint_it_begins_at_the_start(tmp_path: Path) -> None:
    with begun(tmp_path / "run", checkpoint=None) as run:
        path = write_bundle(run, 3, {"why": ""})
    assert (failure_of(path) or {})["checkpoint"] is None
    assert list(Run.open(path).recent.steps()) == [1, 2, 3]


def test_the_newest_bundles_stay(tmp_path: Path) -> None:
    with begun(tmp_path / "run", steps=KEPT + 2, checkpoint=None) as run:
        for step in (1, 2, 1, *range(3, KEPT + 3)):
            write_bundle(run, step, {"why": f"{step}"})
    assert [p.name for p in bundles(run.path)] == [f"step-{step:06d}" for step in range(3, KEPT + 3)]
    assert failure_of(run.path) is None
