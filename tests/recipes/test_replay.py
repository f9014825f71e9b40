"""A recorded step, taken again: the same to the bit, from finished, failed and killed runs, whatever was trained."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trueloop.config import load
from trueloop.errors import DataError, StoreError, TrainingError
from trueloop.faults import seams
from trueloop.loop.loop import Loop
from trueloop.preflight.gate import Gate
from trueloop.recipes import rlvr, sft
from trueloop.recipes.replay import Replay, replay
from trueloop.store.bundle import bundles
from trueloop.store.run import Run
from trueloop.train.batch import Stream
from trueloop.train.step import Trainer

SFT = ["rows_per_step=4", "loop={steps=5, checkpoint_every=2}", "optim.lr=1e-2", "guard.every=5", "guard.problems=2"]
RLVR = [
    'tasks.parts=[{task={kind="arithmetic", lowest=0, highest=6, held_out=0.1, max_tokens=24}}]',
    'tasks.kind="weighted"',
    'model.kind="tiny"',
    'flow={problems_per_step=2, samples={kind="fixed", n=2}}',
    "loop={steps=4, checkpoint_every=2}",
    "loop.liveness.probe_every=1",
    "optim.lr=1e-2",
    "sft_mix={rows_per_step=3, coefficient=1.0}",
]


class Lenient(Gate):
    """Lets every run begin: these train a few steps of a random model."""

    def require(self) -> None:
        return None


def supervised(out: Path, *overrides: str) -> Path:
    resolved = load(sft.Config, "sft/arithmetic", [*SFT, *overrides])
    sft.run(resolved.config, resolved, out, False, Lenient())
    return out


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return supervised(tmp_path_factory.mktemp("finished") / "run")


def at_step(k: int, act: Callable[[Sequence[Stream]], Sequence[Stream]]) -> Any:
    """Something else is given to the `k`-th step."""

    def changed(trainer: Trainer) -> None:
        loop_steps = trainer.step

        def step(streams: Sequence[Stream]) -> Any:
            return loop_steps(act(streams) if trainer.steps == k - 1 else streams)

        trainer.step = step  # type: ignore[method-assign]

    return seams.trainer(changed)


def same(found: Replay) -> bool:
    return found.differences == () and found.recorded is not None


def test_the_last_step_of_a_finished_run_is_the_same(finished: Path) -> None:
    found = replay(finished)
    assert same(found)
    assert (found.step, found.began) == (5, 4)
    assert found.taken.row is not None and found.taken.row["loss"] == Run.open(finished).metrics()[-1]["loss"]
    assert found.taken.weights == Run.open(finished).liveness()[-1]["weights"]


def test_a_row_is_named_with_its_text_and_can_be_dropped(finished: Path) -> None:
    found = replay(finished)
    norms = [row.brought.norm or 0.0 for row in found.rows]
    assert len(norms) == 4 and norms == sorted(norms, reverse=True) and norms[-1] > 0
    assert found.rows[0].texts[0].startswith("Q: ")
    assert sum(row.brought.loss or 0.0 for row in found.rows) == pytest.approx(found.taken.row["loss"], rel=1e-5)  # type: ignore[index]
    dropped = replay(finished, drop=[found.rows[0].brought.id])
    assert same(dropped)
    assert dropped.without is not None and dropped.without.row is not None
    assert dropped.without.row["sft/rows"] == 3
    with pytest.raises(DataError, match="did you mean"):
        replay(finished, drop=["arithmetic-0"])


def test_a_step_that_was_recorded_otherwise_is_told(finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    text = (copy / "metrics.jsonl").read_text()
    norm = str(Run.open(copy).metrics()[-1]["grad_norm"])
    (copy / "metrics.jsonl").write_text(text.replace(norm, "0.5"))
    found = replay(copy)
    assert found.differences == (f"step 5: grad_norm was 0.5 and is {norm}",)


def test_what_was_not_kept_is_refused(finished: Path) -> None:
    with pytest.raises(StoreError, match="step 2 cannot be repeated: recorded are the steps 5,"):
        replay(finished, at=2)


def test_a_step_that_fails_fails_again_and_its_row_is_named(tmp_path: Path) -> None:
    def broken(config: sft.Config) -> Any:
        def streams(samples: Any, step: int, **kwargs: Any) -> list[Stream]:
            bad = replace(samples[1], weights=tuple(float("inf") * w if w else w for w in samples[1].weights))
            return original([samples[0], bad, *samples[2:]] if step == 4 else samples, step, **kwargs)

        return streams

    original = sft.streams
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sft, "streams", broken(sft.Config))  # type: ignore[arg-type]
        with pytest.raises(TrainingError):
            supervised(tmp_path / "run")
    (bundle,) = bundles(tmp_path / "run")
    for place in (bundle, tmp_path / "run"):
        found = replay(place)
        assert same(found)
        assert (found.step, found.began) == (4, 2)
        assert found.taken.error is not None and found.taken.error == found.why
        assert found.rows[0].brought.norm is None
        without = replay(place, drop=[found.rows[0].brought.id]).without
        assert without is not None and without.error is None


def test_a_step_that_a_kill_cut_off_is_taken_without_a_comparison(tmp_path: Path) -> None:
    def die(streams: Sequence[Stream]) -> Sequence[Stream]:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "_save_failure", lambda self, step, why: None)
        with at_step(4, die), pytest.raises(KeyboardInterrupt):
            supervised(tmp_path / "run")
    found = replay(tmp_path / "run")
    assert (found.step, found.recorded, found.differences) == (4, None, ())
    assert found.taken.row is not None and found.taken.row["grad_norm"] > 0
    assert same(replay(tmp_path / "run", at=3))


def test_steps_before_the_first_checkpoint_are_repeated_from_the_start(tmp_path: Path) -> None:
    out = supervised(tmp_path / "run", "loop={steps=2, checkpoint_every=2}", "guard.every=2")
    shutil.rmtree(out / "checkpoints/step-000000")
    found = replay(out, at=2)
    assert same(found)
    assert found.began == 0


SETTINGS = {
    "reference": ["kl={coefficient=0.1, refresh_every=2}"],
    "adapter": ['adapter={kind="lora", rank=2, alpha=4, dropout=0.1}', 'kl={coefficient=0.1, where="reward"}'],
    "ahead": ["flow={max_staleness=2, max_reads=2}", 'reduction={kind="fixed_length", length=24}'],
}


@pytest.mark.parametrize("name", SETTINGS)
def test_steps_of_sampled_runs_are_the_same(tmp_path: Path, name: str) -> None:
    resolved = load(rlvr.Config, "rlvr/grpo", [*RLVR, *SETTINGS[name]])
    rlvr.run(resolved.config, resolved, tmp_path / "run", False, Lenient())
    for step in (3, 4):
        found = replay(tmp_path / "run", at=step)
        assert same(found)
        assert found.taken.row is not None and found.taken.row["grad_norm"] > 0
