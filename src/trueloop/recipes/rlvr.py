"""Reinforcement learning with verifiable rewards: GRPO, Dr. GRPO, DAPO, RLOO, GSPO, CISPO, MaxRL.

Each is a choice of advantage, policy term and reduction; presets/rlvr/ names them.  Departs from the papers:
  1. one denominator per optimizer step: "mean over tokens" is over all tokens of the step (DAPO: of the batch; GRPO's
     code elsewhere: of each micro-batch), whatever the micro-batches
  2. GRPO's standard deviation is floored at 1e-6 instead of having an epsilon added
  3. the ratio's old policy is the sampler's own untruncated log-probability at its temperature, not a second forward
     of the trainer; one optimizer step per batch of rollouts, so on-policy the ratio is 1 up to rounding
  4. no KL to a reference unless `kl` is set (GRPO has one, Dr. GRPO and DAPO have none)
  5. groups in which all rewards agree add nothing to the gradient and are not run; with flow.drop_zero_variance they
     are replaced by further problems instead (DAPO's dynamic sampling), which changes the denominator
  6. DAPO's dynamic sampling drops a problem until the next epoch instead of putting it back
  7. the presets of RLOO and MaxRL average over tokens; their unbiasedness is that of sums over responses, which
     reduction.kind = "fixed_length" gives
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trueloop.config import Resolved
from trueloop.errors import ConfigError
from trueloop.formulas.policy import overlong_penalty
from trueloop.loop.flow import samples_per_problem
from trueloop.loop.loop import Ending
from trueloop.loop.online import Seams
from trueloop.models import Policy
from trueloop.models.reference import AdapterOff, FrozenCopy, Reference, with_reference
from trueloop.preflight.gate import Gate
from trueloop.recipes import estimate, sampling, wiring
from trueloop.recipes import policy as choices
from trueloop.records import Group, Metric, Rollout, Sample
from trueloop.store.run import Run
from trueloop.train.batch import Stream
from trueloop.train.interventions import Backward
from trueloop.train.step import Trainer


class Config(sampling.Common):
    """RLVR.

    importance_cap  cap of truncated importance weights between trainer and sampler (top-k, top-p, precision,
                    staleness), for one more forward pass a step; None: no such weights
    entropy         coefficient of an entropy bonus
    """

    advantage: choices.Advantage
    loss: choices.PolicyTerm
    reduction: choices.Reduction
    kl: choices.Kl | None = None
    entropy: float = 0.0
    importance_cap: choices.Positive | None = None
    overlong: choices.Overlong | None = None
    sft_mix: sampling.SftMix | None = None


def check(config: Config) -> None:
    """Refuse settings that contradict each other, all at once, before anything is loaded."""
    problems = []
    lengths = [part.task.build().max_tokens for part in config.tasks.parts]
    lowers = config.overlong is not None or (config.kl is not None and config.kl.where == "reward")
    if samples_per_problem(config.flow.samples) == 1:
        problems.append(
            "flow.samples draws one completion of a problem, and advantages compare the completions of one problem: "
            "every one would be 0; draw at least 2"
        )
    if (overlong := config.overlong) is not None and overlong.limit is not None and overlong.limit > max(lengths):
        problems.append(
            f"overlong.limit = {overlong.limit} is beyond the longest completion, {max(lengths)} tokens; lower it, "
            "or raise the task's max_tokens"
        )
    if overlong is not None and overlong.limit is None and overlong.cache > min(lengths):
        problems.append(
            f"overlong.cache = {overlong.cache} is above a task's max_tokens, {min(lengths)}: every answer would be "
            "punished for its length; lower it"
        )
    if config.advantage.kind == "max_rl" and lowers:
        problems.append(
            "advantage.kind = max_rl is for rewards that are not negative, which overlong and a KL in the reward can "
            "make them; leave those out, or choose another advantage"
        )
    if problems:
        raise ConfigError("\n".join(problems))


def plan(config: Config) -> str:
    """What a run would do, in words: problems x samples -> steps, tokens, and what has to be kept in memory."""
    check(config)
    lines, tokens = sampling.plan(config, "RLVR")
    exact = config.flow.max_staleness == 0 or config.importance_cap is not None
    if exact and config.loss.kind != "reinforce":
        lines.append("on-policy: every ratio is 1 up to rounding, so clip bounds have no effect")
    reads = (config.kl is not None) + (config.importance_cap is not None)
    stages = sampling.stages(config, "rlvr", tokens, read=reads, mix=config.sft_mix)
    frozen = config.kl is not None and not _base_is_reference(config)
    return "\n".join([*lines, *estimate.describe(config, stages, frozen=frozen)])


def run(config: Config, resolved: Resolved[Any], out: Path, resume: bool, gate: Gate | None = None) -> wiring.Outcome:
    """Check and train, or go on with what `out` holds."""
    check(config)
    return sampling.run("rlvr", config, resolved, out, resume, _train, gate=gate or Gate())


async def _train(config: Config, policy: Policy, store: Run, rehearsing: sampling.Rehearsing) -> Ending:
    reference = _reference(config, policy)
    kept = (Kept(reference, _vocabulary(policy)),) if reference is not None else ()
    asking = sampling.Asking(config, policy)
    with wiring.open_trainer(config, policy, kept) as trainer:
        limits = {name: task.max_tokens for name, task in asking.tasks.items()}
        parts = Parts(config=config, reference=reference, trainer=trainer, max_tokens=limits)
        return await sampling.go(
            asking,
            trainer,
            store,
            Seams(credit=parts.credit, streams=parts.streams),
            rehearsing=rehearsing,
            title="rlvr",
            shown=("reward/mean", "parts/strict", "length/mean", "groups/flat"),
            rewarded=True,
            beside=asking.sft_mix(config.sft_mix),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The recipe's part of the loop: how groups become streams.  max_tokens: of each task, by its name."""

    config: Config
    reference: Reference | None
    trainer: Trainer
    max_tokens: Mapping[str, int]

    def credit(self, groups: Sequence[Group]) -> list[Group]:
        """Advantages of the rewards, with the penalties on length and on distance from the reference in them."""
        return choices.give_advantages(groups, self.config.advantage.kind, self._bonus(groups))

    def _bonus(self, groups: Sequence[Group]) -> Callable[[Rollout], float] | None:
        terms: list[Callable[[Rollout], float]] = []
        if (overlong := self.config.overlong) is not None:
            limits = {r.id: overlong.limit or self.max_tokens[g.problem.task] for g in groups for r in g.rollouts}
            terms.append(lambda r: overlong.weight * _too_long(r, limits[r.id], overlong.cache))
        if (kl := self.config.kl) is not None and kl.where == "reward":
            distance = self._distance(kl, [r for g in groups for r in g.rollouts])
            terms.append(lambda r: -kl.coefficient * distance[r.id])
        return (lambda r: sum(term(r) for term in terms)) if terms else None

    def _distance(self, kl: choices.Kl, rollouts: Sequence[Rollout]) -> dict[str, float]:
        """Per rollout the estimator's sum over the tokens that it wrote."""
        assert self.reference is not None
        references = self.reference.logprobs([choices.to_sample(r, 0.0) for r in rollouts])
        return {r.id: choices.distance(kl, r, ref) for r, ref in zip(rollouts, references, strict=True)}

    def streams(self, groups: Sequence[Group], step: int) -> list[Stream]:
        """One stream of all rollouts of the step."""
        samples = self._samples([(r, a) for g in groups for r, a in zip(g.rollouts, g.advantages or (), strict=True)])
        kl = self.config.kl
        if kl is not None and kl.where == "loss":
            assert self.reference is not None
            samples = with_reference(samples, self.reference)
        loss = choices.PolicyLoss(self.config.loss, kl, self.config.entropy)
        return [
            Stream(
                name="policy",
                samples=samples,
                loss=loss,
                reduction=choices.reduction(self.config.reduction),
                temperature=self.config.draw.temperature,
            )
        ]

    def _samples(self, rated: Sequence[tuple[Rollout, float]]) -> list[Sample]:
        """The rollouts with their advantages, weighed against what the trainer says of them where that is asked for."""
        cap = self.config.importance_cap
        if cap is None:
            return [choices.to_sample(rollout, advantage) for rollout, advantage in rated]
        bare = [choices.to_sample(rollout, advantage) for rollout, advantage in rated]
        old = self.trainer.logprobs(bare, self.config.draw.temperature)
        return [choices.to_sample(r, a, old=o, importance_cap=cap) for (r, a), o in zip(rated, old, strict=True)]


