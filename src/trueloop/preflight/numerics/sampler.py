"""Sampler and trainer side by side on the rehearsal's own completions."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trueloop.checks.numerics import reference as starts
from trueloop.checks.numerics import sampler as asked
from trueloop.checks.numerics.cause import beyond, explain, gap
from trueloop.engines.base import Engine
from trueloop.errors import EngineError
from trueloop.preflight.numerics.draws import Drawn, drawn, entropies, together
from trueloop.preflight.numerics.sight import Sight, spread
from trueloop.preflight.rehearsal import Rehearsal
from trueloop.records import CheckResult, Completion, Request, Rollout, Sample, Sampling, derive_seed
from trueloop.train.batch import Stream
from trueloop.train.step import Trainer

ROWS = 64
HOT, HOT_ROWS, HOT_TOKENS = 2.5, 32, 16
"""Temperature, relative to the run's, completions and tokens of further draws."""
POSITIONS = 8192
"""Most positions of the rows that are scored, at least one row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Rows with what the trainer says of their trained tokens, flat, and what it says a second time."""

    trainer: Trainer
    sight: Sight
    samples: Sequence[Sample]
    values: Sequence[tuple[float, ...]]
    again: Sequence[tuple[float, ...]]
    limits: tuple[float, float]

    @classmethod
    def of(cls, trainer: Trainer, samples: Sequence[Sample], temperature: float, types: Sequence[str]) -> Scored:
        """Score the rows twice, in the trainer's own passes."""
        sight = Sight.of(trainer.policy, samples, temperature)
        values, again = (trainer.logprobs(samples, temperature) for _ in range(2))
        limits = sight.limits([*types, trainer.batching.compute_dtype])
        return cls(trainer=trainer, sight=sight, samples=samples, values=values, again=again, limits=limits)

    def flat(self, values: Sequence[Sequence[float]]) -> list[float]:
        """Of values per row and token: those of the trained tokens, in turn."""
        rows = zip(values, self.samples, strict=True)
        return [v for own, s in rows for v, on in zip(own, s.loss_mask, strict=True) if on]

    def cause(
        self,
        claimed: Sequence[Sequence[float]],
        more: Callable[[], dict[str, list[float]]] = dict,
    ) -> str | None:
        """What explains the gap between claimed values, per row and token, and the trainer's; None without one."""
        if beyond(gap(self.flat(claimed), self.flat(self.values)), self.limits) <= 1:
            return None
        seen, expected = self.sight.of_rows(claimed), self.sight.of_rows(self.values)
        if beyond(gap(seen, expected), self.limits) <= 1:
            return f"the first {len(seen)} tokens agree, what comes after them does not"
        rms = self.sight.noise()[2]
        noise = {"computed in bfloat16": rms, "computed in float16": rms / 8}
        return explain(seen, expected, self.sight.candidates(seen) | more(), noise)


async def sampler(rehearsal: Rehearsal) -> AsyncIterator[CheckResult]:
    """The checks of what the sampler claims and draws; of the trainer's forward pass also where nothing is sampled."""
    rollouts, temperature = rehearsal.rollouts, rehearsal.sampling.temperature
    if not rollouts:
        for stream in rehearsal.streams:
            rows = few({s.id: [s] for s in stream.rows()})
            yield _forward(Scored.of(rehearsal.trainer, rows, stream.temperature, []))
    samples = few(by_problem(rollouts))
    if not samples or temperature <= 0:
        return
    scored = Scored.of(rehearsal.trainer, samples, temperature, [engine_type(rehearsal.engine)])
    claims = {r.id: r for r in rollouts}
    yield _forward(scored)
    async for result in _claims(rehearsal, scored, [claims[s.id] for s in samples]):
        yield result
    if rehearsal.learned:
        yield asked.untrained_weights(entropies(scored.sight), scored.sight.logits_NV.shape[1])


def starting_points(
    rehearsal: Rehearsal, streams: Sequence[Stream], reads_old: Sequence[bool]
) -> Iterator[CheckResult]:
    """Reference and ratio before the first step, of the streams that have them.  reads_old: per stream, whether its
    loss reads the log-probabilities of an old policy."""
    types = [engine_type(rehearsal.engine)]
    for stream, reads in zip(streams, reads_old, strict=True):
        rows = few({s.id: [s] for s in stream.samples})
        if not rows or (rows[0].ref_logprobs is None and not (reads and rows[0].logprobs is not None)):
            continue
        scored = Scored.of(rehearsal.trainer, rows, stream.temperature, types)
        trained = scored.flat(scored.values)
        if reads and (old := [s.logprobs for s in rows if s.logprobs is not None]):
            yield starts.ratio_starts_at_one(scored.flat(old), trained, limits=scored.limits, cause=scored.cause(old))
        if ref := [s.ref_logprobs for s in rows if s.ref_logprobs is not None]:
            yield starts.reference_is_policy(scored.flat(ref), trained, limits=scored.limits, cause=scored.cause(ref))


