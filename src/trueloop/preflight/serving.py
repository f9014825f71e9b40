"""Whether what samples follows what is trained, and whether what is saved is what was trained."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import torch

from trueloop.checks import serving as checks
from trueloop.engines.base import Engine
from trueloop.errors import EngineError
from trueloop.models import Policy
from trueloop.models.samples import sample_logprobs
from trueloop.preflight.rehearsal import Rehearsal
from trueloop.preflight.trial import Trial
from trueloop.preflight.undo import on_cpu
from trueloop.records import CheckResult, Completion, Request, Sample, Sampling
from trueloop.store.artefacts import PARTIAL
from trueloop.train import checkpoint
from trueloop.train.batch import Stream
from trueloop.train.step import Trainer

SEQUENCES = 8
PROBES, PROBED = 4, 16
"""Completions that are drawn from new weights, and their tokens."""

LARGEST_SAVED = 4_000_000_000
"""Bytes that are written and read again before a run, where they are at most a fifth of what is free."""

VISIBLE, TOO_MUCH = 0.2, 3.0
"""Mean change of a log-probability, in nats, between which the weights are told apart from the old ones."""

NOBODY = "no-such-adapter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Log-probabilities of the trained tokens of some sequences, under the policy before and after a visible step."""

    samples: Sequence[Sample]
    temperature: float
    old: Sequence[float]
    new: Sequence[float]


async def serving(rehearsal: Rehearsal, trial: Trial, streams: Sequence[Stream]) -> AsyncIterator[CheckResult]:
    """The serving checks.  Leaves the policy at other weights and the engine too: the caller puts both back."""
    engine, policy, trainer = rehearsal.engine, rehearsal.policy, trial.trainer
    if policy.adapter is not None:
        yield checks.unknown_adapter_refused(await _accepts(engine, _prompt(streams[0].rows()[0])))
    seen = visible_step(trial, streams)
    if seen is None:
        yield checks.sampler_follows(None, None, 0.0, 0, 0)
        return
    before = await _engine_says(engine, seen)
    version = trainer.version + 1
    await engine.load_weights(policy.engine_weights(), version)
    after = await _engine_says(engine, seen)
    noise = rms([b - o for b, o in zip(before, seen.old, strict=True)])
    moved = [n - o for n, o in zip(seen.new, seen.old, strict=True)]
    yield checks.sampler_follows(
        moved, [a - b for a, b in zip(after, before, strict=True)], noise, engine.version, version
    )
    yield checks.sampler_draws_from_new(*await _probed(engine, trial, seen.samples))
    yield await _saved(trial, policy, seen, rehearsal.place or Path(tempfile.gettempdir()))


def visible_step(trial: Trial, streams: Sequence[Stream]) -> Seen | None:
    """The tried step, made as long as it takes for log-probabilities to change visibly; None where nothing does it.

    Leaves the policy there.
    """
    stream = streams[0]
    samples = [s for s in stream.rows() if s.trained_tokens][:SEQUENCES]
    trial.go(0.0)
    old, lr = _trainer_says(trial, samples, stream.temperature), trial.lr
    for _ in range(24):
        trial.go(lr)
        new = _trainer_says(trial, samples, stream.temperature)
        change = sum(abs(n - o) for n, o in zip(new, old, strict=True)) / len(old)
        if VISIBLE <= change <= TOO_MUCH:
            return Seen(samples=samples, temperature=stream.temperature, old=old, new=new)
        lr *= 3.0 if change < VISIBLE else 0.2
    return None


def rms(values: Sequence[float]) -> float:
    """Root mean square."""
    return math.sqrt(math.fsum(v * v for v in values) / len(values))


def _trainer_says(trial: Trial, samples: Sequence[Sample], temperature: float) -> list[float]:
    return _trained(samples, trial.trainer.logprobs(samples, temperature))


async def _engine_says(engine: Engine, seen: Seen) -> list[float]:
    rows = await engine.logprobs([s.tokens for s in seen.samples], temperature=seen.temperature)
    return _trained(seen.samples, rows)


def _trained(samples: Sequence[Sample], rows: Sequence[Sequence[float]]) -> list[float]:
    return [v for s, row in zip(samples, rows, strict=True) for m, v in zip(s.loss_mask, row, strict=True) if m]


