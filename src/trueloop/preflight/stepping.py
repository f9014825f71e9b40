"""One optimizer step, tried and taken back: what moves, in which direction, and whether the sampler follows."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from trueloop.checks import direction as ways
from trueloop.checks import liveness
from trueloop.formulas import distill
from trueloop.formulas.reduce import token_mean
from trueloop.models import Policy
from trueloop.preflight.holding import holding
from trueloop.preflight.invented import LARGE, has_weight, with_invented_rewards
from trueloop.preflight.rehearsal import Rehearsal, paid, rewards_alone
from trueloop.preflight.serving import serving
from trueloop.preflight.trial import Trial, norm_of, take, totals
from trueloop.preflight.undo import undone
from trueloop.records import CheckResult, Group, Rollout, Sample
from trueloop.train.batch import Batch, Outputs, Stream
from trueloop.train.step import Trainer

ROWS = 16
"""Rows of the step that is tried; whole groups, two at least."""

GENTLE = (1e-5, 1e-6)
"""Learning rates at which a step in the right direction cannot overshoot, tried where the run's own one does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """What the step is tried on: a few rows of the first batch, given invented rewards where they have no signal.

    streams  of the groups, or of the rows where nothing is sampled; beside: what is trained beside them
    alone    whether what is paid alone makes the advantages, so that what is wanted can be read from it
    paid     the rewards of a group with the penalty on length that is configured
    """

    groups: Sequence[Group]
    streams: Sequence[Stream]
    beside: Sequence[Stream]
    invented: bool
    paid: Callable[[Group], Sequence[float]]
    alone: bool = True

    @property
    def all(self) -> list[Stream]:
        """Every stream that has rows."""
        return [s for s in (*self.streams, *self.beside) if s.rows()]


async def stepping(rehearsal: Rehearsal) -> AsyncIterator[CheckResult]:
    """The liveness checks."""
    policy, trainer = rehearsal.policy, rehearsal.trainer
    if trainer.trainable.keys() != policy.trainable().keys():
        yield trained(policy, trainer.trainable)
    first = first_rows(rehearsal)
    if not first.all or not trainer.trainable:
        return
    for result in credited(_to_follow(rehearsal, first)):
        yield result
    results: list[CheckResult] = []
    try:
        with undone(trainer) as before:
            trial = _reached_later(take(trainer, first.all, before), first.all)
            results += movement(trial, policy, learned=rehearsal.learned)
            results.append(ways.streams_reach(_norms(trial, first.all), learned=rehearsal.learned))
            if any(s.changed for s in trial.steps):
                results += direction(trial, first)
                results += holding(rehearsal, trial, first.groups, first.streams)
                results += [result async for result in serving(rehearsal, trial, first.all)]
    finally:
        await rehearsal.engine.load_weights(policy.engine_weights(), trainer.version)
    for result in results:
        yield result


def _reached_later(trial: Trial, streams: Sequence[Stream]) -> Trial:
    """Without the tensors that have a gradient after the step only, as half of a new adapter has."""
    if not trial.unreached:
        return trial
    gradients = trial.trainer.backward(streams)
    return replace(trial, unreached=[name for name in trial.unreached if not bool(gradients[name].any())])


def trained(policy: Policy, held: Mapping[str, Tensor]) -> CheckResult:
    """Whether `held` is all that a run of this policy is to train, and no more."""
    return liveness.trained_tensors(
        {name: p.numel() for name, p in held.items()}, meant(policy), policy.adapter is not None
    )


def meant(policy: Policy) -> dict[str, int]:
    """What a run of this policy is to train: every weight, or the adapter's, by name with its size."""
    return {
        name: p.numel()
        for name, p in policy.model.named_parameters()
        if policy.adapter is None or ".lora_" in name or ".modules_to_save." in name
    }


def first_rows(rehearsal: Rehearsal) -> First:
    """A few groups of the rehearsal, those with signal first, and the streams that the recipe makes of them."""
    beside = [_few(stream) for stream in rehearsal.beside]
    groups = list(rehearsal.credited) or [o.group for o in rehearsal.outcomes if o.group.rollouts and not o.failure]
    if not groups:
        rows = [_few(s) for s in rehearsal.streams]
        return First(groups=(), streams=rows, beside=beside, invented=False, paid=partial(paid, rehearsal))
    taken: list[Group] = []
    for group in sorted(groups, key=_flat):
        if len(taken) >= 2 and sum(len(g.rollouts) for g in taken) >= ROWS:
            break
        taken.append(group)
    made, streams = rehearsal.credit(taken) if rehearsal.credited else ((), ())
    if invented := not has_weight(streams):
        made, streams = rehearsal.credit(with_invented_rewards(taken))
    return First(
        groups=made,
        streams=streams,
        beside=beside,
        invented=invented,
        alone=rewards_alone(rehearsal),
        paid=partial(paid, rehearsal),
    )


