"""The loop over a real trainer: what is written, when it stops, and that a resumed run is the run."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers import tiny_policy
from trueloop.checks.running.seen import Setup
from trueloop.errors import CheckFailed, TrainingError
from trueloop.formulas.reduce import token_mean
from trueloop.loop.feed import Fill, Offline
from trueloop.loop.loop import Ending, Loop, LoopConfig
from trueloop.loop.monitor import Monitor
from trueloop.loop.progress import Report
from trueloop.loop.stops import Guard, GuardConfig, Target
from trueloop.recipes.losses import Supervised
from trueloop.records import Sample
from trueloop.store.bundle import failure_of
from trueloop.store.run import Run, contents
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer

SAMPLES = [
    Sample(
        id=f"s{k}",
        tokens=(2 + k, 3, 4 + k, 1),
        loss_mask=(False, False, True, True),
        weights=(0.0, 0.0, 1.0, 1.0),
    )
    for k in range(10)
]


def supervised(samples: Sequence[Sample], step: int) -> list[Stream]:
    return [Stream(name="sft", samples=samples, loss=Supervised(), reduction=token_mean)]


class Fixture:
    """One process's life: a fresh policy and trainer over a run directory."""

    def __init__(
        self,
        path: Path,
        *,
        steps: int = 6,
        guard: Callable[[Fixture], Guard] | None = None,
        streams: Callable[[Sequence[Sample], int], Sequence[Stream]] = supervised,
    ) -> None:
        self.policy = tiny_policy()
        self.trainer = Trainer(self.policy, Optim(lr=1e-2), Batching())
        self.store = _open(path)
        self.loop = Loop(
            LoopConfig(steps=steps, checkpoint_every=2),
            run=self.store,
            trainer=self.trainer,
            feed=Offline(SAMPLES, per_step=4, seed=3, streams=streams),
            title="test",
            guard=guard(self) if guard else None,
        )

    def go(self) -> Ending:
        with self.store:
            self.loop.resume()
            ending = asyncio.run(self.loop.go())
            self.store.finish("interrupted" if ending.outcome == "interrupted" else "finished", ending.why)
            return ending

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: p.detach().clone() for name, p in self.policy.trainable().items()}


def _open(path: Path) -> Run:
    if (path / "run.json").exists():
        return Run.resume(path, config={}, data={})
    return Run.create(path, recipe="test", config={}, difference={}, seed=3, data={})


