"""The loop, once: fill a step, train on it, move the weights to the sampler, write down what happened.

Every family runs on it.  What varies is the feed (sampled or given data), the streams' losses and the interventions.

A checkpoint is taken after the step's rows were written, so a killed run goes on from its latest checkpoint and drops
whatever was written after it: synchronous runs then repeat the same rollouts, batches and weights bit by bit.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from trueloop.config import Config
from trueloop.engines.base import Engine
from trueloop.loop.feed import Feed, Fill
from trueloop.loop.progress import Report
from trueloop.loop.stops import Guard
from trueloop.loop.watchdog import Watchdog, WatchdogConfig
from trueloop.models import Policy
from trueloop.records import Json, StepReport
from trueloop.store.artefacts import atomic_file
from trueloop.store.run import Run
from trueloop.train import checkpoint
from trueloop.train.batch import Stream
from trueloop.train.step import Trainer


class LoopConfig(Config):
    """How long, and how often its place is kept.

    steps             optimizer steps at most
    checkpoint_every  steps between checkpoints; a killed run loses at most this many
    """

    steps: Annotated[int, Field(ge=1)]
    checkpoint_every: Annotated[int, Field(ge=1)]
    watchdog: WatchdogConfig = WatchdogConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a loop ended: after its last step, at the end of the data, by an early stop, or by a signal."""

    step: int
    outcome: Literal["completed", "stopped", "interrupted"]
    why: str
    signal: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """The engine that follows the policy, and how many optimizer steps apart its weights are renewed."""

    engine: Engine
    policy: Policy
    sync_every: int = 1

    async def sync(self, version: int) -> None:
        """Give the engine the policy's present weights."""
        await self.engine.load_weights(self.policy.engine_weights(), version)


