"""The optimizer step: streams in, changed weights and a report out, blind to the algorithm."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trueloop.errors import ModelError, TrainingError
from trueloop.models.attention import partial_layers
from trueloop.models.policy import Policy
from trueloop.records import Metric, Sample, StepReport, derive_seed
from trueloop.train import optim as optimizers
from trueloop.train.batch import Batching, Pass, Stream
from trueloop.train.interventions import Chain, Named
from trueloop.train.optim import Optim
from trueloop.train.packing import Limits
from trueloop.train.parallel import Workers
from trueloop.train.passes import Runner, Tally, flat_buffer, merge
from trueloop.train.plan import Plan, alone, is_trained, plan, scoring, shared_rows

log = logging.getLogger(__name__)

PREFIX_TOLERANCE = 1e-3
"""Largest float32 difference of a log-probability between a shared and a plain row that passes for rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What one row (or pair) brings to a step by itself: its part of the loss, and the norm of its part of the
    gradient; `why` in the place of both where it has none."""

    stream: str
    id: str
    loss: float | None
    norm: float | None
    why: str = ""


class Trainer:
    """Takes optimizer steps on a policy.

    version  optimizer steps taken: it counts changes of the weights
    steps    calls of `step`, which the learning-rate schedule counts

    A step whose gradient is exactly 0 (every row silent, say every advantage 0) changes nothing: without this, momentum
    and weight decay would move the weights where the data said nothing.  Interventions are not asked then, the
    version stays, the schedule goes on, and the report says gradient norm 0.

    With `workers` the passes are divided over processes.  They belong to the caller, who closes them.

    `seed` is that of dropout, for models that have it.

    Rows share a prefix only if every layer of the model sees the whole row, and the first one in which completions must
    not see each other is also scored as plain rows.  `shared_prefix_gap` is the largest difference of a log-probability
    then, None before.  Where it is not rounding, or the model refuses such a row, all rows are plain from then on,
    `plain_because` says why, and a warning is logged.
    """

    def __init__(
        self,
        policy: Policy,
        optim: Optim,
        batching: Batching,
        *,
        interventions: Sequence[object] = (),
        workers: Workers | None = None,
        seed: int = 0,
    ) -> None:
        self.policy, self.optim, self.batching, self.seed = policy, optim, batching, seed
        self.chain = Chain(interventions)
        self.version = 0
        self.steps = 0
        self.trainable = policy.trainable()
        compute_dtype = getattr(torch, batching.compute_dtype)
        self._runner = Runner(policy, self.trainable, flat_buffer(self.trainable), compute_dtype)
        self._optimizer = optimizers.adamw(optim, self.trainable)
        self._workers = workers
        self._share = batching.shared_prefix
        self.shared_prefix_gap: float | None = None
        self.plain_because: str | None = None

    def step(self, streams: Sequence[Stream]) -> StepReport:
        """One optimizer step on the sum of the streams' losses, each `coefficient` times its reduced loss.

        Raises `TrainingError`, with the weights untouched, for a loss or a gradient that is not finite (naming the
        stream, the rows and the value) and for a step without a trainable token; `DataError` for contradictory rows.
        """
        clock = _Clock()
        with clock("plan"):
            work = self._plan(streams)
        with clock("passes"):
            tallies = self._accumulate(work.passes)
        norm = self._finite_norm(work.passes)
        lr = optimizers.learning_rate(self.optim, self.steps)
        metrics = work.metrics | _metrics(streams, tallies)
        if norm > 0.0:
            norm = self._apply(tuple(streams), norm, lr, clock)
            metrics |= self.chain.metrics()
            self.version += 1
        self.steps += 1
        return StepReport(
            step=self.steps,
            version=self.version,
            loss=sum(tally.loss for tally in tallies),
            grad_norm=norm,
            lr=lr,
            denominator=work.denominator,
            metrics=metrics,
            seconds=clock.seconds,
        )

    def backward(self, streams: Sequence[Stream], *, at: Mapping[str, Tensor] | None = None) -> Named:
        """Gradient of the summed loss of `streams`, at the weights displaced by `at`; no weight changes.

        It may be called at any time, an intervention's turn within a step included.  Raises as `step` does.
        """
        with _displaced(self.trainable, at or {}):
            work = self._plan(streams)
            self._accumulate(work.passes)
            self._finite_norm(work.passes)
        return self._gradients()

    @property
    def gradients(self) -> Named:
        """What the last step or backward accumulated, as clipped; the trainer's own tensors, not copies."""
        return self._runner.gradients

    def contributions(self, streams: Sequence[Stream]) -> list[Contribution]:
        """Row by row what it brings to the step of `streams`, interventions aside; no weight changes."""
        found = []
        for work in (one for whole in self._plan(streams).passes for one in alone(whole)):
            self._runner.flat.zero_()
            try:
                (tally,) = self._runner.backward([work], self.chain)
            except TrainingError as error:
                found.append(Contribution(stream=work.stream, id=work.ids[0], loss=None, norm=None, why=str(error)))
                continue
            norm = optimizers.gradient_norm(self._runner.gradients)
            found.append(Contribution(stream=work.stream, id=work.ids[0], loss=tally.loss, norm=norm))
        return found

    def refresh(self, step: int) -> None:
        """Let the interventions renew what they hold before step `step`; the loop calls it before it fills the step."""
        self.chain.refresh(step, _Backward(self, ()))

    def logprobs(self, samples: Sequence[Sample], temperature: float = 1.0) -> list[tuple[float, ...]]:
        """Per sample and token: log p(token | tokens before it) under the policy; 0.0 where it is not trained.

        The rows, the packing and the forward pass are those of a step, without gradient and dropout.
        """
        trained = [k for k, sample in enumerate(samples) if is_trained(sample)]
        columns = [[0.0] * len(sample.tokens) for sample in samples]
        if not trained:
            return [tuple(column) for column in columns]
        planned = scoring([samples[k] for k in trained], temperature, self._limits())
        if not self._sharing_holds([work for _, work in planned]):
            planned = scoring([samples[k] for k in trained], temperature, self._limits())
        scored = self._score([work for _, work in planned])
        for (ks, _), found in zip(planned, scored, strict=True):
            for k, values in zip(ks, found, strict=True):
                _fill(columns[trained[k]], samples[trained[k]].loss_mask, values)
        return [tuple(column) for column in columns]

    def state_dict(self) -> dict[str, Any]:
        """Counters, moments and interventions: with the weights, all that the next step depends on, since dropout draws
        from the seed and the step."""
        moments = optimizers.moments(self._optimizer, self.trainable)
        counters = {"version": self.version, "steps": self.steps}
        return {**counters, "moments": moments, "interventions": self.chain.state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken; the weights are the caller's to restore."""
        optimizers.load_moments(self._optimizer, self.trainable, state["moments"])
        self.chain.restore(state["interventions"])
        self.version, self.steps = state["version"], state["steps"]

    def _limits(self) -> Limits:
        parts = self._workers.processes if self._workers else 1
        return Limits(budget=self.batching.budget, share=self._share, parts=parts)

    def _plan(self, streams: Sequence[Stream]) -> Plan:
        seed = derive_seed(self.seed, "dropout", self.steps)
        work = plan(streams, self._limits(), seed)
        return work if self._sharing_holds(work.passes) else plan(streams, self._limits(), seed)

    def _sharing_holds(self, passes: Sequence[Pass]) -> bool:
        """Whether the passes can be run as they are; False once, when shared rows were found to be wrong."""
        shared = next((one for whole in passes for one in shared_rows(whole)), None)
        if shared is None or self.shared_prefix_gap is not None:
            return True
        self.plain_because = self._why_plain(shared)
        if self.plain_because is not None:
            self._share = False
            log.warning("rows with a shared prefix are not used: %s", self.plain_because)
        return self._share

    def _why_plain(self, shared: Pass) -> str | None:
        """None if this row has the log-probabilities of plain ones, else the reason for using those."""
        if partial := partial_layers(self.policy.base_model):
            return f"not every layer sees the whole row ({', '.join(partial)})"
        try:
            gap = self.shared_prefix_gap = self._runner.prefix_gap(shared)
        except (ModelError, TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
            return f"such a row fails: {type(error).__name__}: {error}"
        return None if gap <= PREFIX_TOLERANCE else f"shared and plain rows differ by {gap:.2g} in a log-probability"

    def _gradients(self) -> Named:
        """A copy of what was accumulated, which the next backward overwrites."""
        return {name: g.clone() for name, g in self._runner.gradients.items()}

    def _accumulate(self, passes: Sequence[Pass]) -> list[Tally]:
        self._runner.flat.zero_()
        if self._workers:
            return self._workers.backward(self._runner, passes, self.chain)
        return self._runner.backward(passes, self.chain)

    def _score(self, passes: Sequence[Pass]) -> list[list[list[float]]]:
        return self._workers.logprobs(self._runner, passes) if self._workers else self._runner.logprobs(passes)

    def _finite_norm(self, passes: Sequence[Pass]) -> float:
        """Norm of the accumulated gradient."""
        norm = optimizers.gradient_norm(self._runner.gradients)
        if norm < float("inf"):
            return norm
        raise self._blame(passes, norm)

    def _blame(self, passes: Sequence[Pass], norm: float) -> TrainingError:
        """Run the rows one by one to say whose gradient is not finite, and where."""
        named = self._runner.gradients
        for work in (one for whole in passes for one in alone(whole)):
            self._runner.flat.zero_()
            self._runner.backward([work], self.chain)
            if not bool(self._runner.flat.isfinite().all()):
                where = [name for name, g in named.items() if not bool(g.isfinite().all())]
                return TrainingError(
                    f"stream {work.stream!r}: the gradient of {work.ids[0]} is nan or inf in {len(where)} of "
                    f"{len(named)} parameters, the last is {where[-1]!r}, while its loss is finite; no weight was "
                    "changed; look for a ratio or an exponential in the loss that overflows"
                )
        return TrainingError(
            f"the step's gradient norm is {norm} though every row's gradient is finite: their sum overflows; no weight "
            "was changed; lower the coefficients or the weights"
        )

    def _apply(self, streams: tuple[Stream, ...], norm: float, lr: float, clock: _Clock) -> float:
        """Interventions on the gradient of this norm, clipping, AdamW; returns the norm before clipping."""
        with clock("interventions"):
            norm = self._intervene(streams, norm)
        with clock("optimizer"):
            optimizers.clip(self._runner.gradients, norm, self.optim.max_grad_norm)
            optimizers.set_learning_rate(self._optimizer, lr)
            self._advance()
        return norm

    def _intervene(self, streams: tuple[Stream, ...], norm: float) -> float:
        """Let the interventions have the gradient of this norm; returns the norm of what they leave."""
        if not self.chain.having("gradients"):
            return norm
        for name, g in self.chain.gradients(self._gradients(), _Backward(self, streams)).items():
            self._runner.gradients[name].copy_(g)
        return optimizers.gradient_norm(self._runner.gradients)

    def _advance(self) -> None:
        """The optimizer's step, or what the update interventions make of it; the old weights if they fail."""
        if not self.chain.having("update"):
            self._optimizer.step()
            return
        changes = self.chain.update(self._tried())
        with torch.no_grad():
            for name, delta in changes.items():
                self.trainable[name].add_(delta)

    @torch.no_grad()
    def _tried(self) -> Named:
        """What the optimizer's step changes, with the weights as they were before it."""
        before = {name: p.clone() for name, p in self.trainable.items()}
        self._optimizer.step()
        deltas = {name: p - before[name] for name, p in self.trainable.items()}
        for name, p in self.trainable.items():
            p.copy_(before[name])
        return deltas


class _Backward:
    """What an intervention is given to take further gradients with (`interventions.Backward`)."""

    def __init__(self, trainer: Trainer, streams: tuple[Stream, ...]) -> None:
        self._trainer, self.streams = trainer, streams

    def __call__(self, streams: Sequence[Stream], *, at: Mapping[str, Tensor] | None = None) -> Named:
        return self._trainer.backward(streams, at=at)


class _Clock:
    """Wall seconds by part of the step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start


@contextmanager
def _displaced(trainable: Mapping[str, Tensor], at: Mapping[str, Tensor]) -> Iterator[None]:
    """The weights plus `at` inside; bit by bit the old ones after."""
    unknown = sorted(at.keys() - trainable.keys())
    if unknown:
        raise TrainingError(f"cannot displace {unknown[0]!r}: it is not among the {len(trainable)} trained parameters")
    kept = {name: trainable[name].detach().clone() for name in at}
    try:
        with torch.no_grad():
            for name, shift in at.items():
                trainable[name].add_(shift)
        yield
    finally:
        with torch.no_grad():
            for name, weights in kept.items():
                trainable[name].copy_(weights)


def _metrics(streams: Sequence[Stream], tallies: Sequence[Tally]) -> dict[str, Metric]:
    """Per stream `<name>/loss`, its reduced loss before the coefficient, and what its loss returned, merged."""
    found: dict[str, Metric] = {}
    for stream in (s for s in streams if s.rows()):
        own = [tally for tally in tallies if tally.stream == stream.name]
        if stream.coefficient:
            loss = sum(tally.loss for tally in own) / stream.coefficient
            found[f"{stream.name}/loss"] = Metric(total=loss, count=1, low=loss, high=loss)
        found |= {f"{stream.name}/{name}": m for name, m in merge([tally.metrics for tally in own]).items()}
    return found


def _fill(column: list[float], mask: Sequence[bool], values: Sequence[float]) -> None:
    trained = (t for t, is_trained_token in enumerate(mask) if is_trained_token)
    for t, value in zip(trained, values, strict=True):
        column[t] = value
