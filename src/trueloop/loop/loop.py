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
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from trueloop.checks.running.seen import Setup
from trueloop.config import Config
from trueloop.engines.base import Engine
from trueloop.errors import CheckFailed, StoreError
from trueloop.loop.feed import Feed, Fill
from trueloop.loop.liveness import Liveness, LivenessConfig
from trueloop.loop.monitor import Monitor
from trueloop.loop.probe import Probe
from trueloop.loop.progress import Report
from trueloop.loop.recording import recorded
from trueloop.loop.stops import Guard
from trueloop.loop.watchdog import Watchdog, WatchdogConfig
from trueloop.models import Policy
from trueloop.records import CheckResult, Json, StepReport
from trueloop.store.bundle import write_bundle
from trueloop.store.run import Run
from trueloop.train import checkpoint
from trueloop.train.batch import Stream
from trueloop.train.step import Trainer

HUNG_S = 20.0
"""Seconds that a step which the watchdog gave up may still take to come back."""


class LoopConfig(Config):
    """How long, and how often its place is kept.

    steps             optimizer steps at most
    checkpoint_every  steps between checkpoints; a killed run loses at most this many
    """

    steps: Annotated[int, Field(ge=1)]
    checkpoint_every: Annotated[int, Field(ge=1)]
    watchdog: WatchdogConfig = WatchdogConfig()
    liveness: LivenessConfig = LivenessConfig()


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
        probe: Probe | None = None,
        monitor: Monitor | None = None,
    ) -> None:
        self.config, self.run, self.trainer, self.feed = config, run, trainer, feed
        self.title, self.sampler, self.guard, self.shown = title, sampler, guard, shown
        self.step = 0
        self._signal: int | None = None
        self._busy = False
        self._watchdog = Watchdog(config.watchdog, feed.describe, self._report_stuck, feed.life)
        self._progress = Report(title, config.steps)
        self._liveness = Liveness(config.liveness, run, trainer, sampler, probe)
        self._streams: Sequence[Stream] = ()
        setup = Setup(steps=config.steps, lr=trainer.optim.lr, every=config.checkpoint_every)
        self._monitor = monitor or Monitor(setup)

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
        if "liveness" in state:
            self._liveness.restore(state["liveness"])
        self._monitor.restore(self.run)
        return self.step

    async def go(self) -> Ending:
        """Run to the end; signals save and leave, a second one leaves at once."""
        self._handle_signals(True)
        work = asyncio.create_task(self._steps(), name="loop")
        watch = asyncio.create_task(self._watchdog.watch(), name="watchdog")
        try:
            await asyncio.wait([work, watch], return_when=asyncio.FIRST_COMPLETED)
            if watch.done() and not work.done():
                leave = threading.Timer(HUNG_S, self._leave_if_hung, (str(watch.exception()),))
                leave.daemon = True
                leave.start()
                watch.result()
            return work.result()
        finally:
            work.cancel()
            watch.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)
            await self.feed.close()
            self._handle_signals(False)

    async def _steps(self) -> Ending:
        self._monitor.begin(self.trainer.trainable)
        if self.sampler is not None:
            await self.sampler.sync(self.trainer.version)
        with Report(self.title, self.config.steps, done=self.step) as self._progress:
            if self.step == 0 and self.guard is not None and not self.guard.history:
                self._checkpoint(await self._evaluate())
            if self.guard is not None and (reached := self.guard.verdict()) is not None:
                return self._end("stopped", reached)
            self._progress.reset_clock()
            while self.step < self.config.steps:
                fill = await self._fill()
                if fill is None:
                    if self.guard is not None and self.guard.history[-1][0] != self.step:
                        self._checkpoint(await self._evaluate())
                    return self._end("completed", f"the data ended after {self.step} steps")
                why = await self._one(fill)
                if why is not None:
                    return self._end("stopped", why)
                if self._signal is not None and self._in_sync:
                    why = f"stopped by a signal after step {self.step}; trueloop resume goes on"
                    return self._end("interrupted", why)
            return self._end("completed", f"all {self.step} steps done")

    async def _fill(self) -> Fill | None:
        self._phase("refreshing interventions")
        await asyncio.to_thread(self.trainer.refresh, self.step + 1)
        self._phase("filling the step")
        return await self.feed.next(self.step + 1)

    @property
    def _in_sync(self) -> bool:
        """Whether the sampler's weights are the trainer's, so that a checkpoint holds both."""
        return self.sampler is None or self.step % self.sampler.sync_every == 0

    async def _one(self, fill: Fill) -> str | None:
        """One optimizer step and what follows it; why to stop, or None."""
        self._phase("recording the batch")
        await asyncio.to_thread(self._before, fill.streams)
        version = self.trainer.version
        report = await self._train(fill.streams)
        self.step += 1
        if self.sampler is not None and self._in_sync:
            self._phase("moving weights to the engine")
            await self.sampler.sync(self.trainer.version)
        row = metrics_row(self.step, report, {**fill.metrics, **self._monitor.measure(fill, report, version)})
        self.run.write_step(row, fill.rows)
        lively = await self._liveness.row(self.step, report, in_sync=self._in_sync)
        self._judge([*self._monitor.after_step(row, self.run), *self._monitor.beside(lively)])
        last = self.step == self.config.steps
        score = await self._evaluate() if self.guard is not None and (self.guard.due(self.step) or last) else None
        due = self.step % self.config.checkpoint_every == 0 or last
        if score is not None or (due and self._in_sync):
            self._checkpoint(score)
        self._watchdog.beat()
        self._progress.advance({k: row[k] for k in self.shown if k in row})
        return self.guard.verdict() if self.guard is not None and score is not None else None

    def _before(self, streams: Sequence[Stream]) -> None:
        """Record what the step will train on, as far as there is room, and look at the weights that it will change."""
        self._streams, recent = streams, self.run.recent
        batch = recorded(streams)
        if recent.write(self.step + 1, batch) is None and (all_kept := self.run.checkpoints.all()):
            recent.drop(until=all_kept[-1].step)
            recent.write(self.step + 1, batch)
        self._liveness.before(self.step + 1)

    async def _train(self, streams: Sequence[Stream]) -> StepReport:
        self._phase("optimizer step")
        done = False
        try:
            report = await asyncio.to_thread(self._step, streams)
            done = True
            return report
        finally:
            if not done:
                error = sys.exception()
                self._save_failure(self.step + 1, {"error": type(error).__name__, "why": str(error)})

    def _step(self, streams: Sequence[Stream]) -> StepReport:
        self._busy = True
        try:
            return self.trainer.step(streams)
        finally:
            self._busy = False

    def _leave_if_hung(self, why: str) -> None:
        """A thread that hangs in a step cannot be ended, and the process would wait for it for ever."""
        if self._busy:
            print(f"error: {why}; the step still hangs: left without it", file=sys.stderr, flush=True)
            os._exit(1)

    async def _evaluate(self) -> float:
        assert self.guard is not None
        self._phase("guard evaluation", counted=False)
        value, row = await self.guard.measure(self.step)
        self.run.add_evaluation({"name": "guard", **row}, self.step)
        self._judge(self._monitor.after_evaluation(row, self.step))
        return value

    def _checkpoint(self, score: float | None) -> None:
        self._phase("checkpoint")
        self._keep_rest(ended=False)
        guard = self.guard.state() if self.guard else None
        state = {"step": self.step, "feed": self.feed.state(), "guard": guard, "liveness": self._liveness.state()}

        def write(directory: Path) -> None:
            checkpoint.write(directory, self.trainer)
            (directory / "loop.json").write_text(json.dumps(state))

        self.run.checkpoints.save(self.step, write, score=score)
        kept = [c.step for c in self.run.checkpoints.all()]
        self.run.recent.drop(until=kept[-2] if len(kept) > 1 else kept[-1])

    def _end(self, outcome: Literal["completed", "stopped", "interrupted"], why: str) -> Ending:
        if all(c.step != self.step for c in self.run.checkpoints.all()):
            self._checkpoint(None)
        self._keep_rest(ended=outcome != "interrupted")
        if outcome != "interrupted":
            self._judge(self._monitor.end(self.run, self.step))
        if still := self._monitor.seen.steps - self._monitor.seen.moved:
            why = f"{why}; {still} of {self.step} steps changed nothing"
        return Ending(step=self.step, outcome=outcome, why=why, signal=self._signal)

    def _keep_rest(self, *, ended: bool) -> None:
        """Write rollouts that no step has taken, such as those filtered after the last one was filled."""
        if rows := self.feed.rest(ended=ended):
            self.run.add_rollouts(rows, rows[0]["step"])

    def _phase(self, name: str, *, counted: bool = True) -> None:
        self._watchdog.phase(name, counted=counted)
        self._progress.phase(name)

    def _judge(self, results: Sequence[CheckResult]) -> None:
        """Write results down; a fail that nobody allowed ends the run, with what repeats the step."""
        for result in results:
            self.run.add_check(result, self.step)
            if result.status == "warn" and result.advice:
                self._progress.say(f"warning: step {self.step}: {result.id}: {result.evidence}; {result.advice}")
        if failed := [r for r in results if r.refuses]:
            words = "; ".join(f"{r.id}: {r.evidence}; {r.advice}" for r in failed)
            self._save_failure(self.step, {"error": CheckFailed.__name__, "why": words})
            kept = self.run.checkpoints.latest()
            good = f"the last good checkpoint is {kept.path}" if kept else "there is no checkpoint from before"
            raise CheckFailed(f"step {self.step}: {words}\n{good}; trueloop doctor {self.run.path} says more")

    def _save_failure(self, step: int, why: Mapping[str, Json]) -> None:
        """The step with all that repeats it; what ended it matters more than a bundle that cannot be written."""
        with suppress(StoreError):
            self.run.recent.write(step, recorded(self._streams), room=False)
            write_bundle(self.run, step, why)

    def _handle_signals(self, on: bool) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            if on:
                loop.add_signal_handler(number, self._on_signal, number)
            else:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: int) -> None:
        if self._signal is not None:
            words = "interrupted twice: left at once; trueloop resume goes on from the last checkpoint"
            print(f"\n{words}", file=sys.stderr, flush=True)
            os._exit(128 + number)
        self._signal = number
        print("\ninterrupted: finishing this step and saving (again to leave at once)", file=sys.stderr)

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