def _to_follow(rehearsal: Rehearsal, first: First) -> First:
    """What the credit is to follow: all rewards of the first batch, or invented ones where they have no signal; and
    where a penalty has a say, invented ones that outweigh it."""
    if first.groups and not first.alone and not _teaches(first.streams):
        groups, streams = rehearsal.credit(with_invented_rewards(first.groups, LARGE))
        return replace(first, groups=groups, streams=streams)
    return first if first.invented else replace(first, groups=rehearsal.credited, streams=rehearsal.streams)


def credited(first: First) -> Iterator[CheckResult]:
    """Whether weights follow rewards, for streams of the policy gradient."""
    if not first.groups or _teaches(first.streams):
        return
    weight = {s.id: _mean_weight(s) for stream in first.streams for s in stream.samples}
    groups = [g for g in first.groups if all(r.id in weight for r in g.rollouts)]
    yield ways.credit_follows_reward(
        [first.paid(g) for g in groups], [[weight[r.id] for r in g.rollouts] for g in groups]
    )


def movement(trial: Trial, policy: Policy, *, learned: bool) -> list[CheckResult]:
    """What moved, by how much and which way."""
    return [
        liveness.tensors_moved(trial.steps, trial.unreached, learned=learned),
        liveness.frozen_tensors(trial.outside, trial.held),
        liveness.update_size(trial.steps, trial.lr, scaling(policy), trial.altered),
        liveness.downhill(trial.steps),
    ]


def scaling(policy: Policy) -> float | None:
    """alpha / rank of the adapter as its layers apply it; None without one."""
    found = [layer.scaling[policy.adapter] for layer in policy.model.modules() if hasattr(layer, "scaling")
             and isinstance(layer.scaling, dict) and policy.adapter in layer.scaling]  # fmt: skip
    return float(found[0]) if found else None


def direction(trial: Trial, first: First) -> list[CheckResult]:
    """Whether what was rewarded, demonstrated or taught is nearer after the step, and how far it went."""
    streams = [s for s in first.streams if s.rows()]
    results = []
    kl: Callable[[], float] | None = None
    if _teaches(streams):
        results.append(ways.divergence_falls(*_gains(trial, streams, lambda: -_divergence(trial.trainer, streams))))
    elif first.groups:
        rollouts = _wanted(first)
        samples = [_as_sample(r) for r, _ in rollouts]
        temperature = streams[0].temperature

        def rewarded() -> float:
            now = totals(trial.trainer, samples, temperature)
            return math.fsum(want * total for (_, want), total in zip(rollouts, now, strict=True))

        results.append(ways.reward_rises(*_gains(trial, streams, rewarded), first.invented))
    else:
        results.append(ways.demonstrations_rise(*_gains(trial, streams, lambda: _likeness(trial.trainer, streams))))
    if first.groups:
        kl = _kl_of(trial, streams)
    results.append(_sanity(trial, kl))
    return results


def _gains(
    trial: Trial, streams: Sequence[Stream], measure: Callable[[], float]
) -> tuple[list[ways.Rung], float | None]:
    """The gain of the run's first step and, unless that is one, of gentle ones; and of a gentle step on these streams
    alone where there were others beside them and none of it was a gain."""
    trial.go(0.0)
    before = measure()
    rungs: list[ways.Rung] = []
    for lr in (trial.first_lr, *(lr for lr in GENTLE if lr < trial.first_lr)):
        trial.go(lr)
        rungs.append(ways.Rung(lr=lr, gain=measure() - before))
        if rungs[-1].gain > 0:
            return rungs, None
    trial.go(0.0)
    own = take(trial.trainer, streams, trial.before)
    own.go(min(GENTLE[0], own.lr))
    alone = measure() - before
    trial.go(0.0)
    return rungs, alone


