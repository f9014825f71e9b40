"""Preference pairs before a run: what a recipe declares of them, and what their texts and tokens say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trueloop.chat import Tokenizer, encode_prompt
from trueloop.checks import preferences
from trueloop.models import Policy
from trueloop.models.reference import Reference
from trueloop.records import CheckResult, Pair, Problem, Sample, SamplePair, content_hash
from trueloop.tasks.base import Task
from trueloop.train.batch import Stream
from trueloop.train.step import Trainer

JUDGED = 256
"""Most pairs that a judge is asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A further objective, by what it measures on an answer; the sign of a margin follows from its direction.

    unit  how much of the measure is one log-odd
    """

    name: str
    measure: Callable[[str], float]
    direction: Literal["maximize", "minimize"]
    unit: float

    def margin(self, chosen: str, rejected: str) -> float:
        """Chosen minus rejected in log-odds; higher is better."""
        gain = (self.measure(chosen) - self.measure(rejected)) / self.unit
        return gain if self.direction == "maximize" else -gain


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """What a preference recipe declares of its run, and the very objects that it will use.

    given, held_out  pairs of texts; `split` is the one that is to be trained
    rows             the pairs as the trainer gets them, with the reference's log-probabilities, under `pair_id`
    stream           what a step makes of some rows
    w, beta          of the loss: w[0] is the labels' weight, the others are those of `objectives`, in their order
    judge            which answer is right without knowing the label: above 0 chosen, below 0 rejected, 0 neither;
                     None where nobody can say
    named            the saved adapter that the policy is to start from, merged or continued; None if there is none
    steps            optimizer steps of the run
    """

    task: Task
    policy: Policy
    trainer: Trainer
    reference: Reference
    given: Sequence[Pair]
    held_out: Sequence[Pair]
    split: str
    rows: Sequence[SamplePair]
    stream: Callable[[Sequence[SamplePair]], Stream]
    objectives: Sequence[Objective]
    w: Sequence[float]
    beta: float
    judge: Callable[[Pair], float] | None
    named: Path | None
    steps: int


def pair_id(pair: Pair) -> str:
    """The same for the same texts, and another one for the other order."""
    return content_hash("pair", _asked_text(pair.problem), pair.chosen, pair.rejected)


def by_verifier(task: Task) -> Callable[[Pair], float]:
    """A judge: the difference of the rewards that a task's verifier gives, in any format that it reads."""

    def judge(pair: Pair) -> float:
        chosen, rejected = (
            task.grade(pair.problem, text, leniency=1.0).reward for text in (pair.chosen, pair.rejected)
        )
        return 0.0 if chosen is None or rejected is None else chosen - rejected

    return judge


def texts(pairing: Pairing) -> Iterator[CheckResult]:
    """What the pairs say as texts."""
    given = [(_asked_text(p.problem), p.chosen, p.rejected) for p in pairing.given]
    yield preferences.identical_answers(given)
    yield preferences.empty_answers(given)
    yield preferences.duplicates(given)
    yield preferences.contradictions(given)
    yield preferences.prompts(given)
    yield preferences.template_once([prompt for prompt, _, _ in given])
    yield preferences.held_out_overlap(
        [prompt for prompt, _, _ in given], [_asked_text(p.problem) for p in pairing.held_out]
    )
    yield preferences.splits(
        [p.problem.split for p in pairing.given], [p.problem.split for p in pairing.held_out], pairing.split
    )
    yield preferences.length_confound([(len(chosen), len(rejected)) for _, chosen, rejected in given])
    if pairing.judge is not None:
        said = [pairing.judge(p) for p in _spread(pairing.given, JUDGED)]
        yield preferences.labels(sum(x > 0 for x in said), sum(x < 0 for x in said), sum(x == 0 for x in said))


def tokens(pairing: Pairing) -> Iterator[CheckResult]:
    """What becomes of the pairs as tokens."""
    given = {pair_id(pair): pair for pair in pairing.given}
    known = {row.id for row in pairing.rows}
    rows = [(row, given[row.id]) for row in pairing.rows if row.id in given]
    yield preferences.pairs_lost([id for id in given if id not in known], len(given))
    yield _prompts(pairing, rows)
    yield preferences.same_tokens(sum(row.chosen.tokens == row.rejected.tokens for row, _ in rows), len(rows))
    sides = [side for row, pair in rows for side in ((row.chosen, pair.chosen), (row.rejected, pair.rejected))]
    read = [_Answer.of(sample, text, pairing.policy) for sample, text in sides]
    cut = sum(a.cut or b.cut for a, b in zip(read[::2], read[1::2], strict=True))
    whole = [answer for answer in read if not answer.cut]
    yield preferences.answers_cut(cut, len(rows))
    yield preferences.answer_tokens([(a.text, a.trained) for a in whole if a.text != a.trained], len(whole))
    yield preferences.end_token(sum(a.ended for a in whole), len(whole))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """A row's answer: the text that it is made of, what its trained tokens say, and how it ends."""

    text: str
    trained: str
    ended: bool
    cut: bool

    @classmethod
    def of(cls, sample: Sample, text: str, policy: Policy) -> _Answer:
        trained = [t for t, on in zip(sample.tokens, sample.loss_mask, strict=True) if on]
        ended = bool(trained) and trained[-1] in policy.end_ids
        said = str(policy.tokenizer.decode(trained[:-1] if ended else trained))
        cut = len(said) < len(text) and text.startswith(said) and not ended
        return cls(text=text, trained=said, ended=ended, cut=cut)


def _prompts(pairing: Pairing, rows: Sequence[tuple[SamplePair, Pair]]) -> CheckResult:
    tokenizer: Tokenizer = pairing.policy.tokenizer
    differ, unlike = [], []
    for row, pair in rows:
        mine, other = _prompt(row.chosen), _prompt(row.rejected)
        if mine != other:
            differ.append(row.id)
        elif mine != encode_prompt(tokenizer, pairing.task.prompt(pair.problem), pairing.task.template):
            unlike.append(row.id)
    return preferences.prompt_tokens(differ, unlike, len(rows))


def _prompt(sample: Sample) -> tuple[int, ...]:
    """The tokens before the first trained one; all of them where none is."""
    return sample.tokens[: sample.loss_mask.index(True)] if any(sample.loss_mask) else sample.tokens


def _asked_text(problem: Problem) -> str:
    if isinstance(problem.prompt, str):
        return problem.prompt
    return "\n".join(f"{m.role}: {m.content}" for m in problem.prompt)


def _spread(pairs: Sequence[Pair], most: int) -> Sequence[Pair]:
    """At most so many, evenly over the whole."""
    return [pairs[i * len(pairs) // most] for i in range(most)] if len(pairs) > most else pairs
