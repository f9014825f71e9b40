"""On-policy distillation: a student learns what a teacher says of the student's own completions, token by token.

The teacher is another model (GKD, arXiv:2306.13649), or the student itself with a hint in its prompt, as it was at the
start or as it is now (OPSD, arXiv:2601.18734).  Departs from GKD:
  1. demonstrations are trained beside the rollouts in every step, where GKD draws for each step which of the two it
     takes; `demonstrations.coefficient` c stands for its lambda = 1 / (1 + c), and rollouts are always sampled
  2. the teacher is known by its `k` most probable tokens, and `divergence.support` says what stands for the others;
     k = the size of the vocabulary is exact
  3. one denominator per optimizer step: the mean is over all tokens (or responses) of the step
  4. rewards are measured and never trained: GKD's joint objective with RL is not here
Departs from OPSD:
  5. the teacher is any of the three above, whatever the hint; the hint is a template over the problem, so it may show
     the answer, a worked solution, or what the verifier said of the completion
  6. a group with a completion that the teacher cannot read after its own, longer prompt is filtered, as
     teacher_too_long; nothing is ever trained towards a made-up target
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator

from trueloop import config as configuration
from trueloop.chat import Template, encode_prompt
from trueloop.config import Resolved
from trueloop.errors import DataError
from trueloop.loop.feed import Feed, Offline
from trueloop.loop.loop import Ending
from trueloop.loop.online import Seams
from trueloop.models import Policy
from trueloop.models.reference import FrozenCopy
from trueloop.models.teacher import context_limit, nameable, require_same_tokens, top_k, under
from trueloop.preflight.gate import Gate
from trueloop.recipes import estimate, sampling, wiring
from trueloop.recipes import policy as choices
from trueloop.recipes.hints import Hint
from trueloop.recipes.losses import Distillation, Divergence
from trueloop.records import Group, Problem, Prompt, Rollout, Sample
from trueloop.store.run import Run
from trueloop.train.batch import Stream

log = logging.getLogger(__name__)

Row = tuple[Sample, Sample]
"""A student's sample, and the same tokens after the teacher's prompt."""


class TeacherModel(configuration.Config):
    """Another model with the student's tokenizer.

    path      a directory or Hub id
    template  how it is asked; None: as the task says
    """

    kind: Literal["model"] = "model"
    path: str
    dtype: Literal["float32", "bfloat16"] = "float32"
    template: Template | None = None


class Start(configuration.Config):
    """The student as it was before the first step."""

    kind: Literal["start"] = "start"


class Present(configuration.Config):
    """The student as it is at each step, without gradient.

    Nothing holds it: a student that no longer reads its prompt agrees with itself whatever the hint says.  On sums, at
    a learning rate of 1e-4 and above, it ends there within 60 steps, every answer cut at the limit.  `start` does not.
    """

    kind: Literal["present"] = "present"


Teacher = Annotated[TeacherModel | Start | Present, Field(discriminator="kind")]


class Demonstrations(sampling.SftMix):
    """Demonstrations beside the rollouts.

    target  teacher: the same divergence, at the demonstrations' tokens; text: their cross-entropy
    """

    target: Literal["teacher", "text"] = "teacher"


class Config(sampling.Common):
    """On-policy distillation.

    hint         in the teacher's prompt only; what makes a teacher of the student itself
    k            tokens that the teacher names at each position
    temperature  of both distributions in the divergence (draw.temperature is the sampler's)
    below        only completions with a reward below this are trained on, if there are any in the step; None: all
    """

    teacher: Teacher
    hint: Hint | None = None
    divergence: Divergence
    k: Annotated[int, Field(ge=1)]
    temperature: choices.Positive = 1.0
    reduction: choices.Reduction
    below: float | None = None
    demonstrations: Demonstrations | None = None

    @model_validator(mode="after")
    def _possible(self) -> Config:
        if self.hint is None and self.teacher.kind != "model":
            raise ValueError(
                f"teacher.kind {self.teacher.kind!r} without a hint is the student itself, from which it learns "
                'nothing; set hint.template, or teacher.kind = "model" and teacher.path'
            )
        taught = self.demonstrations is not None and self.demonstrations.target == "teacher"
        if taught and self.hint is not None and self.hint.uses("why"):
            raise ValueError(
                "the hint shows {why}, which demonstrations do not have, since no verifier reads them; "
                'set demonstrations.target = "text", or leave {why} out'
            )
        return self


def plan(config: Config) -> str:
    """What a run would do, in words."""
    lines, tokens = sampling.plan(config, "Distillation")
    name = {"start": "the student before the first step", "present": "the student itself"}
    teacher = config.teacher.path if config.teacher.kind == "model" else name[config.teacher.kind]
    hint = " with a hint" if config.hint is not None else ""
    lines.append(f"teacher: {teacher}{hint}, {config.k} tokens at each position, {config.divergence.kind}")
    other = config.teacher if config.teacher.kind == "model" else None
    stages = sampling.stages(
        config, "distill", tokens, read=int(other is None), taught=int(other is not None), mix=config.demonstrations
    )
    needs = estimate.describe(config, stages, frozen=config.teacher.kind == "start", teacher=other)
    return "\n".join([*lines, *needs])


def run(config: Config, resolved: Resolved[Any], out: Path, resume: bool, gate: Gate | None = None) -> wiring.Outcome:
    """Check and train, or go on with what `out` holds."""
    other, data = None, {}
    if config.teacher.kind == "model":
        other = Policy.load(config.teacher.path, dtype=getattr(torch, config.teacher.dtype))
        data = {"teacher": other.fingerprint()}

    async def train(config: Config, policy: Policy, store: Run, rehearsing: sampling.Rehearsing) -> Ending:
        return await _train(config, policy, store, rehearsing, other)

    return sampling.run("distill", config, resolved, out, resume, train, gate=gate or Gate(), data=data)


async def _train(
    config: Config, policy: Policy, store: Run, rehearsing: sampling.Rehearsing, other: Policy | None
) -> Ending:
    if other is not None:
        require_same_tokens(other, policy)
    asking = sampling.Asking(config, policy)
    parts = Parts(
        config=config,
        asking=asking,
        teacher=other or policy,
        speaking=speaking(config, policy),
        solutions=solutions(config, asking),
    )
    with wiring.open_trainer(config, policy) as trainer:
        return await sampling.go(
            asking,
            trainer,
            store,
            Seams(credit=parts.credit, streams=parts.streams, unfit=parts.unfit),
            rehearsing=rehearsing,
            title="distill",
            shown=("reward/mean", "distill/divergence", "length/mean"),
            rewarded=False,
            beside=parts.beside(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The recipe's part of the loop: which completions are trained on, and what the teacher says of them.

    speaking   a context in which `teacher` has the teacher's weights
    solutions  problem id -> demonstration, where the hint shows one
    """

    config: Config
    asking: sampling.Asking
    teacher: Policy
    speaking: Callable[[], AbstractContextManager[None]]
    solutions: Mapping[str, str]

    def credit(self, groups: Sequence[Group]) -> list[Group]:
        """1 for each completion that is trained on, 0 for the others."""
        return [replace(group, advantages=tuple(map(self._wanted, group.rewards()))) for group in groups]

    def _wanted(self, reward: float) -> float:
        return float(self.config.below is None or reward < self.config.below)

    def unfit(self, group: Group, step: int) -> str | None:
        """Whether a completion of the group is too long for the teacher to read after its own prompt."""
        limit = context_limit(self.teacher)
        if limit is None:
            return None
        lengths = [len(self._row(group.problem, rollout, step)[1].tokens) for rollout in group.rollouts]
        return "teacher_too_long" if max(lengths) > limit else None

    def streams(self, groups: Sequence[Group], step: int) -> list[Stream]:
        """One stream of what is trained on; if that is nothing, of all with weight 0, so that nothing changes."""
        rated = [(g, r, w) for g in groups for r, w in zip(g.rollouts, g.advantages or (), strict=True)]
        rows = [self._row(group.problem, rollout, step) for group, rollout, weight in rated if weight]
        samples = self._taught(rows) if rows else [choices.to_sample(rollout, 0.0) for _, rollout, _ in rated]
        return [self._stream("distill", samples, 1.0)]

    def beside(self) -> Feed | None:
        """The demonstrations that are trained beside the rollouts, if there are any."""
        mix = self.config.demonstrations
        if mix is None or mix.target == "text":
            return self.asking.sft_mix(mix)

        def streams(rows: Sequence[Row], step: int) -> list[Stream]:
            return [self._stream("demonstrations", self._taught(rows), mix.coefficient)]

        return Offline(self._demonstrated(), per_step=mix.rows_per_step, seed=self.config.seed, streams=streams)

    def _demonstrated(self) -> list[Row]:
        """The demonstrations that the teacher can read; a warning says how many it cannot."""
        task, demonstrations = self.asking.first, list(self.asking.demonstrations())
        samples = wiring.supervised(task, demonstrations, self.asking.policy)
        rows = [
            (sample, under(sample, self._encode(d.problem, task.prompt(self._hinted(d.problem, None)))))
            for sample, d in zip(samples, demonstrations, strict=True)
        ]
        limit = context_limit(self.teacher)
        fitting = [row for row in rows if limit is None or len(row[1].tokens) <= limit]
        if len(fitting) < len(rows):
            log.warning("%d of %d demonstrations exceed the teacher's context", len(rows) - len(fitting), len(rows))
        if rows and not fitting:
            raise DataError(
                f"all {len(rows)} demonstrations of {task.name} exceed the teacher's context of {limit} tokens; "
                "shorten the hint, or choose another teacher"
            )
        return fitting

    def _row(self, problem: Problem, rollout: Rollout, step: int) -> Row:
        sample = choices.to_sample(rollout, 1.0)
        why = rollout.score.why if rollout.score is not None else None
        prompt = self.asking.prompt(self._hinted(problem, why), step)
        return sample, under(sample, self._encode(problem, prompt))

    def _hinted(self, problem: Problem, why: str | None) -> Problem:
        if self.config.hint is None:
            return problem
        return self.config.hint.show(problem, solution=self.solutions.get(problem.id), why=why)

    def _encode(self, problem: Problem, prompt: Prompt) -> tuple[int, ...]:
        own = self.config.teacher.template if self.config.teacher.kind == "model" else None
        template = own or self.asking.tasks[problem.task].template
        return encode_prompt(wiring.tokenizer_of(self.teacher), prompt, template)

    def _taught(self, rows: Sequence[Row]) -> list[Sample]:
        """The students' samples with what the teacher says of their tokens."""
        with self.speaking():
            said = top_k(
                self.teacher,
                [shown for _, shown in rows],
                self.config.k,
                temperature=self.config.temperature,
                compute_dtype=getattr(torch, self.config.batching.compute_dtype),
                max_tokens=self.config.batching.budget,
                listed=nameable(self.teacher, self.asking.policy),
            )
        return [replace(sample, teacher=teacher) for (sample, _), teacher in zip(rows, said, strict=True)]

    def _stream(self, name: str, samples: Sequence[Sample], coefficient: float) -> Stream:
        return Stream(
            name=name,
            samples=samples,
            loss=Distillation(self.config.divergence),
            reduction=choices.reduction(self.config.reduction),
            coefficient=coefficient,
            temperature=self.config.temperature,
        )


def speaking(config: Config, policy: Policy) -> Callable[[], AbstractContextManager[None]]:
    """A context in which the teacher has its weights; of a student that teaches as it was, those of now are kept."""
    return FrozenCopy(policy).swapped_in if config.teacher.kind == "start" else nullcontext


def solutions(config: Config, asking: sampling.Asking) -> dict[str, str]:
    """Problem id -> what the tasks demonstrate, where the hint shows it."""
    if config.hint is None or not config.hint.uses("solution"):
        return {}
    parts = zip(asking.tasks.values(), config.tasks.parts, strict=True)
    return {d.problem.id: d.completion for task, part in parts for d in task.demonstrations(part.split)}