def _prompt(sample: Sample) -> tuple[int, ...]:
    return sample.tokens[: sample.loss_mask.index(True)]


async def _accepts(engine: Engine, prompt: tuple[int, ...]) -> bool:
    """Whether the engine answers for an adapter that it does not have."""
    request = Request(id="adapter", prompt=prompt, sampling=Sampling(max_tokens=1), adapter=NOBODY)
    try:
        async with aclosing(engine.generate([request])) as answers:
            return [done.finish async for _, done in answers] not in ([], ["error"])
    except EngineError:
        return False


async def _drawn(engine: Engine, samples: Sequence[Sample]) -> dict[str, Completion]:
    requests = [
        Request(id=f"probe {k}", prompt=_prompt(s), sampling=Sampling(max_tokens=PROBED, seed=k))
        for k, s in enumerate(samples[:PROBES])
    ]
    async with aclosing(engine.generate(requests)) as answers:
        return {name: done async for name, done in answers}


async def _probed(
    engine: Engine, trial: Trial, samples: Sequence[Sample]
) -> tuple[list[float], list[float], list[float]]:
    """Of tokens that the engine draws: what it says of them, what the trainer says at its weights of now and at those
    before the step."""
    found = await _drawn(engine, samples)
    rows: list[Sample] = []
    said: list[float] = []
    for k, sample in enumerate(samples[:PROBES]):
        prompt, done = _prompt(sample), found[f"probe {k}"]
        mask = (False,) * len(prompt) + (True,) * len(done.tokens)
        rows.append(Sample(id=f"{k}", tokens=prompt + done.tokens, loss_mask=mask, weights=tuple(map(float, mask))))
        said += done.policy_logprobs
    now = _trainer_says(trial, rows, 1.0)
    kept = on_cpu(trial.trainer.trainable)
    trial.go(0.0)
    old = _trainer_says(trial, rows, 1.0)
    with torch.no_grad():
        for name, p in trial.trainer.trainable.items():
            p.copy_(kept[name])
    return said, now, old


async def _saved(trial: Trial, policy: Policy, seen: Seen, place: Path) -> CheckResult:
    """Write a checkpoint, load its model as a stranger would, and go back to it as a resume would."""
    trainer = trial.trainer
    needed, free = written(policy, trainer), shutil.disk_usage(place).free
    if needed > min(LARGEST_SAVED, free / 5):
        why = f"it has {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free in {place}"
        return checks.checkpoint_loads(None, None, 0, why=why)
    try:
        missed, lost = _written_and_read(trial, seen, place)
    except OSError as error:
        return checks.checkpoint_loads(None, None, 0, why=str(error))
    moved = [n - o for n, o in zip(seen.new, seen.old, strict=True)]
    return checks.checkpoint_loads(moved, missed, lost)


def written(policy: Policy, trainer: Trainer) -> int:
    """About the bytes of a checkpoint: what is saved of the model, and trained weights and moments in float32."""
    model = trainer.trainable.values() if policy.adapter is not None else policy.model.parameters()
    return sum(p.numel() * p.element_size() for p in model) + 12 * sum(p.numel() for p in trainer.trainable.values())


def _written_and_read(trial: Trial, seen: Seen, parent: Path) -> tuple[list[float], int]:
    """What the loaded model is off by at each token, and how many tensors a resume does not bring back."""
    trainer = trial.trainer
    now = on_cpu(trainer.trainable)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".", suffix=PARTIAL, ignore_cleanup_errors=True) as folder:
        place = Path(folder) / "checkpoint"
        place.mkdir()
        checkpoint.write(place, trainer)
        loaded = Policy.load(place / checkpoint.MODEL, if_adapter="continue")
        said = sample_logprobs(
            loaded.model,
            seen.samples,
            temperature=seen.temperature,
            compute_dtype=getattr(torch, trainer.batching.compute_dtype),
        )
        trial.go(0.0)
        checkpoint.read(place, trainer)
    lost = [name for name, p in trainer.trainable.items() if not p.detach().cpu().equal(now[name])]
    return [s - n for s, n in zip(_trained(seen.samples, said), seen.new, strict=True)], len(lost)
