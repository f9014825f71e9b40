"""kill -9 at random moments, anywhere from the start of the process to its end, and --resume until the run is done.

Synchronous: everything the run wrote, rollouts, metrics and weights, is bit for bit what an uninterrupted run wrote.
Ahead of the trainer: over one epoch every problem is used exactly once.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAME = "kill-sweep"
COVERS = ("src/trueloop/**/*.py", "src/trueloop/presets/arithmetic.toml", "src/trueloop/presets/rlvr/*.toml")
MOMENTS = 5

ALLOWED = (
    "liveness.step_is_sane",
    "numerics.untrained_weights",
    "rewards.collapse",
    "rewards.signal",
    "rollouts.cut",
    "sampling.coherent",
    "sampling.cut_at_limit",
    "sampling.reward_varies",
    "sampling.signal",
)
"""Checks that such a small run may fail."""

SMALL = (
    'tasks.parts=[{task={kind="arithmetic", lowest=0, highest=6, held_out=0.1, max_tokens=32}}]',
    "warm_start.rows_per_step=16",
    "warm_start.optim.lr=3e-3",
    "warm_start.loop={steps=80, checkpoint_every=20}",
    'warm_start.guard={every=40, metric="lenient", problems=2}',
    'flow.samples={kind="fixed", n=4}',
    "flow.problems_per_step=4",
    "leniency.at=0.5",
    "optim.lr=1e-3",
    'guard={every=6, metric="strict", problems=2}',
    *(f'allow."{id}"="a sweep of kills: what the run learns does not matter"' for id in ALLOWED),
)
STEPS = "loop={steps=14, checkpoint_every=3}"
SETTINGS = {
    "synchronous": (*SMALL, STEPS),
    "adapter": (*SMALL, STEPS, 'adapter={kind="lora", rank=4, alpha=8}', "kl={coefficient=0.01, refresh_every=4}"),
    "ahead": (*SMALL, "loop={steps=1000, checkpoint_every=2}", "tasks.epochs=1", "flow.max_staleness=2"),
}


def cases() -> list[dict[str, Any]]:
    """Twenty moments in the synchronous mode, five with an adapter, ten ahead of the trainer."""
    seeds = {"synchronous": 4, "adapter": 1, "ahead": 2}
    return [{"mode": mode, "seed": seed} for mode, count in seeds.items() for seed in range(count)]


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Each case has an uninterrupted run and MOMENTS runs that are killed once or more, each at random moments.

    All stand in the same place in turn, since checkpoints of adapters name the directory of their base.
    """
    from trueloop.store.run import Run, contents

    folder, draw = Path(tempfile.mkdtemp()), random.Random(case["seed"])
    settings, out, whole = SETTINGS[case["mode"]], folder / "run", folder / "whole"
    began = time.monotonic()
    _finish(_start(out, settings))
    length = time.monotonic() - began
    out.rename(whole)
    moved = sum(row["grad_norm"] > 0 for row in Run.open(whole).metrics())
    faults = [] if moved > 3 else [f"only {moved} steps of the run had a gradient: it proves nothing"]
    killed_at = []
    for _ in range(MOMENTS):
        killed_at.append(_kill_and_resume(out, settings, draw, length))
        found = _unequal_uses(out) if case["mode"] == "ahead" else _differences(whole, out, contents)
        faults += [f"{killed_at[-1]} {fault}" for fault in found]
        shutil.rmtree(out)
    shutil.rmtree(folder)
    killed = sum(map(len, killed_at))
    return {"ok": not faults, "why": "; ".join(faults[:3]), "killed": killed, "gradients": moved, "seconds": killed_at}


def _differences(whole: Path, resumed: Path, contents: Callable[[Path], dict[str, Any]]) -> list[str]:
    """What one of the two runs, or of their warm starts, has and the other has not in the same bytes."""
    pairs = [(contents(whole / part), contents(resumed / part)) for part in ("", "warm_start")]
    return [name for a, b in pairs for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]


def _kill_and_resume(out: Path, settings: tuple[str, ...], draw: random.Random, length: float) -> list[float]:
    """Kill at a moment drawn from the run's length, resume, perhaps kill again; the last process ends by itself."""
    moments = []
    for _ in range(draw.choice((1, 1, 2))):
        process = _start(out, settings)
        moments.append(round(draw.uniform(0, length), 2))
        try:
            process.wait(timeout=moments[-1])
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    _finish(_start(out, settings))
    return moments


def _start(out: Path, settings: tuple[str, ...]) -> subprocess.Popen[bytes]:
    overrides = [word for setting in settings for word in ("--set", setting)]
    resume = ["--resume"] if (out / "run.json").exists() else []
    command = [sys.executable, "-m", "trueloop.cli", "run", "arithmetic", "--out", str(out), *resume, *overrides]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"a run ended with {process.returncode}: {errors.decode()[-2000:]}")


def _unequal_uses(out: Path) -> list[str]:
    from trueloop.store.trace import read_rollouts
    from trueloop.tasks.worlds.arithmetic import Arithmetic

    rows = read_rollouts(out, columns=("problem_id", "fate", "sample_index"))
    uses = Counter(row["problem_id"] for row in rows if row["fate"] == "used" and row["sample_index"] == 0)
    problems = Arithmetic(lowest=0, highest=6, held_out=0.1, max_tokens=32).build().problems("train")
    return [f"{problem.id} was used {uses[problem.id]} times" for problem in problems if uses[problem.id] != 1]
