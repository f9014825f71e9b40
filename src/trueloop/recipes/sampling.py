"""What every recipe that samples shares: a warm start, how problems are asked and graded, and the loop around them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field

from trueloop import config as configuration
from trueloop.chat import encode_prompt
from trueloop.checks.running.seen import Setup
from trueloop.config import Resolved
from trueloop.engines.local import LocalEngine
from trueloop.errors import ConfigError
from trueloop.loop.feed import Feed, Mixed, Offline
from trueloop.loop.flow import Flow, check_flow, samples_per_problem
from trueloop.loop.loop import Ending, Loop, LoopConfig, Sampler
from trueloop.loop.monitor import Monitor
from trueloop.loop.online import Online, Seams
from trueloop.loop.probe import Probe
from trueloop.loop.rollouts import Producer
from trueloop.models import Policy, Pretrained
from trueloop.preflight.gate import Gate
from trueloop.recipes import before, estimate, sft, wiring
from trueloop.recipes.hints import Shown
from trueloop.records import Problem, Prompt, Sample, Score
from trueloop.store.run import Run
from trueloop.tasks.base import Demonstration, Task
from trueloop.tasks.registry import Mix, open_mix
from trueloop.tasks.schedule import Constant, Schedule, extremes
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer
from trueloop.verify.pool import VerifierPool


class WarmStart(configuration.Config):
    """Supervised fine-tuning on the first task's demonstrations, before all else, as a run of its own in warm_start/.

    Its fields are those of the same names in sft.Config.
    """

    rows_per_step: Annotated[int, Field(ge=1)]
    hint: Shown | None = None
    optim: Optim
    loop: LoopConfig
    guard: wiring.Evaluating | None = None


class SftMix(configuration.Config):
    """Demonstrations trained beside the rollouts, as a second stream with its own denominator."""

    rows_per_step: Annotated[int, Field(ge=1)]
    coefficient: Annotated[float, Field(gt=0)]


class Common(wiring.Common):
    """The settings of recipes that sample.

    tasks           one or more tasks and their shares; the guard evaluates the first
    leniency, shots schedules over steps: the reward of a right answer in the wrong format, and the number of
                    few-shot examples in the prompt
    verifier_workers     processes that verify what may hang: mathematics, programs, instructions, functions of your own
    max_verifier_errors  share of failed verdicts beyond which the run stops
    """

    tasks: Mix
    warm_start: WarmStart | None = None
    draw: wiring.Draw = wiring.Draw()
    flow: Flow
    leniency: Schedule = Constant(at=0.0)
    shots: Schedule = Constant(at=0)
    verifier_workers: Annotated[int, Field(ge=1)] = 1
    max_verifier_errors: Annotated[float, Field(ge=0, le=1)] = 0.01


C = TypeVar("C", bound=Common)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsing:
    """What `go` is to do before its loop.

    only     end after the checks
    learned  False where a warm start will change the policy before it samples in earnest
    """

    gate: Gate
    only: bool = False
    learned: bool = True


def check(config: Common) -> None:
    """Refuse what cannot mean anything, all at once, before anything is loaded."""
    check_flow(config.flow)
    leniency, shots = extremes(config.leniency), extremes(config.shots)
    problems = []
    if config.draw.temperature == 0:
        problems.append(
            "draw.temperature = 0 draws the same completion every time, so there is nothing to compare and no "
            "distribution to train; set it above 0 (guard.draw may be greedy)"
        )
    if not 0 <= min(leniency) <= max(leniency) <= 1:
        problems.append(f"leniency reaches {leniency}: a right answer in the wrong format earns between 0 and 1")
    if min(shots) < 0 or any(n != round(n) for n in shots):
        problems.append(f"shots reaches {shots}: the number of few-shot examples is a whole number, 0 or more")
    if problems:
        raise ConfigError("\n".join(problems))


def plan(config: Common, title: str) -> tuple[list[str], int]:
    """What a run would do, in words: problems x samples -> steps and tokens; and the most tokens that it samples."""
    check(config)
    tasks, source = open_mix(config.tasks, seed=config.seed)
    _require_problems(config, next(iter(tasks.values())))
    parts = source.report()
    shares = ", ".join(_share(name, row, alone=len(parts) == 1) for name, row in parts.items())
    problems, samples = config.flow.problems_per_step, samples_per_problem(config.flow.samples)
    tokens = problems * samples * max(task.max_tokens for task in tasks.values())
    total = config.loop.steps * tokens
    lines = [
        f"{title} on {shares}",
        f"{config.loop.steps} steps of {problems} problems x at most {samples} samples = {problems * samples} "
        f"completions, at most {tokens} sampled tokens a step, {total} in all",
        f"engine: {config.engine.max_rows} rows at once, {config.engine.cache_tokens} cached positions",
        f"staleness: at most {config.flow.max_staleness} steps; weights move every {config.flow.sync_every}",
    ]
    if config.warm_start is not None:
        lines.insert(1, f"warm start: {sft.headline(warm_config(config))}")
    return lines, total


def stages(
    config: Common, name: str, tokens: int, *, read: int = 0, taught: int = 0, mix: SftMix | None = None
) -> list[estimate.Stage]:
    """What a run goes through: the warm start, a loop that samples and trains so many tokens, the guards.

    read, taught  times that each token is read besides, by the policy or a copy of it, and by a teacher of its own size
    mix           demonstrations beside the rollouts
    """
    warm = sft.stages(warm_config(config), "warm start") if config.warm_start is not None else []
    first, steps = config.tasks.parts[0].task.build(), config.loop.steps
    rows = mix.rows_per_step * steps if mix is not None else 0
    trained = tokens + int(rows * sft.row_tokens(first.demonstrations(config.tasks.parts[0].split)))
    return [
        *warm,
        estimate.Stage(
            name=name, steps=steps, sampled=tokens, trained=trained, read=read * tokens, taught=taught * tokens
        ),
        *estimate.guarding(f"guard of {name}", config.guard, steps, first.max_tokens),
    ]


def _require_problems(config: Common, task: Task) -> None:
    wiring.require_problems(config.guard, task)
    wiring.require_problems(config.warm_start.guard if config.warm_start is not None else None, task)


def _share(name: str, row: dict[str, Any], *, alone: bool) -> str:
    asked = "" if alone or row["asked"] is None else f" ({row['asked']:.0%} of the problems asked)"
    return f"{name} {row['problems']} problems{asked}"


def run(
    recipe: str,
    config: C,
    resolved: Resolved[Any],
    out: Path,
    resume: bool,
    train: Callable[[C, Policy, Run, Rehearsing], Coroutine[Any, Any, Ending]],
    *,
    gate: Gate,
    data: Mapping[str, str] | None = None,
) -> wiring.Outcome:
    """The checks, then a warm start if there is one, then `train`; or go on with what `out` holds.

    `train` ends in `go`, and with `gate.only` it ends there after the checks.  `data` has the hashes of what the recipe
    reads besides its tasks and the policy.
    """
    check(config)
    gate.permit(config.allow)
    tasks, _ = open_mix(config.tasks, seed=config.seed)
    first = next(iter(tasks.values()))
    _require_problems(config, first)
    start = wiring.build_policy(config.model, config.adapter, config.seed)
    reads = [(tasks[part.task.build().name], part.split) for part in config.tasks.parts]
    if config.guard is not None:
        reads.append((first, config.guard.split))
    if new := not before.has_begun(out):
        gate.take(before.static(config, tasks, start, gate.place or out))
        gate.require()
    read = wiring.data_of(start, reads) | dict(data or {})
    policy = start if config.warm_start is None else None
    with wiring.open_run(recipe, config, resolved, out, resume, read) as store:
        if new and (config.warm_start is not None or gate.only):
            learned = config.warm_start is None
            rehearsing = Rehearsing(gate=gate, only=True, learned=learned)
            with gate.trying() if gate.only else nullcontext():
                asyncio.run(train(config, start, store, rehearsing))
            if gate.only:
                return _checked(config, out, gate)
        del start
        if policy is None:
            warm = _warm_start(config, out / "warm_start", gate)
            if isinstance(warm, wiring.Outcome):
                store.finish("interrupted", warm.summary)
                return warm
            policy = wiring.build_policy(Pretrained(path=str(warm), if_adapter="continue"), None, config.seed)
        wiring.keep_base(policy, store)
        ending = asyncio.run(train(config, policy, store, Rehearsing(gate=gate)))
        wiring.finish(store, ending)
    found = Run.open(out)
    summary = f"{ending.why}\n{sft.summarize(found)}"
    return wiring.Outcome(ok=True, summary=summary, signal=ending.signal)


def _checked(config: Common, out: Path, gate: Gate) -> wiring.Outcome:
    """The outcome of checks alone, those of the warm start's own training included."""
    if config.warm_start is not None:
        gate.say("the warm start:")
        inner = gate.inner()
        sft.train_alone(warm_config(config), out / "warm_start", title="warm start", gate=inner)
        gate.results += inner.results
    return wiring.checked(gate)