def _sanity(trial: Trial, kl: Callable[[], float] | None) -> CheckResult:
    """How far the first step goes, and a learning rate that goes less far if it is too far."""
    found: list[tuple[float | None, float | None]] = []
    lr = trial.first_lr
    for _ in range(12):
        trial.go(lr)
        found.append((kl() if kl is not None else None, trial.relative(lr)))
        near = [value is None or value <= limit for value, limit in zip(found[-1], (0.05, 0.1), strict=True)]
        if all(near) or (len(found) == 1 and not _far(*found[0])):
            break
        lr /= 10
    sane = lr if len(found) < 12 else None
    return ways.step_is_sane(*found[0], trial.first_lr, sane)


def _far(kl: float | None, relative: float | None) -> bool:
    return not ((kl or 0.0) <= ways.MUCH_KL and (relative or 0.0) <= ways.MUCH_RELATIVE)


def _kl_of(trial: Trial, streams: Sequence[Stream]) -> Callable[[], float]:
    """KL(policy before || policy as it is) per token, estimated on the first rows."""
    samples, temperature = [s for stream in streams for s in stream.rows()][:ROWS], streams[0].temperature
    trial.go(0.0)
    old = trial.trainer.logprobs(samples, temperature)

    def kl() -> float:
        new = trial.trainer.logprobs(samples, temperature)
        gaps = [
            n - o
            for s, a, b in zip(samples, new, old, strict=True)
            for m, n, o in zip(s.loss_mask, a, b, strict=True)
            if m
        ]
        return math.fsum(math.expm1(min(gap, 20.0)) - gap for gap in gaps) / len(gaps)

    return kl


def _wanted(first: First) -> list[tuple[Rollout, float]]:
    """Each rollout with what it is paid less its group's mean; with its advantage where that is not alone."""
    return [
        (rollout, reward - math.fsum(rewards) / len(rewards))
        for rewards, group in ((first.paid(g) if first.alone else g.advantages or (), g) for g in first.groups)
        for rollout, reward in zip(group.rollouts, rewards, strict=True)
    ]


def _as_sample(rollout: Rollout) -> Sample:
    mask = rollout.loss_mask
    return Sample(id=rollout.id, tokens=rollout.tokens, loss_mask=mask, weights=tuple(map(float, mask)))


def _likeness(trainer: Trainer, streams: Sequence[Stream]) -> float:
    """Mean log-probability per trained token of the streams' rows."""
    rows = [s for stream in streams for s in stream.rows()]
    return math.fsum(totals(trainer, rows, streams[0].temperature)) / sum(s.trained_tokens for s in rows)


def _divergence(trainer: Trainer, streams: Sequence[Stream]) -> float:
    """Mean divergence from the teacher per trained token; takes a step to learn it, which the next `go` takes back."""
    measuring = [
        Stream(name=s.name, loss=Midway(), reduction=token_mean, samples=_evenly(s.samples), temperature=s.temperature)
        for s in streams
    ]
    return trainer.step(measuring).loss


def _evenly(samples: Sequence[Sample]) -> list[Sample]:
    return [replace(s, weights=tuple(map(float, s.loss_mask))) for s in samples]


@dataclass(frozen=True, slots=True)
class Midway:
    """The Jensen-Shannon divergence of student and teacher, which both directions of KL lower."""

    needs_entropy: bool = False
    silent_at_zero_weight: bool = True

    def __call__(self, out: Outputs, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Divergence per token [B, T]; no metrics."""
        assert out.teacher_token_logp_BTK is not None and batch.teacher_logp_BTK is not None
        found = distill.jsd(out.teacher_token_logp_BTK, batch.teacher_logp_BTK, distill.with_tail, beta=0.5)
        return found * batch.weights_BT, {}


def _norms(trial: Trial, streams: Sequence[Stream]) -> dict[str, float]:
    """Norm of each stream's own gradient."""
    if len(streams) == 1:
        return {streams[0].name: trial.norm}
    trial.go(0.0)
    return {stream.name: norm_of(trial.trainer.backward([stream])) for stream in streams}


def _flat(group: Group) -> bool:
    rewards = [r.score.reward for r in group.rollouts if r.score is not None]
    return len(set(rewards)) < 2


def _few(stream: Stream) -> Stream:
    return replace(stream, samples=stream.samples[:ROWS], pairs=stream.pairs[: ROWS // 2])


def _teaches(streams: Sequence[Stream]) -> bool:
    return any(s.teacher is not None for stream in streams for s in stream.samples)


def _mean_weight(sample: Sample) -> float:
    trained = sample.trained_tokens
    return (
        math.fsum(w for w, m in zip(sample.weights, sample.loss_mask, strict=True) if m) / trained if trained else 0.0
    )