class Loop:
    """Runs a feed through a trainer.  `sampler` is None for offline data."""

    def __init__(
        self,
        config: LoopConfig,
        *,
        run: Run,
        trainer: Trainer,
        feed: Feed,
        title: str,
        sampler: Sampler | None = None,
        guard: Guard | None = None,
        shown: Sequence[str] = ("loss",),
    ) -> None:
        self.config, self.run, self.trainer, self.feed = config, run, trainer, feed
        self.title, self.sampler, self.guard, self.shown = title, sampler, guard, shown
        self.step = 0
        self._signal: int | None = None
        self._watchdog = Watchdog(config.watchdog, self._describe, self._report_stuck)
        self._progress: Report | None = None

    def resume(self) -> int:
        """Go back to the latest checkpoint and drop what was written after it; the step that it is at, 0 for none."""
        latest = self.run.checkpoints.latest()
        if latest is None:
            self.run.rewind(-1)
            return 0
        checkpoint.read(latest.path, self.trainer)
        state = json.loads((latest.path / "loop.json").read_text())
        self.step = state["step"]
        self.feed.restore(state["feed"])
        if self.guard is not None:
            self.guard.restore(state["guard"])
        self.run.rewind(self.step)
        return self.step

    async def go(self) -> Ending:
        """Run to the end; signals save and leave, a second one leaves at once."""
        self._handle_signals(True)
        work = asyncio.create_task(self._steps(), name="loop")
        watch = asyncio.create_task(self._watchdog.watch(), name="watchdog")
        try:
            await asyncio.wait([work, watch], return_when=asyncio.FIRST_COMPLETED)
            return watch.result() if watch.done() and not work.done() else work.result()  # type: ignore[return-value]
        finally:
            work.cancel()
            watch.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)
            await self.feed.close()
            self._handle_signals(False)

    async def _steps(self) -> Ending:
        if self.sampler is not None:
            await self.sampler.sync(self.trainer.version)
        if self.step == 0 and self.guard is not None and not self.guard.history:
            await self._evaluate()
            self._checkpoint(self.guard.history[-1][1])
        if self.guard is not None and (reached := self.guard.verdict()) is not None:
            return self._end("stopped", reached)
        with Report(self.title, self.config.steps, done=self.step) as self._progress:
            while self.step < self.config.steps:
                self._watchdog.phase("refreshing interventions")
                await asyncio.to_thread(self.trainer.refresh, self.step + 1)
                self._watchdog.phase("filling the step")
                fill = await self.feed.next(self.step + 1)
                if fill is None:
                    if self.guard is not None and self.guard.history[-1][0] != self.step:
                        self._checkpoint(await self._evaluate())
                    return self._end("completed", f"the data ended after {self.step} steps")
                why = await self._one(fill)
                if why is not None:
                    return self._end("stopped", why)
                if self._signal is not None and self._in_sync:
                    return self._end("interrupted", f"stopped by a signal after step {self.step}; --resume goes on")
        return self._end("completed", f"all {self.step} steps done")

    @property
    def _in_sync(self) -> bool:
        """Whether the sampler's weights are the trainer's, so that a checkpoint holds both."""
        return self.sampler is None or self.step % self.sampler.sync_every == 0

    async def _one(self, fill: Fill) -> str | None:
        """One optimizer step and what follows it; why to stop, or None."""
        report = await self._train(fill.streams)
        self.step += 1
        if self.sampler is not None and self._in_sync:
            self._watchdog.phase("moving weights to the engine")
            await self.sampler.sync(self.trainer.version)
        row = metrics_row(self.step, report, fill.metrics)
        self.run.write_step(row, fill.rows)
        last = self.step == self.config.steps
        score = await self._evaluate() if self.guard is not None and (self.guard.due(self.step) or last) else None
        due = self.step % self.config.checkpoint_every == 0 or last
        if score is not None or (due and self._in_sync):
            self._checkpoint(score)
        self._watchdog.beat()
        if self._progress is not None:
            self._progress.advance({k: row[k] for k in self.shown if k in row})
        return self.guard.verdict() if self.guard is not None and score is not None else None

    async def _train(self, streams: Sequence[Stream]) -> StepReport:
        self._watchdog.phase("optimizer step")
        done = False
        try:
            report = await asyncio.to_thread(self.trainer.step, streams)
            done = True
            return report
        finally:
            if not done:
                self._save_failure(streams)

    async def _evaluate(self) -> float:
        assert self.guard is not None
        self._watchdog.phase("guard evaluation")
        value, row = await self.guard.measure(self.step)
        self.run.add_evaluation({"name": "guard", **row}, self.step)
        return value

    def _checkpoint(self, score: float | None) -> None:
        self._watchdog.phase("checkpoint")
        state = {"step": self.step, "feed": self.feed.state(), "guard": self.guard.state() if self.guard else None}

        def write(directory: Path) -> None:
            checkpoint.write(directory, self.trainer)
            (directory / "loop.json").write_text(json.dumps(state))

        self.run.checkpoints.save(self.step, write, score=score)

    def _end(self, outcome: Literal["completed", "stopped", "interrupted"], why: str) -> Ending:
        if all(c.step != self.step for c in self.run.checkpoints.all()):
            self._checkpoint(None)
        return Ending(step=self.step, outcome=outcome, why=why, signal=self._signal)

    def _save_failure(self, streams: Sequence[Stream]) -> None:
        latest = self.run.checkpoints.latest()
        bundle = {
            "step": self.step + 1,
            "checkpoint": latest.path.name if latest is not None else None,
            "streams": [
                {"name": s.name, "samples": [asdict(x) for x in s.samples], "pairs": [asdict(x) for x in s.pairs]}
                for s in streams
            ],
        }
        path = self.run.path / "failures" / f"step-{self.step + 1:06d}.json"
        path.parent.mkdir(exist_ok=True)
        with atomic_file(path, what="the batch of the failed step") as temporary:
            temporary.write_text(json.dumps(bundle))

    def _handle_signals(self, on: bool) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            if on:
                loop.add_signal_handler(number, self._on_signal, number)
            else:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: int) -> None:
        if self._signal is not None:
            print("\ninterrupted twice: left at once; --resume goes on from the last checkpoint", file=sys.stderr)
            sys.stderr.flush()
            os._exit(128 + number)
        self._signal = number
        print("\ninterrupted: finishing this step and saving (again to leave at once)", file=sys.stderr)

    def _describe(self) -> str:
        return self.feed.describe()

    def _report_stuck(self, words: str) -> None:
        with (self.run.path / "stuck.log").open("a") as file:
            file.write(f"step {self.step + 1}: {words}\n")
        print(f"warning: {words}", file=sys.stderr)


def metrics_row(step: int, report: StepReport, measured: Mapping[str, float]) -> dict[str, Json]:
    """One row of metrics.jsonl.  Means under their own name, extremes beside them where they differ."""
    row: dict[str, Json] = {
        "step": step,
        "version": report.version,
        "loss": report.loss,
        "grad_norm": report.grad_norm,
        "lr": report.lr,
        **measured,
        **{f"denominator/{k}": v for k, v in report.denominator.items()},
    }
    for name, metric in report.metrics.items():
        row[name] = metric.mean
        if metric.low != metric.high:
            row |= {f"{name}/min": metric.low, f"{name}/max": metric.high}
    row["seconds"] = dict(report.seconds)
    return row
