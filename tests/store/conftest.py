"""Runs, groups, full disks and sudden deaths for the tests of the store."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from trueloop.records import CheckResult, Completion, Group, Probe, Problem, Score, to_rollout
from trueloop.store import run as run_module
from trueloop.store.provenance import Code, Provenance
from trueloop.store.run import Run
from trueloop.store.trace import rows_from_group

SYSCALLS = ("open", "write", "fsync", "replace", "rename", "unlink", "mkdir", "rmdir", "truncate", "ftruncate")


WORKER = """
import sys
from pathlib import Path
from trueloop.records import CheckResult
from trueloop.store.run import Run
from trueloop.store.trace import rows_from_group
run = Run.resume(Path(sys.argv[1]), config={"a": 1}, data={})
latest = run.checkpoints.latest()
run.rewind(latest.step if latest else -1)
print("ready", flush=True)
for step in range((run.last_step or 0) + 1, int(sys.argv[2]) + 1):
    rows = [{"step": step, "id": f"p/{step}/{k}", "problem_id": "p", "fate": "used", "tokens": [step, k] * 200,
             "reward": k / 8, "text": f"{step} {k} " * 50} for k in range(8)]
    run.write_step({"step": step, "loss": 1 / step}, rows)
    run.add_check(CheckResult(id="kl", status="pass", value=step), step)
    if step % 2 == 0:
        run.checkpoints.save(step, lambda d: (d / "w").write_bytes(bytes([step % 256]) * 100_000), score=step % 7)
run.finish("finished", "all steps")
"""


class Killed(BaseException):
    """The process is gone: nothing after it happens, no cleaning up either."""


@pytest.fixture
def killed_at() -> Callable:
    """`with killed_at(n) as died:` the n-th call that changes or flushes a file never happens, nor any after it.

    A write that is hit leaves half of its bytes.  `died()` tells whether the block got that far.
    """

    @contextmanager
    def run(n: int) -> Iterator[Callable[[], bool]]:
        calls = 0
        real = {name: getattr(os, name) for name in SYSCALLS}

        def dying(name: str) -> Callable:
            def call(*args, **kwargs):
                nonlocal calls
                calls += 1
                if calls == n and name == "write":
                    real["write"](args[0], args[1][: len(args[1]) // 2])
                if calls >= n:
                    raise Killed
                return real[name](*args, **kwargs)

            return call

        with pytest.MonkeyPatch.context() as patch:
            for name in SYSCALLS:
                patch.setattr(os, name, dying(name))
            with suppress(Killed):
                yield lambda: calls >= n

    return run


def same_code(commit: str = "c0ffee", patch: bytes = b"") -> Provenance:
    code = Code(name="project", root="/p", commit=commit, branch="main", dirty=bool(patch), patch=patch)
    return Provenance(code=(code,), packages={"a": "1"}, python="3", platform="x", machine={}, argv=())


@pytest.fixture(autouse=True)
def steady_code(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs see this code and not the working tree, which may change while the tests run; call it to change the code."""

    def become(commit: str = "c0ffee", patch: bytes = b"") -> None:
        monkeypatch.setattr(run_module, "capture", lambda: same_code(commit, patch))

    become()
    return become


@pytest.fixture
def new_run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """`new_run("name", **what to change)` creates a run under the test's directory."""
    made = []

    def create(name: str = "run", **change) -> Run:
        given = {
            "recipe": "rlvr",
            "config": {"optim": {"lr": 1e-5}, "steps": 10},
            "difference": {"optim.lr": (1e-6, 1e-5)},
            "seed": 7,
            "data": {"gsm8k/train": "aa11", "template": "bb22"},
        }
        run = Run.create(tmp_path / name, **(given | change))
        made.append(run)
        return run

    yield create
    for run in made:
        run.close()


@pytest.fixture
def resume() -> Callable[..., Run]:
    """`resume(path, **what to change)` with what `new_run` was given."""

    def call(path: Path, **change) -> Run:
        config = {"optim": {"lr": 1e-5}, "steps": 10}
        data = {"gsm8k/train": "aa11", "template": "bb22"}
        return Run.resume(path, **({"config": config, "data": data} | change))

    return call


@pytest.fixture
def make_group() -> Callable[..., Group]:
    """`make_group(i)`: two scored rollouts of problem i, with a probe, an audit value and one truncated draw."""

    def make(i: int, *, epoch: int = 0, tokens: int = 5, advantages: tuple[float, float] | None = (0.5, -0.5)) -> Group:
        draw = random.Random(i)
        problem = Problem.create(prompt=f"{i} + 1?", target=i + 1, task="sums", split="train")
        rollouts = []
        for k in range(2):
            logprobs = tuple(-draw.randrange(1, 64) / 32 for _ in range(tokens))
            completion = Completion(
                tokens=tuple(draw.randrange(100) for _ in range(tokens)),
                logprobs=logprobs,
                policy_logprobs=logprobs if k == 0 else tuple(x - 0.25 for x in logprobs),
                finish="stop",
                stop="</s>",
                version=i,
                text=f"naïve {i + k}",
            )
            rollout = to_rollout(problem, k, (1, 2, 3), completion, epoch=epoch)
            score = Score(
                status="scored",
                reward=float(k),
                passed=k == 1,
                answer=str(i + k),
                why="equal",
                parts={"strict": 1.0},
                audit={"exploited": 0.25},
            )
            rollouts.append(replace(rollout, score=score, probes=(Probe(name="belief", start=3, stop=4, value=0.75),)))
        return Group(problem=problem, rollouts=tuple(rollouts), advantages=advantages)

    return make


@pytest.fixture
def train(make_group):
    """`train(run, first, last)`: steps as a loop writes them, with an evaluation and a checkpoint at every third."""

    def train(run, first, last):
        for step in range(first, last + 1):
            group = make_group(step)
            rollouts = rows_from_group(group, step=step, fate="used", prompt_text=str(step), index=0)
            run.write_step({"step": step, "loss": 1 / step, "seconds": {"step": time.monotonic()}}, rollouts)
            run.add_check(CheckResult(id="kl", status="pass", value=step), step)
            if step % 3 == 0:
                run.add_evaluation({"task": "sums", "accuracy": step / 100, "seconds": time.monotonic()}, step)
                run.checkpoints.save(step, lambda d, s=step: (d / "w").write_text(f"weights {s}"), score=-step)

    return train


@pytest.fixture
def start_worker() -> Callable[..., subprocess.Popen]:
    """`start_worker(path, steps)`: a process that resumes the run, says "ready", and writes steps up to `steps`."""

    def start(path: Path, steps: int) -> subprocess.Popen:
        command = [sys.executable, "-W", "ignore", "-c", WORKER, str(path), str(steps)]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    return start


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushing costs most of the time here and nothing can be seen of it without pulling the plug."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
