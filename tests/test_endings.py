"""What a run leaves behind when its data ends, when something fails in the background, or when a step hangs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from helpers import tiny_policy
from online_toys import PROBLEMS, drive, make
from trueloop.engines.fake import Plan
from trueloop.errors import EngineError
from trueloop.loop.flow import Fixed, Flow
from trueloop.loop.loop import Loop, LoopConfig
from trueloop.loop.online import Online
from trueloop.records import Request
from trueloop.store.run import Run
from trueloop.store.trace import read_rollouts
from trueloop.train.batch import Batching
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer


def run(path: Path, online: Online, *, steps: int = 1000) -> list[dict[str, object]]:
    """The real loop and run directory over a feed without streams, whose trainer only counts; returns the trace."""
    trainer = Trainer(tiny_policy(), Optim(lr=1e-3), Batching())
    with Run.create(path, recipe="test", config={}, difference={}, seed=0, data={}) as store:
        config = LoopConfig(steps=steps, checkpoint_every=1)
        loop = Loop(config, run=store, trainer=trainer, feed=online, title="test")
        store.finish("finished", asyncio.run(loop.go()).why)
    return list(read_rollouts(path))


@pytest.mark.parametrize("staleness", [0, 2])
def test_when_all_is_filtered_the_trace_still_has_every_rollout(tmp_path: Path, staleness: int) -> None:
    flow = Flow(
        problems_per_step=4, samples=Fixed(n=2), max_staleness=staleness, drop_zero_variance=True, max_filtered=100
    )
    rows = run(tmp_path / "run", make(flow, epochs=1, answer=lambda request, prompt: "no"))
    assert Counter(row["fate"] for row in rows) == {"filtered:zero_variance": 2 * len(PROBLEMS)}


def test_what_is_filtered_while_the_trainer_works_is_written_with_the_next_step(tmp_path: Path) -> None:
    flow = Flow(problems_per_step=2, samples=Fixed(n=2), max_staleness=2, drop_zero_variance=True)
    online = make(flow, epochs=1, plan=lambda request: Plan(seconds=0.01))
    fills = asyncio.run(drive(online, 100, work_s=0.05))
    assert any(row["fate"].startswith("filtered") for fill in fills for row in fill.rows)
    for step, fill in enumerate(fills, 1):
        assert {row["step"] for row in fill.rows} == {step}


def test_groups_that_nobody_will_use_are_in_the_trace_as_open() -> None:
    online = make(Flow(problems_per_step=2, samples=Fixed(n=2), max_staleness=2))

    async def two_steps() -> list[dict[str, object]]:
        await online.next(1)
        await asyncio.sleep(0.05)
        await online.next(2)
        await asyncio.sleep(0.05)
        rows = list(online.rest(ended=True))
        await online.close()
        return rows  # type: ignore[return-value]

    rows = asyncio.run(two_steps())
    assert rows
    assert {row["fate"] for row in rows} == {"open"}


def test_a_failure_in_the_background_is_not_taken_for_the_end_of_the_data() -> None:
    """The last problem is lost for good while the trainer works, when nobody waits for the sampler."""
    flow = Flow(problems_per_step=2, samples=Fixed(n=2), max_staleness=20, max_attempts=1, max_lost=0.1)
    tickets = make(flow, epochs=1).source
    last = [ticket.problem.id for ticket in iter(tickets.next, None)][-1]

    def plan(request: Request) -> Plan:
        return Plan(seconds=0.02, outcome="fail") if request.id.startswith(last) else Plan()

    with pytest.raises(EngineError, match="were lost after 1 attempts"):
        asyncio.run(drive(make(flow, epochs=1, plan=plan), 100, work_s=0.1))


HANGS = """
import asyncio, sys, threading, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from helpers import tiny_policy
from trueloop.formulas.reduce import token_mean
from trueloop.loop import loop as module
from trueloop.loop.feed import Offline
from trueloop.loop.watchdog import WatchdogConfig
from trueloop.store.run import Run
from trueloop.train.batch import Batching
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer

module.HUNG_S = 0.5
trainer = Trainer(tiny_policy(), Optim(lr=1e-3), Batching())
trainer.step = lambda streams: time.sleep(1000)
with Run.create(Path(sys.argv[1]), recipe="test", config={}, difference={}, seed=0, data={}) as store:
    watchdog = WatchdogConfig(floor_s=0.2, poll_s=0.05, stop_after=2)
    config = module.LoopConfig(steps=5, checkpoint_every=1, watchdog=watchdog)
    feed = Offline([1], per_step=1, seed=0, streams=lambda items, step: [])
    asyncio.run(module.Loop(config, run=store, trainer=trainer, feed=feed, title="test").go())
"""


@pytest.mark.slow
def test_a_step_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HANGS, str(tmp_path / "run"), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "nothing has moved" in done.stderr
    assert "'optimizer step'" in done.stderr
