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
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from trueloop import config as configuration
from trueloop.chat import encode_prompt
from trueloop.config import Resolved
from trueloop.engines.local import LocalEngine
from trueloop.formulas.policy import overlong_penalty
from trueloop.loop.feed import Feed, Mixed, Offline
from trueloop.loop.flow import Flow, check_flow, samples_per_problem
from trueloop.loop.loop import Ending, Loop, LoopConfig, Sampler
from trueloop.loop.online import Online, Seams
from trueloop.loop.rollouts import Producer
from trueloop.models import Policy, Pretrained
from trueloop.models.reference import AdapterOff, FrozenCopy, Reference, with_reference
from trueloop.recipes import estimate, sft, wiring
from trueloop.recipes import policy as choices
from trueloop.records import Group, Problem, Rollout, Score
from trueloop.store.run import Run
from trueloop.tasks.base import Task
from trueloop.tasks.registry import Mix, open_mix
from trueloop.tasks.schedule import Constant, Schedule
from trueloop.train.batch import Stream
from trueloop.train.optim import Optim
from trueloop.verify.pool import VerifierPool


class WarmStart(configuration.Config):
    """Supervised fine-tuning on the first task's demonstrations, before RL, as a run of its own in warm_start/."""

    rows_per_step: Annotated[int, Field(ge=1)]
    optim: Optim
    loop: LoopConfig
    guard: wiring.Evaluating | None = None


class SftMix(configuration.Config):
    """Demonstrations trained beside the rollouts, as a second stream with its own denominator."""

    rows_per_step: Annotated[int, Field(ge=1)]
    coefficient: choices.Positive


class Config(wiring.Common):
    """RLVR.

    tasks           one or more tasks and their shares; the guard evaluates the first
    leniency, shots schedules over steps: the reward of a right answer in the wrong format, and the number of
                    few-shot examples in the prompt
    importance_cap  truncated importance weights for top-k and top-p sampling; None: uncorrected
    entropy         coefficient of an entropy bonus
    """

    tasks: Mix
    warm_start: WarmStart | None = None
    draw: wiring.Draw = wiring.Draw()
    flow: Flow
    leniency: Schedule = Constant(at=0.0)
    shots: Schedule = Constant(at=0)
    advantage: choices.Advantage
    loss: choices.PolicyTerm
    reduction: choices.Reduction
    kl: choices.Kl | None = None
    entropy: float = 0.0
    importance_cap: choices.Positive | None = None
    overlong: choices.Overlong | None = None
    sft_mix: SftMix | None = None
    max_verifier_errors: Annotated[float, Field(ge=0, le=1)] = 0.01


def plan(config: Config) -> str:
    """What a run would do, in words: problems x samples -> steps, tokens, and what has to be kept in memory."""
    check_flow(config.flow)
    tasks, source = open_mix(config.tasks, seed=config.seed)
    shares = ", ".join(_share(name, row) for name, row in source.report().items())
    problems, samples = config.flow.problems_per_step, samples_per_problem(config.flow.samples)
    tokens = problems * samples * max(task.max_tokens for task in tasks.values())
    lines = [
        f"RLVR on {shares}",
        f"{config.loop.steps} steps of {problems} problems x at most {samples} samples = {problems * samples} "
        f"completions, at most {tokens} sampled tokens a step, {config.loop.steps * tokens} in all",
        f"engine: {config.engine.max_rows} rows at once, {config.engine.cache_tokens} cached positions",
        f"staleness: at most {config.flow.max_staleness} steps; weights move every {config.flow.sync_every}",
    ]
    total = config.loop.steps * tokens
    lines += estimate.describe(config, sampled=total, trained=total)
    if config.warm_start is not None:
        lines.insert(1, f"warm start: {sft.headline(_warm_config(config))}")
    return "\n".join(lines)


def _share(name: str, row: dict[str, Any]) -> str:
    asked = "" if row["asked"] is None else f" ({row['asked']:.0%} of the problems asked)"
    return f"{name} {row['problems']} problems{asked}"


