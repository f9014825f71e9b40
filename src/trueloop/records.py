"""What crosses a stage boundary: frozen, keyword-only records.  No torch, no I/O.

*problem* (a task's row) -> *completion* (what an engine returned) -> *rollout* (problem + completion + score)
-> *group* (rollouts of one problem) -> *sample* (a trainable row).  "Not computed" is `None`, never 0.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from trueloop.errors import DataError

Json = Any
Finish = Literal["stop", "length", "abort", "error"]
Status = Literal["scored", "unscorable", "error"]


def content_hash(*parts: Json) -> str:
    """16 hex digits that depend on the content of `parts` alone: equal JSON, equal hash, on every machine."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def derive_seed(run_seed: int, *parts: str | int) -> int:
    """A 63-bit seed for one draw, from the run's seed and what names the draw (problem id, epoch, sample, ...)."""
    return int(content_hash(run_seed, *parts), 16) >> 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation, as chat templates take it."""

    role: str
    content: str


Prompt = str | tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One row of a task.  `target` is for verifiers only and never reaches a prompt.

    `tags` describe the row (level, subject, ...) and may be read by prompts, curricula and evaluation.
    """

    id: str
    prompt: Prompt
    target: Json
    task: str
    split: str
    tags: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def create(
        cls, *, prompt: Prompt, target: Json, task: str, split: str, tags: Mapping[str, Json] | None = None
    ) -> Problem:
        """A problem whose id is its content: the same row has the same id whatever its place or split."""
        plain = prompt if isinstance(prompt, str) else [[m.role, m.content] for m in prompt]
        return cls(
            id=f"{task}-{content_hash(plain, target)}",
            prompt=prompt,
            target=target,
            task=task,
            split=split,
            tags=tags or {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How an engine draws tokens.  `temperature=0` is greedy; `top_k=0` and `top_p=1` switch truncation off."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise DataError(f"sampling.max_tokens must be at least 1, got {self.max_tokens}")
        if not 0.0 <= self.temperature < math.inf:
            raise DataError(f"sampling.temperature must be 0 (greedy) or positive, got {self.temperature}")
        if not 0.0 < self.top_p <= 1.0:
            raise DataError(f"sampling.top_p must lie in (0, 1], got {self.top_p}")
        if self.top_k < 0:
            raise DataError(f"sampling.top_k must be 0 (off) or positive, got {self.top_k}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One completion asked of an engine.  Requests with equal `prompt` and `adapter` share one prefill."""

    id: str
    prompt: tuple[int, ...]
    sampling: Sampling
    adapter: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What an engine returned for one request.

    tokens    what was sampled, the end token included where there was one
    logprobs  per token: log-probability under the distribution it was really drawn from (after temperature and
              truncation, renormalised); for greedy decoding, under the untruncated distribution at temperature 1
    scores    per token: log-probability at the same temperature but without truncation, which is what a trainer
              scores; equal to `logprobs` where nothing was truncated
    finish    stop (end token or stop string), length (max_tokens), abort, error
    stop      the stop string or the end token's text that ended it; None unless finish is "stop"
    version   of the weights: the oldest that any token was drawn from
    text      decoded tokens without the end token and cut before the stop string
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    scores: tuple[float, ...]
    finish: Finish
    stop: str | None
    version: int
    text: str

    def __post_init__(self) -> None:
        if not len(self.tokens) == len(self.logprobs) == len(self.scores):
            raise DataError(
                "completion: tokens, logprobs and scores must have one length, "
                f"got {len(self.tokens)}, {len(self.logprobs)}, {len(self.scores)}"
            )
        if (self.stop is not None) != (self.finish == "stop"):
            raise DataError(f"completion: finish {self.finish!r} does not go with stop {self.stop!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A verifier's verdict.

    reward  what may train; None unless status is "scored"
    passed  the task's own yes or no; None where it has none
    status  scored; unscorable (the row's fault); error (the verifier's fault)
    parts   named components of the reward, and alternative readings such as strict and lenient
    audit   what may only be looked at: it never reaches a Sample
    """

    status: Status
    reward: float | None = None
    passed: bool | None = None
    answer: str | None = None
    why: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    audit: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.reward is not None) != (self.status == "scored"):
            raise DataError(f"score: status {self.status!r} does not go with reward {self.reward!r}")
        if self.reward is not None and not math.isfinite(self.reward):
            raise DataError(f"score: reward must be finite, got {self.reward!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A value read from or about a rollout at one of its token positions, such as a stated belief."""

    name: str
    position: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A problem's prompt and completion as one token sequence, with who wrote each token.

    `logprobs` and `scores` align with `tokens` and mean what they mean in `Completion`; they are 0.0 where
    `loss_mask` is False, which nothing reads.
    """

    id: str
    problem_id: str
    tokens: tuple[int, ...]
    loss_mask: tuple[bool, ...]
    logprobs: tuple[float, ...]
    scores: tuple[float, ...]
    finish: Finish
    stop: str | None
    version: int
    text: str
    source: Literal["policy", "teacher"] = "policy"
    score: Score | None = None
    probes: tuple[Probe, ...] = ()

    def __post_init__(self) -> None:
        _require_aligned(f"rollout {self.id!r}", self.tokens, loss_mask=self.loss_mask, logprobs=self.logprobs)
        _require_aligned(f"rollout {self.id!r}", self.tokens, scores=self.scores)
        _require_context(f"rollout {self.id!r}", self.loss_mask)

    @property
    def completion_length(self) -> int:
        """How many tokens the policy (or the teacher) wrote."""
        return sum(self.loss_mask)


def to_rollout(problem: Problem, k: int, prompt: tuple[int, ...], c: Completion, *, epoch: int = 0) -> Rollout:
    """Concatenate prompt and completion.  Who wrote each token is known here and nowhere later."""
    zeros, n = (0.0,) * len(prompt), len(c.tokens)
    return Rollout(
        id=f"{problem.id}/{epoch}/{k}",
        problem_id=problem.id,
        tokens=prompt + c.tokens,
        loss_mask=(False,) * len(prompt) + (True,) * n,
        logprobs=zeros + c.logprobs,
        scores=zeros + c.scores,
        finish=c.finish,
        stop=c.stop,
        version=c.version,
        text=c.text,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The rollouts of one problem in one epoch.  `advantages` has one value per rollout once credit was given."""

    problem: Problem
    rollouts: tuple[Rollout, ...]
    advantages: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.advantages is not None and len(self.advantages) != len(self.rollouts):
            raise DataError(
                f"group {self.problem.id!r}: {len(self.advantages)} advantages for {len(self.rollouts)} rollouts"
            )

    def rewards(self) -> tuple[float, ...]:
        """One reward per rollout; an error if any rollout is unscored, since 0 would be a guess."""
        missing = [r.id for r in self.rollouts if r.score is None or r.score.reward is None]
        if missing:
            raise DataError(f"group {self.problem.id!r}: unscored rollouts {missing}; drop or re-score them")
        return tuple(r.score.reward for r in self.rollouts if r.score and r.score.reward is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two answers to one problem.  A margin is chosen minus rejected under a named objective; higher is better."""

    problem: Problem
    chosen: str
    rejected: str
    margins: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """A teacher's most probable tokens at each trained position: K ids and their log-probabilities.

    The rows align with the True entries of the sample's `loss_mask`, in order.
    """

    ids: tuple[tuple[int, ...], ...]
    logprobs: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A trainable row: all that the trainer knows.

    loss_mask     the tokens that are trained; the first token has no context and is never trained
    weights       per token: the coefficient of its loss term (an advantage, 1 for SFT, ...); may be negative
    logprobs      per token under the policy that sampled, or None (off-policy data, or to be recomputed)
    ref_logprobs  per token under the reference policy, or None
    teacher       top-K distributions to distil from, or None
    """

    id: str
    tokens: tuple[int, ...]
    loss_mask: tuple[bool, ...]
    weights: tuple[float, ...]
    logprobs: tuple[float, ...] | None = None
    ref_logprobs: tuple[float, ...] | None = None
    teacher: Teacher | None = None

    def __post_init__(self) -> None:
        what = f"sample {self.id!r}"
        _require_aligned(what, self.tokens, loss_mask=self.loss_mask, weights=self.weights)
        _require_aligned(what, self.tokens, logprobs=self.logprobs, ref_logprobs=self.ref_logprobs)
        _require_context(what, self.loss_mask)
        if self.teacher is not None and len(self.teacher.ids) != self.trained_tokens:
            raise DataError(f"{what}: {len(self.teacher.ids)} teacher rows for {self.trained_tokens} trained tokens")

    @property
    def trained_tokens(self) -> int:
        """How many tokens the loss reads."""
        return sum(self.loss_mask)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePair:
    """A trainable pair; `margins` has one value per further objective, chosen minus rejected, in log-odds."""

    id: str
    chosen: Sample
    rejected: Sample
    margins: tuple[float, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A mean that merges exactly over micro-batches and ranks; its extremes keep a spike from being averaged away."""

    total: float
    count: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Metric | None:
        """The metric of a list of values; None for no values, since their mean was not computed."""
        return cls(total=math.fsum(values), count=len(values), low=min(values), high=max(values)) if values else None

    @property
    def mean(self) -> float:
        """Total over count."""
        return self.total / self.count

    def merge(self, other: Metric) -> Metric:
        """The metric of both sets of values together."""
        return Metric(
            total=self.total + other.total,
            count=self.count + other.count,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What one optimizer step did.  `version` counts optimizer steps taken, this one included.

    denominator  per stream: trained tokens (or rows, or pairs) that the loss was divided by
    metrics      means with extremes over every trained token, row or pair of the step, all ranks
    seconds      wall time by part of the step
    """

    step: int
    version: int
    loss: float
    grad_norm: float
    lr: float
    denominator: Mapping[str, float]
    metrics: Mapping[str, Metric]
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """A check's answer to its question.  `unknown` is never shown as pass; `advice` names the key or the command."""

    id: str
    status: Literal["pass", "warn", "fail", "unknown"]
    value: Json = None
    limit: Json = None
    evidence: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What is needed to repeat a run."""

    recipe: str
    config: Mapping[str, Json]
    difference: Mapping[str, Json]
    fingerprint: str
    commit: str | None
    dirty: bool | None
    packages: Mapping[str, str]
    seed: int
    data: Mapping[str, str]
    started_at: str


def _require_aligned(what: str, tokens: Sequence[int], **columns: Sequence[Any] | None) -> None:
    for name, column in columns.items():
        if column is not None and len(column) != len(tokens):
            raise DataError(f"{what}: {name} must have one entry per token, got {len(column)} for {len(tokens)} tokens")


def _require_context(what: str, loss_mask: Sequence[bool]) -> None:
    if loss_mask and loss_mask[0]:
        raise DataError(
            f"{what}: the first token cannot be trained: nothing precedes it; begin with a token that is not"
        )