def warm_config(config: Common) -> sft.Config:
    """The warm start as a run of its own."""
    assert config.warm_start is not None
    shared = {name: getattr(config, name) for name in wiring.Common.model_fields}
    own = {name: getattr(config.warm_start, name) for name in WarmStart.model_fields}
    return sft.Config(**(shared | own | {"task": config.tasks.parts[0].task, "split": config.tasks.parts[0].split}))


def _warm_start(config: Common, out: Path, gate: Gate) -> Path | wiring.Outcome:
    """The model directory that sampling starts from, or how the warm start was interrupted."""
    ending, found = sft.train_alone(warm_config(config), out, title="warm start", gate=gate.inner())
    if ending.outcome == "interrupted":
        return wiring.Outcome(ok=True, summary=ending.why, signal=ending.signal)
    model = sft.best_model(found)
    assert model is not None
    return model


class Asking:
    """How problems are chosen, asked and graded."""

    def __init__(self, config: Common, policy: Policy) -> None:
        self.config, self.policy = config, policy
        self.tasks, self.source = open_mix(config.tasks, seed=config.seed)
        verifiers = {name: task.verifier for name, task in self.tasks.items()}
        self.pool = VerifierPool(verifiers, workers=config.verifier_workers, max_error_share=config.max_verifier_errors)

    @property
    def first(self) -> Task:
        """The task that the guard evaluates and whose demonstrations are mixed in."""
        return next(iter(self.tasks.values()))

    def producer(
        self, engine: LocalEngine, pool: VerifierPool | None = None, *, probe: Probe | None = None
    ) -> Producer:
        """How a problem becomes scored rollouts.  A prompt that the engine could never serve is filtered, not asked.

        `pool` grades instead of the run's own; `probe` is asked beside the rollouts.
        """
        longest = engine.longest_prompt(max(task.max_tokens for task in self.tasks.values()))
        limit = self.config.flow.max_prompt_tokens
        return Producer(
            engine=engine,
            encode=self._encode,
            decode=wiring.tokenizer_of(self.policy).decode,
            grade=partial(self._score, pool or self.pool),
            samples=self.config.flow.samples,
            sampling=lambda problem: self.config.draw.sampling(self.tasks[problem.task]),
            seed=self.config.seed,
            max_prompt_tokens=longest if limit is None else min(limit, longest),
            probe=probe,
        )

    def probe(self) -> Probe | None:
        """The first problems of the guard's split, of the run's own where there is no guard, to be asked greedily."""
        config, task = self.config, self.first
        split = config.guard.split if config.guard is not None else config.tasks.parts[0].split
        problems = task.problems(split)[: config.loop.liveness.probes]
        low = "bfloat16" in (config.engine.dtype, config.batching.compute_dtype)
        if not problems:
            return None
        return Probe(
            problems,
            every=config.loop.liveness.probe_every,
            encode=lambda problem: self._encode(problem, 1),
            sampling=lambda problem: self.config.draw.sampling(task),
            dtype="bfloat16" if low else "float32",
        )

    def prompt(self, problem: Problem, step: int) -> Prompt:
        """A problem as it is asked at an optimizer step (from 1), few-shot examples included."""
        task = self.tasks[problem.task]
        return task.prompt(problem, task.few_shot(round(self.config.shots.value(step - 1)), exclude=problem.id))

    def demonstrations(self) -> Sequence[Demonstration]:
        """Those of the first task."""
        return self.first.demonstrations(self.config.tasks.parts[0].split)

    def sft_mix(self, mix: SftMix | None) -> Offline[Sample] | None:
        """The feed of demonstrations that are imitated beside the rollouts, if there is one."""
        if mix is None:
            return None
        samples = wiring.supervised(self.first, list(self.demonstrations()), self.policy)
        streams = partial(sft.streams, name="sft_mix", coefficient=mix.coefficient)
        return Offline(samples, per_step=mix.rows_per_step, seed=self.config.seed, streams=streams)

    def _encode(self, problem: Problem, step: int) -> tuple[int, ...]:
        template = self.tasks[problem.task].template
        return encode_prompt(wiring.tokenizer_of(self.policy), self.prompt(problem, step), template)

    async def _score(self, pool: VerifierPool, problem: Problem, text: str, step: int) -> Score:
        return await pool.score(problem, text, leniency=self.config.leniency.value(step - 1))