def run(config: Config, resolved: Resolved[Any], out: Path, resume: bool) -> wiring.Outcome:
    """Train, or go on with what `out` holds."""
    check_flow(config.flow)
    tasks, _ = open_mix(config.tasks, seed=config.seed)
    first = next(iter(tasks.values()))
    start = wiring.build_policy(config.model, config.adapter, config.seed)
    data = wiring.data_of(start, first) | {
        f"{part.task.kind}/{part.split}": tasks[part.task.build().name].data_hash(part.split)
        for part in config.tasks.parts
    }
    with wiring.open_run("rlvr", config, resolved, out, resume, data) as store:
        policy = start
        if config.warm_start is not None:
            warm = _warm_start(config, out / "warm_start", resume)
            if isinstance(warm, wiring.Outcome):
                store.finish("interrupted", warm.summary)
                return warm
            policy = wiring.build_policy(Pretrained(path=str(warm)), config.adapter, config.seed)
        ending = asyncio.run(_train(config, policy, store))
        wiring.finish(store, ending)
    found = Run.open(out)
    summary = f"{ending.why}\n{sft.summarize(found)}\nmodel: {sft.last_model(found)}"
    return wiring.Outcome(ok=True, summary=summary, interrupted=ending.outcome == "interrupted")


def _warm_config(config: Config) -> sft.Config:
    assert config.warm_start is not None
    shared = {name: getattr(config, name) for name in wiring.Common.model_fields}
    own = {name: getattr(config.warm_start, name) for name in WarmStart.model_fields}
    return sft.Config(**(shared | own | {"task": config.tasks.parts[0].task, "split": config.tasks.parts[0].split}))


def _warm_start(config: Config, out: Path, resume: bool) -> Path | wiring.Outcome:
    """The model directory that RL starts from, or how the warm start was interrupted."""
    warm = _warm_config(config)
    resolved = Resolved(recipe="sft", config=warm, presets=(), difference={}, raw=configuration.plain(warm))
    ending, found = sft.train(warm, resolved, out, resume, title="warm start")
    if ending.outcome == "interrupted":
        return wiring.Outcome(ok=True, summary=ending.why, interrupted=True)
    model = sft.last_model(found)
    assert model is not None
    return model


async def _train(config: Config, policy: Policy, store: Run) -> Ending:
    with ExitStack() as stack:
        reference = _reference(config, policy)
        kept = (Kept(reference),) if reference is not None else ()
        trainer = stack.enter_context(wiring.open_trainer(config, policy, kept))
        engine = wiring.open_engine(config.engine, policy)
        tasks, source = open_mix(config.tasks, seed=config.seed)
        parts = Parts(config=config, policy=policy, tasks=tasks, reference=reference)
        online = Online(
            source=source,
            producer=parts.producer(engine),
            flow=config.flow,
            seams=Seams(credit=parts.credit, streams=parts.streams),
            trainer=trainer,
        )
        sampler = Sampler(engine=engine, policy=policy, sync_every=config.flow.sync_every)

        async def synced() -> LocalEngine:
            await sampler.sync(trainer.version)
            return engine

        loop = Loop(
            config.loop,
            run=store,
            trainer=trainer,
            feed=parts.feed(online),
            title="rlvr",
            sampler=sampler,
            guard=wiring.open_guard(config.guard, synced, parts.first, policy, config.seed),
            shown=("reward/mean", "parts/strict", "length/mean", "groups/flat"),
        )
        try:
            loop.resume()
            return await loop.go()
        finally:
            await engine.close()


