"""The RLVR recipe end to end on a few sums: every method runs, and a run that died goes on as the same run."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

from trueloop.config import load
from trueloop.errors import ConfigError, StoreError
from trueloop.recipes import rlvr, sft
from trueloop.store.run import Run, contents
from trueloop.store.trace import read_rollouts

SMALL = [
    'tasks.parts=[{task={kind="arithmetic", lowest=1, highest=9, held_out=0.1, max_tokens=12}}]',
    "warm_start.rows_per_step=4",
    "warm_start.loop.steps=2",
    "warm_start.loop.checkpoint_every=1",
    'warm_start.guard={every=2, metric="lenient", problems=3}',
    "flow.problems_per_step=2",
    'flow.samples={kind="fixed", n=2}',
    "loop.steps=3",
    "loop.checkpoint_every=1",
    'guard={every=3, metric="strict", problems=3}',
]


def run(out: Path, *overrides: str, resume: bool = False, preset: str = "arithmetic") -> Run:
    resolved = load(rlvr.Config, preset, [*SMALL, *overrides])
    assert rlvr.run(resolved.config, resolved, out, resume).ok
    return Run.open(out)


def test_a_run_holds_its_warm_start_its_rollouts_and_its_evaluations(tmp_path: Path) -> None:
    done = run(tmp_path / "run")
    assert [row["step"] for row in done.metrics()] == [1, 2, 3]
    assert [row["step"] for row in done.evaluations()] == [0, 3]
    assert done.status()["state"] == "finished"
    rows = list(read_rollouts(tmp_path / "run"))
    assert len(rows) == 3 * 2 * 2
    assert {row["fate"] for row in rows} == {"used"}
    assert done.metrics()[-1]["share/arithmetic"] == 1.0
    assert all(row["prompt"].startswith("Q: ") and row["prompt"].endswith("A: ") for row in rows)
    warm = Run.open(tmp_path / "run/warm_start")
    assert [row["step"] for row in warm.metrics()] == [1, 2]
    assert done.info.difference["loop.steps"] == [80, 3]


class Died(BaseException):
    """Stands for a kill."""


def dies(monkeypatch: pytest.MonkeyPatch, step: int, loop: str) -> None:
    """Every checkpoint of `loop` at `step` is the end of the process, before it is written."""
    save = Run.write_step

    def write_step(self: Run, row: dict[str, Any], rollouts: Any) -> None:
        save(self, row, rollouts)
        if row["step"] == step and self.info.recipe == loop:
            raise Died

    monkeypatch.setattr(Run, "write_step", write_step)


@pytest.mark.parametrize(("step", "loop"), [(1, "sft"), (2, "sft"), (1, "rlvr"), (3, "rlvr")])
def test_a_run_that_died_anywhere_goes_on_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, loop: str
) -> None:
    run(tmp_path / "whole")
    with monkeypatch.context() as patched, pytest.raises(Died):
        dies(patched, step, loop)
        run(tmp_path / "died")
    run(tmp_path / "died", resume=True)
    assert contents(tmp_path / "whole") == contents(tmp_path / "died")
    assert contents(tmp_path / "whole/warm_start") == contents(tmp_path / "died/warm_start")


def test_a_changed_configuration_is_refused_on_resume_and_named(tmp_path: Path) -> None:
    run(tmp_path / "run")
    with pytest.raises(StoreError, match=r"optim\.lr.*0\.0001.*0\.5"):
        run(tmp_path / "run", "optim.lr=0.5", resume=True)
    longer = run(tmp_path / "run", "loop.steps=4", resume=True)
    assert [row["step"] for row in longer.metrics()] == [1, 2, 3, 4]


VARIANTS: dict[str, tuple[list[str], set[str]]] = {
    "kl in the loss": (["kl={coefficient=0.1}"], {"policy/kl"}),
    "renewed reference": (["kl={coefficient=0.1, refresh_every=1}"], {"policy/kl"}),
    "kl in the reward": (['kl={coefficient=0.1, where="reward"}'], set()),
    "lora": (['adapter={kind="lora", rank=2, alpha=4}', "kl={coefficient=0.1}"], {"policy/kl"}),
    "entropy bonus": (["entropy=0.01"], {"policy/entropy"}),
    "truncated sampling": (["draw={top_k=5, top_p=0.9}", "importance_cap=2.0"], set()),
    "length penalty": (["overlong={limit=12, cache=6}"], set()),
    "sft mix": (["sft_mix={rows_per_step=3, coefficient=0.1}"], {"sft_mix/nll", "second/data/epochs"}),
    "adaptive": (['flow.samples={kind="adaptive", successes=1, failures=1, chunk=2, max_samples=4}'], set()),
    "ahead": (["flow.max_staleness=2", "flow.sync_every=2", "flow.max_reads=2"], {"flow/lag_max"}),
    "few shots": (['shots={kind="piecewise", points=[[0, 0], [1, 2]]}'], set()),
    "leniency": (['leniency={kind="linear", start=1.0, end=0.0, finish=2}'], set()),
    "two processes": (["processes=2", "kl={coefficient=0.1}"], {"policy/kl"}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_method_runs(tmp_path: Path, name: str) -> None:
    overrides, metrics = VARIANTS[name]
    rows = run(tmp_path / "run", *overrides).metrics()
    assert len(rows) == 3
    assert all(metrics <= row.keys() for row in rows)
    if "policy/kl" in metrics:
        assert rows[0]["policy/kl"] == approx(0.0, abs=1e-6)
    if name == "kl in the loss":
        assert rows[2]["policy/kl"] > 1e-8


def test_shots_follow_their_schedule(tmp_path: Path) -> None:
    run(tmp_path / "run", *VARIANTS["few shots"][0])
    shots = {row["step"]: row["prompt"].count("Q: ") - 1 for row in read_rollouts(tmp_path / "run")}
    assert shots == {1: 0, 2: 2, 3: 2}


@pytest.mark.parametrize("preset", ["grpo", "dr_grpo", "dapo", "rloo", "gspo", "cispo", "max_rl"])
def test_every_algorithm_preset_is_whole_but_for_what_it_asks_of_the_user(preset: str) -> None:
    user = ["model.kind=tiny", *SMALL[:1], 'tasks.kind="weighted"', "loop={steps=1, checkpoint_every=1}"]
    user += ['flow={problems_per_step=1, samples={kind="fixed", n=2}}']
    length = ["reduction.length=64"] if preset == "dr_grpo" else []
    config = load(rlvr.Config, f"rlvr/{preset}", user + length).config
    assert "1 steps of 1 problems x at most 2 samples" in rlvr.plan(config)


def test_a_schedule_that_starves_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    resolved = load(rlvr.Config, "arithmetic", [*SMALL, "flow.sync_every=3"])
    with pytest.raises(ConfigError, match="the trainer would wait for ever"):
        rlvr.run(resolved.config, resolved, tmp_path / "run", False)
    assert not (tmp_path / "run").exists()


def test_the_plan_says_what_will_be_done_and_needed() -> None:
    words = rlvr.plan(load(rlvr.Config, "arithmetic").config)
    for part in ("7125 problems", "80 steps of 16 problems x at most 8 samples", "813,184 parameters", "disk: at most"):
        assert part in words
    assert "400 steps of 128 rows" in words


def test_sft_trains_the_answer_and_its_end_and_not_the_prompt() -> None:
    from trueloop.recipes import wiring

    config = load(rlvr.Config, "arithmetic", SMALL).config
    task = config.tasks.parts[0].task.build()
    policy = wiring.build_policy(config.model, None, 0)
    sample = wiring.supervised(task, list(task.demonstrations("train"))[:1], policy)[0]
    trained = [t for t, m in zip(sample.tokens, sample.loss_mask, strict=True) if m]
    prompt = [t for t, m in zip(sample.tokens, sample.loss_mask, strict=True) if not m]
    assert trained[-1] in policy.end_ids
    assert policy.tokenizer.decode(prompt).endswith("A: ")
    assert sum(sample.weights) == len(trained)
    assert sft.streams([sample], 1)[0].loss.silent_at_zero_weight  # type: ignore[union-attr]


def test_greedy_rollouts_are_refused(tmp_path: Path) -> None:
    resolved = load(rlvr.Config, "arithmetic", [*SMALL, "draw.temperature=0"])
    with pytest.raises(ConfigError, match=r"draw\.temperature = 0"):
        rlvr.run(resolved.config, resolved, tmp_path / "run", False)


def test_a_full_disk_is_one_clear_error_and_the_run_goes_on_when_there_is_room(
    tmp_path: Path, small_disk: Callable[..., Path]
) -> None:
    disk = small_disk("30m")
    with pytest.raises(StoreError, match="the disk is full"):
        run(disk / "run")
    assert not list(disk.rglob("*.partial"))
    subprocess.run(["mount", "-o", "remount,size=300m", str(disk)], check=True)
    run(disk / "run", resume=True)
    run(tmp_path / "whole")
    assert contents(disk / "run") == contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(("signals", "code"), [([signal.SIGTERM], 143), ([signal.SIGINT, signal.SIGINT], 130)])
def test_signals_leave_a_run_that_can_be_resumed(tmp_path: Path, signals: list[int], code: int) -> None:
    """The second Ctrl-C comes while the first is being obeyed; either way one clear line and nothing half-written."""
    many = [*SMALL, "warm_start.loop.steps=100000", "warm_start.rows_per_step=64", "warm_start.guard.every=100000"]
    words = [word for setting in many for word in ("--set", setting)]
    command = [sys.executable, "-m", "trueloop.cli", "run", "arithmetic", "--out", str(tmp_path / "run"), *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (tmp_path / "run/warm_start/metrics.jsonl").exists():
        time.sleep(0.05)
        assert process.poll() is None, process.stderr and process.stderr.read()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.01)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert "interrupted" in errors
    warm = Run.open(tmp_path / "run/warm_start")
    assert warm.status()["state"] in ("interrupted", "killed")
    assert warm.checkpoints.latest() is not None