def same_weights(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def dies_at(step: int) -> Callable[[Sequence[Sample], int], Sequence[Stream]]:
    """Streams that end the process's life, as a kill would, while `step` is being filled."""

    def streams(samples: Sequence[Sample], now: int) -> Sequence[Stream]:
        if now == step:
            raise KeyboardInterrupt
        return supervised(samples, now)

    return streams


@pytest.mark.parametrize("step", [1, 2, 3, 5, 6])
def test_a_run_that_died_goes_on_bit_by_bit(tmp_path: Path, step: int) -> None:
    whole = Fixture(tmp_path / "whole")
    whole.go()
    with pytest.raises(KeyboardInterrupt):
        Fixture(tmp_path / "died", streams=dies_at(step)).go()
    resumed = Fixture(tmp_path / "died")
    resumed.go()
    assert same_weights(whole.weights(), resumed.weights())
    assert contents(tmp_path / "whole") == contents(tmp_path / "died")


def test_a_signal_saves_at_once_and_the_resumed_run_is_the_same(tmp_path: Path) -> None:
    def streams(samples: Sequence[Sample], step: int) -> Sequence[Stream]:
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return supervised(samples, step)

    whole = Fixture(tmp_path / "whole")
    whole.go()
    ending = Fixture(tmp_path / "stopped", streams=streams).go()
    assert ending.outcome == "interrupted"
    assert 3 <= ending.step <= 4
    assert Run.open(tmp_path / "stopped").status()["state"] == "interrupted"
    latest = Run.open(tmp_path / "stopped").checkpoints.latest()
    assert latest is not None and latest.step == ending.step
    resumed = Fixture(tmp_path / "stopped")
    assert resumed.go().outcome == "completed"
    assert same_weights(whole.weights(), resumed.weights())


def silent_until(first: int) -> Callable[[Sequence[Sample], int], Sequence[Stream]]:
    """Streams whose weights are all zero before step `first`."""

    def streams(samples: Sequence[Sample], step: int) -> Sequence[Stream]:
        silent = [replace(s, weights=(0.0,) * len(s.tokens)) for s in samples]
        return supervised(samples if step >= first else silent, step)

    return streams


def in_flat_groups(fixture: Fixture) -> Fixture:
    """The fixture, whose feed says that in all its groups all rewards agree."""
    fill_step = fixture.loop.feed.next

    async def flat(step: int) -> Fill | None:
        fill = await fill_step(step)
        return replace(fill, metrics={"groups/flat": 1.0}) if fill is not None else None

    fixture.loop.feed.next = flat  # type: ignore[method-assign]
    return fixture


def test_a_run_in_which_nothing_was_trained_is_warned_of_early_and_fails_at_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fixture = in_flat_groups(Fixture(tmp_path / "run", streams=silent_until(99)))
    before = fixture.weights()
    with pytest.raises(CheckFailed, match="none of 6 steps changed a weight: in all their groups all rewards agree"):
        fixture.go()
    run = Run.open(tmp_path / "run")
    assert run.status()["state"] == "failed" and "none of 6 steps" in run.status()["why"]
    assert same_weights(before, fixture.weights())
    trained = [row for row in run.checks() if row["id"] == "optimizer.trained"]
    assert [(row["step"], row["status"]) for row in trained] == [(5, "warn"), (6, "fail")]
    assert "leniency" in trained[0]["advice"] and "flow.samples" in trained[0]["advice"]
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("warning: step 5: optimizer.trained: the latest 5 steps changed nothing") == 1


def test_a_fail_that_somebody_allowed_lets_the_run_end(tmp_path: Path) -> None:
    fixture = Fixture(tmp_path / "run", streams=silent_until(99))
    monitor = Monitor(Setup(steps=6, lr=1e-2, every=2), allow={"optimizer.trained": "a dry run"})
    fixture.loop._monitor = monitor
    ending = fixture.go()
    assert (ending.outcome, ending.why) == ("completed", "all 6 steps done; 6 of 6 steps changed nothing")
    last = [row for row in Run.open(tmp_path / "run").checks() if row["id"] == "optimizer.trained"][-1]
    assert (last["status"], last["allowed"]) == ("fail", "a dry run")


def test_steps_without_effect_are_counted_over_a_resume_and_one_with_effect_is_no_reason_to_warn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        Fixture(tmp_path / "run", streams=lambda s, step: dies_at(3)(s, step) and silent_until(4)(s, step)).go()
    ending = Fixture(tmp_path / "run", streams=silent_until(4)).go()
    assert ending.why == "all 6 steps done; 3 of 6 steps changed nothing"
    assert "warning" not in capsys.readouterr().err


def test_a_run_in_which_every_step_counts_says_nothing_of_it(tmp_path: Path) -> None:
    assert Fixture(tmp_path / "run").go().why == "all 6 steps done"


def test_a_fail_stops_the_run_keeps_the_last_good_checkpoint_and_saves_what_repeats_the_step(tmp_path: Path) -> None:
    fixture = Fixture(tmp_path / "run")
    step = fixture.trainer.step

    def broken(streams: Sequence[Stream]) -> Any:
        report = step(streams)
        return replace(report, loss=float("nan")) if fixture.trainer.steps == 4 else report

    fixture.trainer.step = broken  # type: ignore[method-assign]
    said = r"step 4: optimizer\.finite: not finite: loss = nan(.|\n)*good checkpoint is .*step-\d+; trueloop doctor"
    with pytest.raises(CheckFailed, match=said):
        fixture.go()
    run = Run.open(tmp_path / "run")
    assert [c.step for c in run.checkpoints.all()] == [2]
    assert run.status()["state"] == "failed"
    assert [(r["step"], r["id"]) for r in run.checks() if r["status"] == "fail"] == [(4, "optimizer.finite")]
    assert (tmp_path / "run/failures/step-000004/failure.json").is_file()


def test_the_progress_shows_every_phase_and_a_run_without_work_shows_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases: list[str] = []
    monkeypatch.setattr(Report, "phase", lambda self, name: phases.append(f"{self.done}: {name}"))
    Fixture(tmp_path / "run", guard=scores({0: 0.1, 2: 0.6, 4: 0.5, 6: 0.55})).go()
    assert phases[:6] == [
        "0: guard evaluation",
        "0: checkpoint",
        "0: refreshing interventions",
        "0: filling the step",
        "0: recording the batch",
        "0: optimizer step",
    ]
    assert phases[-2:] == ["5: guard evaluation", "5: checkpoint"]
    phases.clear()
    Fixture(tmp_path / "run", guard=scores({})).go()
    assert phases == []


def scores(values: dict[int, float], stop: Target | None = None) -> Callable[[Fixture], Guard]:
    def make(fixture: Fixture) -> Guard:
        async def evaluate() -> Mapping[str, Any]:
            return {"accuracy": {"mean": values[fixture.trainer.steps], "low": 0.0, "high": 1.0}}

        return Guard(GuardConfig(every=2, metric="accuracy", stop=stop), evaluate)

    return make


def test_the_guard_measures_before_training_and_chooses_the_best_checkpoint(tmp_path: Path) -> None:
    fixture = Fixture(tmp_path / "run", guard=scores({0: 0.1, 2: 0.6, 4: 0.5, 6: 0.55}))
    fixture.go()
    run = Run.open(tmp_path / "run")
    assert [(row["step"], row["accuracy"]["mean"]) for row in run.evaluations()] == [
        (0, 0.1),
        (2, 0.6),
        (4, 0.5),
        (6, 0.55),
    ]
    best = run.checkpoints.best()
    assert best is not None and (best.step, best.score) == (2, 0.6)


def test_a_target_ends_the_run_and_is_kept_over_a_resume(tmp_path: Path) -> None:
    values = {0: 0.1, 2: 0.3, 4: 0.9, 6: 0.95}
    ending = Fixture(tmp_path / "run", guard=scores(values, Target(value=0.8))).go()
    assert (ending.step, ending.outcome) == (4, "stopped")
    assert "accuracy reached 0.9" in ending.why
    resumed = Fixture(tmp_path / "run", guard=scores(values, Target(value=0.8)))
    assert resumed.go().step == 4
    assert len(Run.open(tmp_path / "run").evaluations()) == 3


def test_a_step_that_cannot_be_taken_leaves_its_batch_for_replay(tmp_path: Path) -> None:
    def streams(samples: Sequence[Sample], step: int) -> Sequence[Stream]:
        if step < 4:
            return supervised(samples, step)
        bad = [
            Sample(id=s.id, tokens=s.tokens, loss_mask=s.loss_mask, weights=(0.0, 0.0, float("inf"), 1.0))
            for s in samples
        ]
        return supervised(bad, step)

    with pytest.raises(TrainingError):
        Fixture(tmp_path / "run", streams=streams).go()
    bundle = tmp_path / "run/failures/step-000004"
    failure = failure_of(bundle)
    assert failure is not None
    assert (failure["step"], failure["checkpoint"], failure["error"]) == (4, 2, "TrainingError")
    found = Run.open(bundle)
    assert list(found.recent.steps()) == [3, 4]
    assert [c.step for c in found.checkpoints.all()] == [2]
    (stream,) = found.recent.read(4)
    assert len(stream.samples) == 4
    assert stream.samples[0].weights[2] == float("inf")
    status = Run.open(tmp_path / "run").status()
    assert status["state"] == "failed"
    assert "TrainingError" in status["why"]


def test_a_finished_run_can_be_asked_again_and_does_nothing(tmp_path: Path) -> None:
    Fixture(tmp_path / "run").go()
    before = contents(tmp_path / "run")
    assert Fixture(tmp_path / "run").go().step == 6
    assert contents(tmp_path / "run") == before


def test_a_check_that_fails_ends_the_run_and_leaves_its_step_for_replay(tmp_path: Path) -> None:
    def streams(samples: Sequence[Sample], step: int) -> Sequence[Stream]:
        if step == 4:
            group = fixture.trainer._optimizer.param_groups[0]
            group["params"] = group["params"][1:]
        return supervised(samples, step)

    fixture = Fixture(tmp_path / "run", steps=20, streams=streams)
    with pytest.raises(CheckFailed, match=r"^step \d+: "):
        fixture.go()
    run = Run.open(tmp_path / "run")
    assert run.checks()[-1]["status"] == "fail"
    failure = failure_of(run.path / "failures" / f"step-{run.last_step:06d}")
    assert failure is not None and failure["error"] == "CheckFailed"
    assert run.checks()[-1]["id"] in failure["why"]


def test_only_the_batches_since_the_last_but_one_checkpoint_stay(tmp_path: Path) -> None:
    Fixture(tmp_path / "run").go()
    run = Run.open(tmp_path / "run")
    assert [c.step for c in run.checkpoints.all()] == [4, 6]
    assert list(run.recent.steps()) == [5, 6]