async def _claims(rehearsal: Rehearsal, scored: Scored, rollouts: Sequence[Rollout]) -> AsyncIterator[CheckResult]:
    """What the sampler claims of its tokens, and the tokens themselves."""
    claimed = [r.policy_logprobs for r in rollouts]
    own = await _own_scores(rehearsal.engine, scored)
    yield asked.sampler_trainer_gap(
        scored.flat(claimed),
        scored.flat(scored.values),
        limits=scored.limits,
        cause=scored.cause(claimed, lambda: own),
    )
    sampling, sight = rehearsal.sampling, scored.sight
    seen = drawn(sight, sampling, scored.limits[1])
    lots = together([seen, *await _hot(rehearsal, scored)])
    yield asked.draws_are_claimed(lots.ratios, lots.excess, math.sqrt(lots.variance), lots.n, lots.outside)
    truncated = bool(sampling.top_k) or sampling.top_p < 1
    expected = [c - k for c, k in zip(sight.of_rows(claimed), seen.kept, strict=True)]
    drawn_logprobs = sight.of_rows([r.logprobs for r in rollouts])
    inside = [k for k, e in enumerate(expected) if not truncated or e <= 0.1]
    yield asked.drawn_logprobs(
        [drawn_logprobs[k] for k in inside],
        [expected[k] for k in inside],
        truncated=truncated,
        limits=(scored.limits[0] * (10 if truncated else 1), scored.limits[1] * (100 if truncated else 1)),
    )
    if truncated:
        yield asked.truncation_corrected(seen.cut, _corrected(rehearsal), _settings(sampling))


async def _hot(rehearsal: Rehearsal, scored: Scored) -> list[Drawn]:
    """Tokens that the engine draws for the same prompts at a high temperature, where every token has a chance, so that
    truncation and penalties show."""
    sampling = replace(
        rehearsal.sampling, temperature=HOT * rehearsal.sampling.temperature, stop=(), max_tokens=HOT_TOKENS
    )
    prompts = list(dict.fromkeys(s.tokens[: s.loss_mask.index(True)] for s in scored.samples))[:HOT_ROWS]
    requests = [
        Request(
            id=str(k),
            prompt=prompts[k % len(prompts)],
            sampling=replace(sampling, seed=derive_seed(k, "hot"), max_tokens=HOT_TOKENS),
        )
        for k in range(HOT_ROWS)
    ]
    try:
        done = [c async for c in rehearsal.engine.generate(requests)]
    except EngineError:
        return []
    rows = {requests[int(name)].id: (requests[int(name)].prompt, c) for name, c in sorted(done)}
    found = [_drawn_row(name, prompt, c) for name, (prompt, c) in rows.items() if c.tokens]
    distinct = list({s.tokens: s for s in found}.values())
    if not distinct:
        return []
    return [drawn(Sight.of(rehearsal.policy, distinct, sampling.temperature), sampling, scored.limits[1])]


def _drawn_row(name: str, prompt: tuple[int, ...], completion: Completion) -> Sample:
    mask = (False,) * len(prompt) + (True,) * len(completion.tokens)
    return Sample(id=name, tokens=prompt + completion.tokens, loss_mask=mask, weights=tuple(map(float, mask)))


async def _own_scores(engine: Engine, scored: Scored) -> dict[str, list[float]]:
    """What the engine says of the same tokens when it only scores them, at the same temperature."""
    found = await engine.logprobs([s.tokens for s in scored.sight.samples], temperature=scored.sight.temperature)
    return {"the sampler scores them so too: other weights or another forward pass": scored.sight.of_rows(found)}


def held_weights(rehearsal: Rehearsal) -> CheckResult:
    """Whether the engine holds the policy's weights."""
    engine: Any = rehearsal.engine
    held = getattr(engine, "checksum", None)
    expected = engine.checksum_of(rehearsal.policy.engine_weights()) if held is not None else None
    return asked.sampler_weights(held, expected)


def by_problem(rollouts: Sequence[Rollout]) -> dict[str, list[Sample]]:
    """The rollouts as rows to be scored, by problem."""
    found: dict[str, list[Sample]] = {}
    for r in rollouts:
        weights = tuple(map(float, r.loss_mask))
        sample = Sample(id=r.id, tokens=r.tokens, loss_mask=r.loss_mask, weights=weights)
        found.setdefault(r.problem_id, []).append(sample)
    return found


def few(rows: dict[str, list[Sample]]) -> list[Sample]:
    """Rows in turn from every group, as many as are scored."""
    found: list[Sample] = []
    for sample in spread(rows, ROWS):
        if found and sum(len(s.tokens) for s in found) + len(sample.tokens) > POSITIONS:
            break
        found.append(sample)
    return found


def engine_type(engine: object) -> str:
    """The type that the engine says it computes in."""
    describe = getattr(engine, "describe", None)
    return str(describe()["dtype"]) if callable(describe) else "float32"


def _forward(scored: Scored) -> CheckResult:
    """The trainer's passes against the model's own forward, and what explains a difference."""
    sight = scored.sight
    found, plain = sight.of_rows(scored.values), sight.plain()
    apart = beyond(gap(found, plain), scored.limits) > 1 if found else False
    cause = explain(found, plain, sight.candidates(found)) if apart else None
    return asked.trainer_forward(found, plain, sight.of_rows(scored.again), limits=scored.limits, cause=cause)


def _corrected(rehearsal: Rehearsal) -> bool:
    """Whether weights vary within a row of one advantage, as importance weights do."""
    rows = [s for stream in rehearsal.streams for s in stream.samples]
    varied = [{w for w, on in zip(s.weights, s.loss_mask, strict=True) if on} for s in rows]
    return any(len(weights) > 1 for weights in varied)


def _settings(sampling: Sampling) -> str:
    return f"sampling with top_k = {sampling.top_k} and top_p = {sampling.top_p}"
