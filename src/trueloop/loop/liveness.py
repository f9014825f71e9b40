"""The ledger of liveness: what moved in the trainer at each step, what the sampler holds, and what checks make of it.

One row of liveness.jsonl a step, without wall times, so that a resumed run writes the same rows:

    version, weights           of the trainer after the step; a checksum over every bit that is trained
    tensors, moved, update     trained tensors, how many this step changed, and by how much relative to their size
    largest, smallest          [name, relative change] of the tensors that moved
    never, still, silent       names that have not moved so far; names -> steps without a move, without a gradient
    sampler                    where it was asked: version, checksum of what it holds and of what it should hold
    probe                      where it was asked: the greedy answers with both log-probabilities
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Protocol

from pydantic import Field

from trueloop.checks import served
from trueloop.config import Config
from trueloop.engines.base import Engine
from trueloop.loop.moving import Glance, Movement, glance, movement, without_gradient
from trueloop.loop.probe import Probe, compared
from trueloop.models import Policy
from trueloop.records import CheckResult, Json, StepReport
from trueloop.store.run import Run
from trueloop.train.step import Trainer

EPS = 1.2e-7
"""Distance of float32 numbers, relative to their size."""

MOVABLE = 10.0
"""Such distances that the learning rate must reach before a tensor that stands still means anything."""

NAMED = 8
"""Names in a row."""


class LivenessConfig(Config):
    """What is looked at while a run trains.

    every          steps between rows on what moved
    sampler_every  steps between comparisons of all the sampler's weights with the trainer's
    probe_every    steps between greedy probes
    probes         problems of a probe; 0: none
    """

    every: Annotated[int, Field(ge=1)] = 1
    sampler_every: Annotated[int, Field(ge=1)] = 10
    probe_every: Annotated[int, Field(ge=1)] = 10
    probes: Annotated[int, Field(ge=0)] = 4


class Following(Protocol):
    """The sampler of a loop."""

    @property
    def engine(self) -> Engine:
        """What samples."""
        ...

    @property
    def policy(self) -> Policy:
        """What it follows."""
        ...


class Liveness:
    """Looks before and after a step; `row` writes what it saw and returns what the checks say of it."""

    def __init__(
        self, config: LivenessConfig, run: Run, trainer: Trainer, sampler: Following | None, probe: Probe | None
    ) -> None:
        self.config, self.run, self.trainer, self.sampler, self.probe = config, run, trainer, sampler, probe
        self._last: tuple[int, Glance] | None = None
        self._before: Glance | None = None
        self._asked: list[Json] = []
        self._held: str | None = None
        self._results: list[CheckResult] = []
        self._probed: dict[str, Json] = {}
        self._steps = 0
        self._never: set[str] | None = None
        self._mute: set[str] | None = None
        self._still: dict[str, int] = {}
        self._silent: dict[str, int] = {}

    def before(self, step: int) -> None:
        """Look at the weights that `step` will change, and ask the trainer about the probe; takes a moment."""
        self._results, self._probed = [], {}
        if self.probe is not None and (answers := self.probe.measure(self.trainer)):
            version = self.trainer.version
            self._results = compared(answers, self._asked, version=version, dtype=self.probe.dtype)
            self._asked = [answer.row() for answer in answers]
            self._probed = {"probe": {"trainer_version": version, "answers": self._asked}}
        if step % self.config.every == 0:
            known = self._last is not None and self._last[0] == step - 1
            self._before = self._last[1] if known and self._last is not None else glance(self.trainer.trainable)

    async def row(self, step: int, report: StepReport, *, in_sync: bool) -> list[CheckResult]:
        """Write the row of a step that was taken; the checks' answers."""
        row, results = self._probed, list(self._results)
        if step % self.config.every == 0:
            row, moved = await asyncio.to_thread(self._moved, step, report)
            row |= self._probed
            results.append(moved)
        if self.sampler is not None and in_sync and (step <= 2 or step % self.config.sampler_every == 0):
            held, result = await self._holds(self.sampler)
            row = {**row, "sampler": held}
            results.append(result)
        if row:
            self.run.add_liveness(row, step)
        return results

    def state(self) -> Json:
        """What `restore` goes on from, beside the run's own rows."""
        return {
            "steps": self._steps,
            "held": self._held,
            "never": None if self._never is None else sorted(self._never),
            "mute": None if self._mute is None else sorted(self._mute),
            "still": self._still,
            "silent": self._silent,
        }

    def restore(self, state: Json) -> None:
        """Go on after the run's last row."""
        self._steps, self._held = state["steps"], state["held"]
        self._never = None if state["never"] is None else set(state["never"])
        self._mute = None if state["mute"] is None else set(state["mute"])
        self._still, self._silent = dict(state["still"]), dict(state["silent"])
        probes = [row["probe"]["answers"] for row in self.run.liveness() if "probe" in row]
        self._asked = probes[-1] if probes else []

    def _moved(self, step: int, report: StepReport) -> tuple[dict[str, Json], CheckResult]:
        assert self._before is not None
        trainable = self.trainer.trainable
        after = glance(trainable)
        found = movement(self._before, after, {name: p.numel() for name, p in trainable.items()})
        self._last = (step, after)
        if report.grad_norm > 0:
            self._count(found, report.lr)
        sizes = sorted((found.sizes[name], name) for name in found.moved)
        never = sorted(self._never or ())
        row: dict[str, Json] = {
            "version": self.trainer.version,
            "weights": after.digest,
            "tensors": len(trainable),
            "moved": len(found.moved),
            "update": found.overall,
            "largest": [sizes[-1][1], sizes[-1][0]] if sizes else None,
            "smallest": [sizes[0][1], sizes[0][0]] if sizes else None,
            "never": {"count": len(never), "names": never[:NAMED]},
            "still": dict(list(self._still.items())[:NAMED]),
            "silent": dict(list(self._silent.items())[:NAMED]),
        }
        result = served.tensor_never_moves(
            trained=len(trainable), steps=self._steps, never=never, still=self._still, silent=self._silent
        )
        return row, result

    def _count(self, found: Movement, lr: float) -> None:
        """Bring up to date who has moved, and who has had a gradient, in a step that was to change weights."""
        names, moved = list(found.sizes), set(found.moved)
        without = set(without_gradient(self.trainer.gradients))
        never = set(names) if self._never is None else self._never
        mute = set(names) if self._mute is None else self._mute
        able = {name for name in names if lr >= MOVABLE * EPS * found.scale[name]}
        stuck = [n for n in names if n not in moved and n not in never and n in able]
        self._still = {name: self._still.get(name, 0) + 1 for name in stuck}
        self._silent = {name: self._silent.get(name, 0) + 1 for name in names if name in without and name not in mute}
        self._never, self._mute = never - moved, mute & without
        self._steps += 1

    async def _holds(self, sampler: Following) -> tuple[dict[str, Json], CheckResult]:
        held, expected = await asyncio.to_thread(_checksums, sampler)
        before, self._held = self._held, held
        version, said = self.trainer.version, sampler.engine.version
        row = {"version": said, "checksum": held, "expected": expected, "agree": held == expected if held else None}
        result = served.sampler_holds_trainer_weights(
            version=version, held_version=said, expected=expected, held=held, before=before
        )
        return row, result


def _checksums(sampler: Following) -> tuple[str | None, str | None]:
    """Of the weights that the engine holds, and of those that it should; None for an engine that cannot say."""
    engine: Any = sampler.engine
    if not hasattr(engine, "checksum_of"):
        return None, None
    return engine.checksum, engine.checksum_of(sampler.policy.engine_weights())
