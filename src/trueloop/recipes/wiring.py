"""What every recipe puts together in the same way: model, task, run directory, engine, guard evaluation."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field
from transformers import AutoModelForCausalLM

from trueloop.chat import Tokenizer, encode_completion, encode_prompt, template_hash
from trueloop.config import Config, Resolved
from trueloop.engines.local import LocalEngine
from trueloop.engines.stops import Decodes
from trueloop.errors import DataError
from trueloop.evaluate import Questions, evaluate
from trueloop.loop.loop import Ending, LoopConfig
from trueloop.loop.stops import Guard, GuardConfig
from trueloop.models import Fresh, LoRA, Policy, Pretrained, SavedAdapter, load_policy
from trueloop.preflight.gate import Gate, refusal
from trueloop.records import Json, Sample, Sampling
from trueloop.store.artefacts import atomic_dir, damage
from trueloop.store.run import Retention, Run
from trueloop.tasks.base import Demonstration, Task
from trueloop.tasks.worlds import tiny_model
from trueloop.train.batch import Batching
from trueloop.train.optim import Optim
from trueloop.train.parallel import Workers
from trueloop.train.step import Trainer


class Tiny(Config):
    """The model of the embedded worlds: 0.8 million parameters, one token per character, random weights."""

    kind: Literal["tiny"] = "tiny"


Model = Annotated[Pretrained | Fresh | Tiny, Field(discriminator="kind")]
Adapter = Annotated[LoRA | SavedAdapter, Field(discriminator="kind")]


class Draw(Config):
    """How tokens are drawn; stops and limits are the task's.  temperature 0 is greedy."""

    temperature: Annotated[float, Field(ge=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0

    def sampling(self, task: Task) -> Sampling:
        """With the task's stops and limit."""
        return task.sampling(temperature=self.temperature, top_p=self.top_p, top_k=self.top_k)


class Evaluating(GuardConfig):
    """Guard evaluations on the first `problems` of a held-out split."""

    metric: Literal["lenient", "strict"]
    split: str = "validation"
    problems: Annotated[int, Field(ge=1)]
    samples: Annotated[int, Field(ge=1)] = 1
    draw: Draw = Draw(temperature=0.0)


class Engine(Config):
    """The local engine's limits: rows decoded at once, and positions of its key-value cache."""

    max_rows: Annotated[int, Field(ge=1)] = 256
    cache_tokens: Annotated[int, Field(ge=1)] = 65536
    prefill_chunk: Annotated[int, Field(ge=1)] = 512
    dtype: Literal["float32", "bfloat16"] = "float32"


class Common(Config):
    """The settings that recipes share.

    seed       of everything that is drawn: weights, order of the data, completions
    processes  on this machine that divide a step's passes; the result is that of one
    gradient_checkpointing  compute activations again in the backward pass: less memory, about a third more time
    allow      check id -> why the run goes on although it fails, as --allow and --because say it
    expects    the diagnosis that the doctor must give, of an experiment's arm that is unhealthy on purpose
    """

    seed: int
    model: Model
    adapter: Adapter | None = None
    optim: Optim
    batching: Batching = Batching()
    processes: Annotated[int, Field(ge=1)] = 1
    gradient_checkpointing: bool = False
    engine: Engine = Engine()
    loop: LoopConfig
    guard: Evaluating | None = None
    retention: Retention = Retention()
    allow: dict[str, str] = Field(default_factory=dict)
    expects: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a recipe returns to the command line.  `signal` is the one that ended it early."""

    ok: bool
    summary: str
    signal: int | None = None


@contextmanager
def plain_model(model: Pretrained | Fresh | Tiny) -> Iterator[Pretrained | Fresh]:
    """A model that `load_policy` knows; the tokenizer of the tiny one exists only inside."""
    if not isinstance(model, Tiny):
        yield model
        return
    with tempfile.TemporaryDirectory() as folder:
        tiny_model.write_tokenizer(Path(folder))
        yield Fresh(config=tiny_model.model_config(), tokenizer=folder)


def build_policy(model: Pretrained | Fresh | Tiny, adapter: LoRA | SavedAdapter | None, seed: int) -> Policy:
    """The policy of a configuration."""
    with plain_model(model) as plain:
        return load_policy(plain, adapter, seed)


def tokenizer_of(policy: Policy) -> Tokenizer:
    """The policy's tokenizer, as prompts and evaluations take it."""
    return cast(Tokenizer, policy.tokenizer)


def data_of(policy: Policy, read: Iterable[tuple[Task, str]]) -> dict[str, str]:
    """Name of what a run reads -> its hash: the splits of tasks, each task's template, the weights it starts from."""
    hashes = {"model": policy.fingerprint()}
    for task, split in read:
        hashes[f"{task.name}/{split}"] = task.data_hash(split)
        hashes[f"{task.name}/template"] = template_hash(tokenizer_of(policy), task.template)
    return hashes


def require_problems(config: Evaluating | None, task: Task) -> None:
    """Refuse a guard that asks for more problems than its split has, before anything is written."""
    if config is not None:
        task.first(config.split, config.problems)


def open_run(
    recipe: str, config: Common, resolved: Resolved[Any], out: Path, resume: bool, data: Mapping[str, str]
) -> Run:
    """A new run directory, or the one to go on with; what is under `loop` may change on resuming."""
    if resume:
        return Run.resume(out, config=resolved.raw, data=data, may_change=("loop",), retention=config.retention)
    return Run.create(
        out,
        recipe=recipe,
        config=resolved.raw,
        difference=resolved.difference,
        seed=config.seed,
        data=data,
        retention=config.retention,
    )


def keep_base(policy: Policy, run: Run) -> None:
    """The base of an adapter, where it exists in memory only: into the run, once, for its checkpoints to name."""
    if policy.adapter is None or policy.base is not None:
        return
    place = run.path.resolve() / "base"
    if not place.exists() or damage(place) is not None:
        with atomic_dir(place, what="the adapter's base model") as partial:
            policy.save_base(partial)
    policy.base = str(place)


@contextmanager
def open_trainer(config: Common, policy: Policy, interventions: tuple[object, ...] = ()) -> Iterator[Trainer]:
    """A trainer, with its worker processes where the configuration asks for them."""
    torch.set_num_threads(1)
    if config.gradient_checkpointing:
        policy.enable_gradient_checkpointing()
    workers = Workers(policy, processes=config.processes) if config.processes > 1 else None
    try:
        yield Trainer(
            policy,
            config.optim,
            config.batching,
            interventions=interventions,
            workers=workers,
            seed=config.seed,
        )
    finally:
        if workers is not None:
            workers.close()


def open_engine(config: Engine, policy: Policy) -> LocalEngine:
    """A local engine of the policy's architecture.  Its weights are the policy's from the first sync on."""
    base = policy.base_model
    if policy.adapter is not None:
        base = AutoModelForCausalLM.from_config(base.config, dtype=torch.float32)
    return LocalEngine(
        base,
        cast(Decodes, policy.tokenizer),
        end_ids=policy.end_ids,
        max_rows=config.max_rows,
        cache_tokens=config.cache_tokens,
        prefill_chunk=config.prefill_chunk,
        dtype=getattr(torch, config.dtype),
    )


def open_guard(
    config: Evaluating | None, sync: Callable[[], Awaitable[LocalEngine]], task: Task, policy: Policy, seed: int
) -> Guard | None:
    """Guard evaluations of the policy; `sync` gives an engine with its present weights."""
    if config is None:
        return None

    async def measure() -> Mapping[str, Json]:
        found = await evaluate(
            await sync(),
            task,
            config.split,
            config.draw.sampling(task),
            tokenizer=tokenizer_of(policy),
            n=config.problems,
            samples=config.samples,
            seed=seed,
            name="guard",
        )
        row = found.summary()
        verifier = dict(row.pop("verifier"))
        seconds = {f"verifier/{name}": verifier.pop(name, None) for name in ("p50", "p95", "p99")}
        return row | {"verifier": verifier, "seconds": seconds}

    return Guard(config, measure)


def promised(config: Evaluating | None, task: Task, seed: int) -> Mapping[str, Json] | None:
    """What every guard evaluation is to record of its questions, made without the guard itself."""
    if config is None:
        return None
    drawn = config.draw.sampling(task)
    return Questions.of(task, config.split, drawn, n=config.problems, samples=config.samples, seed=seed).about()


def supervised(task: Task, demonstrations: list[Demonstration], policy: Policy) -> list[Sample]:
    """Demonstrations as samples: the completion and its end token are trained, the prompt is not."""
    if not policy.end_ids:
        raise DataError("the tokenizer has no end token, so a model could not learn to stop; give it one (eos_token)")
    return [_supervised(task, d, policy) for d in demonstrations]


def _supervised(task: Task, demonstration: Demonstration, policy: Policy) -> Sample:
    prompt = encode_prompt(tokenizer_of(policy), task.prompt(demonstration.problem), task.template)
    answer = encode_completion(tokenizer_of(policy), demonstration.completion, policy.end_ids[0])
    return Sample(
        id=demonstration.problem.id,
        tokens=prompt + answer,
        loss_mask=(False,) * len(prompt) + (True,) * len(answer),
        weights=(0.0,) * len(prompt) + (1.0,) * len(answer),
    )


def checked(gate: Gate) -> Outcome:
    """How a run ended that was to be checked only."""
    refusals = gate.refusals()
    return Outcome(ok=not refusals, summary=refusal(refusals) if refusals else "")


def finish(run: Run, ending: Ending) -> None:
    """Write into the run how its loop ended."""
    run.finish("interrupted" if ending.outcome == "interrupted" else "finished", ending.why)