async def go(
    asking: Asking,
    trainer: Trainer,
    store: Run,
    seams: Seams,
    *,
    rehearsing: Rehearsing,
    title: str,
    shown: Sequence[str],
    rewarded: bool,
    beside: Feed | None = None,
) -> Ending:
    """The checks, then the loop: sample what `asking` asks, train on what `seams` make of it, with the feed `beside` it
    if given.  `rewarded`: rewards are what trains."""
    config, policy = asking.config, asking.policy
    engine, probe = wiring.open_engine(config.engine, policy), asking.probe()
    producer = asking.producer(engine, probe=probe)
    online = Online(source=asking.source, producer=producer, flow=config.flow, seams=seams, trainer=trainer)
    sampler = Sampler(engine=engine, policy=policy, sync_every=config.flow.sync_every)

    async def synced() -> LocalEngine:
        await sampler.sync(trainer.version)
        return engine

    loop = Loop(
        config.loop,
        run=store,
        trainer=trainer,
        feed=online if beside is None else Mixed(online, beside),
        title=title,
        sampler=sampler,
        guard=wiring.open_guard(config.guard, synced, asking.first, policy, config.seed),
        shown=shown,
        probe=probe,
        monitor=_monitor(asking, rehearsing.gate, rewarded),
    )
    try:
        if loop.resume() == 0 and not store.checkpoints.all():
            await sampler.sync(trainer.version)
            await before.rehearse(asking, engine, online, rehearsing, store.path, beside)
            rehearsing.gate.decide(store, begins=not rehearsing.only)
            if rehearsing.only:
                return Ending(step=0, outcome="stopped", why="checked")
        return await loop.go()
    finally:
        asking.pool.close()
        await engine.close()


def _monitor(asking: Asking, gate: Gate, rewarded: bool) -> Monitor:
    """What watches the run, told what the configuration promises."""
    config, flow = asking.config, asking.config.flow
    setup = Setup(
        steps=config.loop.steps,
        lr=config.optim.lr,
        every=config.loop.checkpoint_every,
        exact=config.engine.dtype == config.batching.compute_dtype == "float32"
        and not getattr(config.adapter, "dropout", 0.0),
        fresh=flow.max_staleness == 0,
        guard=wiring.promised(config.guard, asking.first, config.seed),
        rewarded=rewarded,
        ordered=any(part.order is not None for part in config.tasks.parts),
        samples=samples_per_problem(flow.samples),
        max_staleness=flow.max_staleness,
        capacity=flow.capacity,
        refresh_every=getattr(getattr(config, "kl", None), "refresh_every", None) or 0,
    )
    decode = wiring.tokenizer_of(asking.policy).decode
    return Monitor(setup, allow=gate.allow, verifiers=asking.pool.stats, decode=decode)