@dataclass
class Parts:
    """The recipe's part of the loop: how problems are asked and graded, and how groups become streams."""

    config: Config
    policy: Policy
    tasks: Mapping[str, Task]
    reference: Reference | None
    pool: VerifierPool = field(init=False)

    def __post_init__(self) -> None:
        self.pool = VerifierPool(self._grade, max_error_share=self.config.max_verifier_errors)

    @property
    def first(self) -> Task:
        """The task that the guard evaluates."""
        return next(iter(self.tasks.values()))

    def producer(self, engine: LocalEngine) -> Producer:
        """How a problem becomes scored rollouts."""
        return Producer(
            engine=engine,
            encode=self._encode,
            decode=wiring.tokenizer_of(self.policy).decode,
            grade=self._score,
            samples=self.config.flow.samples,
            sampling=lambda problem: self.config.draw.sampling(self.tasks[problem.task]),
            seed=self.config.seed,
            max_prompt_tokens=self.config.flow.max_prompt_tokens,
        )

    def feed(self, online: Online) -> Feed:
        """The rollouts, with demonstrations beside them where they are mixed in."""
        mix = self.config.sft_mix
        if mix is None:
            return online
        part = self.config.tasks.parts[0]
        samples = wiring.supervised(self.first, list(self.first.demonstrations(part.split)), self.policy)
        beside = partial(sft.streams, name="sft_mix", coefficient=mix.coefficient)
        return Mixed(online, Offline(samples, per_step=mix.rows_per_step, seed=self.config.seed, streams=beside))

    def _encode(self, problem: Problem, step: int) -> tuple[int, ...]:
        task = self.tasks[problem.task]
        shots = task.few_shot(round(self.config.shots.value(step - 1)), exclude=problem.id)
        return encode_prompt(wiring.tokenizer_of(self.policy), task.prompt(problem, shots), task.template)

    def _grade(self, problem: Problem, text: str, leniency: float) -> Score:
        return self.tasks[problem.task].grade(problem, text, leniency)

    async def _score(self, problem: Problem, text: str, step: int) -> Score:
        return await self.pool.score(problem, text, leniency=self.config.leniency.value(step - 1))

    def credit(self, groups: Sequence[Group]) -> list[Group]:
        """Advantages of the rewards, with the penalties on length and on distance from the reference in them."""
        return choices.give_advantages(groups, self.config.advantage.kind, self._bonus(groups))

    def _bonus(self, groups: Sequence[Group]) -> Callable[[Rollout], float] | None:
        terms: list[Callable[[Rollout], float]] = []
        if (overlong := self.config.overlong) is not None:
            terms.append(lambda r: overlong.weight * _overlong(r, overlong))
        if (kl := self.config.kl) is not None and kl.where == "reward":
            distance = self._distance([r for g in groups for r in g.rollouts])
            terms.append(lambda r: -kl.coefficient * distance[r.id])
        return (lambda r: sum(term(r) for term in terms)) if terms else None

    def _distance(self, rollouts: Sequence[Rollout]) -> dict[str, float]:
        """Per rollout the sum over its tokens of log pi - log pi_ref (k1)."""
        assert self.reference is not None
        references = self.reference.logprobs([choices.to_sample(r, 0.0) for r in rollouts])
        return {
            r.id: sum(s - ref for s, ref, m in zip(r.scores, reference, r.loss_mask, strict=True) if m)
            for r, reference in zip(rollouts, references, strict=True)
        }

    def streams(self, groups: Sequence[Group], step: int) -> list[Stream]:
        """One stream of all rollouts of the step."""
        cap = self.config.importance_cap
        samples = [
            choices.to_sample(rollout, advantage, importance_cap=cap)
            for group in groups
            for rollout, advantage in zip(group.rollouts, group.advantages or (), strict=True)
        ]
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


class Kept:
    """The reference as an intervention: renewed before a step where that is due, and kept in checkpoints."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference

    def refresh(self, step: int) -> None:
        """Renew it with the weights after step - 1, if they are due."""
        self.reference.refresh(step - 1)

    def state(self) -> dict[str, Tensor]:
        """Its own weights, if it has any."""
        return dict(self.reference.state_dict())

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take them back."""
        self.reference.load_state_dict(state)


def _overlong(rollout: Rollout, overlong: choices.Overlong) -> float:
    length = torch.tensor([float(rollout.completion_length)])
    return float(overlong_penalty(length, overlong.limit, overlong.cache))


def _reference(config: Config, policy: Policy) -> Reference | None:
    """The adapter switched off where there is a new one, else a frozen copy."""
    if config.kl is None:
        return None
    scoring = {"temperature": config.draw.temperature, "compute_dtype": getattr(torch, config.batching.compute_dtype)}
    if config.adapter is not None and config.adapter.kind == "lora" and config.kl.refresh_every is None:
        return AdapterOff(policy, **scoring)
    return FrozenCopy(policy, every=config.kl.refresh_every, **scoring)
