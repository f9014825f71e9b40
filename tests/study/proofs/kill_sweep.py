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
from pathlib import Path
from typing import Any

NAME = "kill-sweep"
COVERS = (
    "src/trueloop/loop/*.py",
    "src/trueloop/store/*.py",
    "src/trueloop/recipes/*.py",
    "src/trueloop/train/*.py",
    "src/trueloop/engines/*.py",
    "src/trueloop/tasks/source.py",
    "src/trueloop/presets/arithmetic.toml",
)
MOMENTS = 5

SMALL = (
    'tasks.parts=[{task={kind="arithmetic", lowest=1, highest=9, held_out=0.1, max_tokens=24}}]',
    "warm_start.rows_per_step=16",
    "warm_start.loop={steps=12, checkpoint_every=4}",
    'warm_start.guard={every=6, metric="lenient", problems=4}',
    'flow.samples={kind="fixed", n=4}',
    "flow.problems_per_step=4",
    "sft_mix={rows_per_step=8, coefficient=1.0}",
    "optim.lr=1e-3",
    'guard={every=6, metric="strict", problems=4}',
)
SYNCHRONOUS = (*SMALL, "loop={steps=14, checkpoint_every=3}")
AHEAD = (*SMALL, "loop={steps=1000, checkpoint_every=2}", "tasks.epochs=1", "flow.max_staleness=2")


def cases() -> list[dict[str, Any]]:
    """Twenty moments in the synchronous mode and ten in the other."""
    synchronous = [{"mode": "synchronous", "seed": seed} for seed in range(4)]
    return synchronous + [{"mode": "ahead", "seed": seed} for seed in range(2)]


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Each case has an uninterrupted run and MOMENTS runs that are killed once or more, each at random moments."""
    from trueloop.store.run import contents

    folder, draw = Path(tempfile.mkdtemp()), random.Random(case["seed"])
    settings = SYNCHRONOUS if case["mode"] == "synchronous" else AHEAD
    began = time.monotonic()
    _finish(_start(folder / "whole", settings))
    length = time.monotonic() - began
    killed_at, faults = [], []
    for k in range(MOMENTS):
        out = folder / f"killed-{k}"
        killed_at.append(_kill_and_resume(out, settings, draw, length))
        if case["mode"] == "synchronous":
            for part in ("", "warm_start"):
                whole, resumed = contents(folder / "whole" / part), contents(out / part)
                faults += [
                    f"{killed_at[-1]} {part}/{name}" for name in whole | resumed if whole.get(name) != resumed.get(name)
                ]
        else:
            faults += [f"{killed_at[-1]} {fault}" for fault in _unequal_uses(out)]
    shutil.rmtree(folder)
    return {"ok": not faults, "why": "; ".join(faults[:3]), "killed": sum(map(len, killed_at)), "seconds": killed_at}


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
    problems = Arithmetic(lowest=1, highest=9, held_out=0.1, max_tokens=24).build().problems("train")
    return [f"{problem.id} was used {uses[problem.id]} times" for problem in problems if uses[problem.id] != 1]