LOOKED_AT, EVERY = 32, 5
"""Tokens of a fixed row by which a reference is known again, and steps between two looks."""


class Kept:
    """The reference as an intervention: renewed before a step where that is due, and kept in checkpoints.

    vocabulary  ids that the model knows

    Every few steps it says what the reference gives a fixed row: `reference/logprob` moves only if it is renewed.
    """

    def __init__(self, reference: Reference, vocabulary: int) -> None:
        self.reference = reference
        tokens = tuple(7919 * k % vocabulary for k in range(1, LOOKED_AT + 1))
        mask = (False, *[True] * (LOOKED_AT - 1))
        self._row = Sample(id="reference", tokens=tokens, loss_mask=mask, weights=tuple(map(float, mask)))
        self._said: Metric | None = None

    def refresh(self, step: int, backward: Backward) -> None:
        """Renew it with the weights after step - 1, if they are due."""
        self.reference.refresh(step - 1)
        due = (step - 1) % EVERY == 0
        self._said = Metric.of([sum(self.reference.logprobs([self._row])[0]) / (LOOKED_AT - 1)]) if due else None

    def metrics(self) -> dict[str, Metric]:
        """What the reference gave the fixed row before this step, where it was asked."""
        return {} if self._said is None else {"reference/logprob": self._said}

    def state(self) -> dict[str, Tensor]:
        """Its own weights, if it has any."""
        return dict(self.reference.state_dict())

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take them back."""
        self.reference.load_state_dict(state)


def _too_long(rollout: Rollout, limit: int, cache: int) -> float:
    return float(overlong_penalty(torch.tensor([float(rollout.completion_length)]), limit, cache))


def interventions(config: Config, policy: Policy) -> tuple[object, ...]:
    """Those of a run's trainer, for whoever takes one of its steps again."""
    reference = _reference(config, policy)
    return (Kept(reference, _vocabulary(policy)),) if reference is not None else ()


def _vocabulary(policy: Policy) -> int:
    return int(policy.base_model.config.get_text_config().vocab_size)


def _reference(config: Config, policy: Policy) -> Reference | None:
    """The adapter switched off where there is a new one, else a frozen copy."""
    if config.kl is None:
        return None
    scoring = {"temperature": config.draw.temperature, "compute_dtype": getattr(torch, config.batching.compute_dtype)}
    if _base_is_reference(config):
        return AdapterOff(policy, **scoring)
    return FrozenCopy(policy, every=config.kl.refresh_every, **scoring)


def _base_is_reference(config: Config) -> bool:
    """Whether the policy without its adapter is what it started from, so that no copy is needed."""
    new = config.adapter is not None and config.adapter.kind == "lora" and config.warm_start is None
    return new and config.kl is not None and config.kl.refresh_every is None
