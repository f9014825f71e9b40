"""The bed of pair faults: a minimal preference run of the arithmetic world, checked and not trained.

A right answer is preferred to a wrong one, by labels that say how sure they are, and a further objective wants answers
short; the loss is that of MODPO.  It is written as a recipe would be, and a fault takes the place of one of its parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from trueloop.chat import encode_completion, encode_prompt
from trueloop.config import Resolved
from trueloop.formulas import preference
from trueloop.formulas.reduce import row_mean
from trueloop.models import Policy, Pretrained, SavedAdapter
from trueloop.models.files import is_adapter, locate
from trueloop.models.reference import AdapterOff, FrozenCopy, Reference, with_reference
from trueloop.preflight import pair_steps, pairs
from trueloop.preflight.gate import Gate
from trueloop.preflight.pairs import Objective, Pairing
from trueloop.recipes import wiring
from trueloop.records import Pair, Problem, Sample, SamplePair, content_hash
from trueloop.tasks.base import Task
from trueloop.tasks.worlds.arithmetic import Arithmetic
from trueloop.train.batch import PairBatch, PairOutputs, Stream


class Config(wiring.Common):
    """The run.

    pairs, held_out  of the splits train and validation
    max_tokens       of a row; what is beyond is cut
    w, beta          of the loss; w[1] is the weight of short answers
    labels           soft ones say by their pairs' gap how sure they are: `certainty`, in log-odds
    direction, unit  of the answers' length, in characters
    """

    task: Arithmetic = Arithmetic()
    pairs: Annotated[int, Field(ge=1)] = 192
    held_out: Annotated[int, Field(ge=1)] = 48
    max_tokens: Annotated[int, Field(ge=1)] = 160
    pairs_per_step: Annotated[int, Field(ge=1)] = 16
    w: tuple[float, float] = (0.8, 0.2)
    beta: float = 0.1
    labels: Literal["soft", "hard"] = "soft"
    certainty: float = 2.0
    direction: Literal["maximize", "minimize"] = "minimize"
    unit: Annotated[float, Field(gt=0)] = 8.0


@dataclass(frozen=True)
class Preference:
    """MODPO with labels as sure as the pairs' gaps say."""

    w: Sequence[float]
    beta: float

    def __call__(self, out: PairOutputs, batch: PairBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss [B] and metrics [B]."""
        assert batch.ref_chosen_logp_B is not None and batch.ref_rejected_logp_B is not None
        logratio_B = (out.chosen_logp_B - batch.ref_chosen_logp_B) - (out.rejected_logp_B - batch.ref_rejected_logp_B)
        z_B = preference.modpo_logit(logratio_B, batch.margins_BM, self.w, self.beta)
        p_B = 1.0 if batch.gap_B is None else batch.gap_B.sigmoid()
        return preference.soft_label(z_B, p_B), {"logit": z_B.detach()}


def run(config: Config, resolved: Resolved[Any], out: Path, resume: bool, gate: Gate | None = None) -> wiring.Outcome:
    """The checks of a preference run; `out` gets nothing, since nothing is trained."""
    gate = gate or Gate(only=True)
    task = config.task.build()
    policy = build(config)
    given, held_out = read(task, "train", config.pairs), read(task, "validation", config.held_out)
    reference = open_reference(policy)
    objectives = [declared(config)]
    rows = encode(task, policy, reference, given, objectives, config)
    with wiring.open_trainer(config, policy) as trainer:
        pairing = Pairing(
            task=task,
            policy=policy,
            trainer=trainer,
            reference=reference,
            given=given,
            held_out=held_out,
            split="train",
            rows=rows,
            stream=partial(stream, config),
            objectives=objectives,
            w=config.w,
            beta=config.beta,
            judge=pairs.by_verifier(task),
            named=named(config),
            steps=config.loop.steps,
        )
        for part in (pairs.texts, pairs.tokens, pair_steps.margins, pair_steps.optimum, pair_steps.first_step):
            gate.take(part(pairing))
        gate.require()
    return wiring.checked(gate)


def build(config: Config) -> Policy:
    """The policy that is trained."""
    return wiring.build_policy(config.model, config.adapter, config.seed)


def named(config: Config) -> Path | None:
    """The saved adapter that the policy starts from, if there is one."""
    named = [config.model.path] if isinstance(config.model, Pretrained) else []
    named += [config.adapter.path] if isinstance(config.adapter, SavedAdapter) else []
    return next((Path(locate(path)) for path in named if is_adapter(locate(path))), None)


def read(task: Task, split: str, count: int) -> list[Pair]:
    """Right and wrong answers to the problems of a split, in formats and of lengths that do not tell which is which."""
    solutions = {d.problem.id: d.completion for d in task.demonstrations(split)}
    problems = task.first(split, count)
    return [_pair(p, solutions[p.id], solutions[problems[k - 1].id]) for k, p in enumerate(problems)]


def _pair(problem: Problem, solution: str, other: str) -> Pair:
    """`other` solves another problem: its words and format with this problem's numbers would be right, with one digit
    changed they are wrong."""
    at = int(content_hash("wrong", problem.id), 16)
    wrong = str(int(problem.target) + (1, -1, 10, -10, 2, -2)[at % 6])
    begin = solution.rpartition(". ")[0]
    end = other.rpartition(". ")[2] if ". " in other else other
    rejected = f"{begin}. {''.join(c for c in end if not c.isdigit()).rstrip(' .')} {wrong}"
    return Pair(problem=problem, chosen=solution, rejected=rejected + "." * ("answer" in end))


def declared(config: Config) -> Objective:
    """The further objective: how long an answer is."""
    return Objective(name="short", measure=length, direction=config.direction, unit=config.unit)


def length(text: str) -> float:
    """Characters."""
    return float(len(text))


def open_reference(policy: Policy) -> Reference:
    """The policy of step 0."""
    return AdapterOff(policy) if policy.adapter is not None else FrozenCopy(policy)


def encode(
    task: Task,
    policy: Policy,
    reference: Reference,
    given: Sequence[Pair],
    objectives: Sequence[Objective],
    config: Config,
) -> list[SamplePair]:
    """The rows of pairs, with the reference's log-probabilities and the objectives' margins."""
    sides = [
        row(task, policy, pair, text, f"{pairs.pair_id(pair)}/{side}", config.max_tokens)
        for pair in given
        for side, text in (("chosen", pair.chosen), ("rejected", pair.rejected))
    ]
    scored = with_reference(sides, reference)
    return [
        SamplePair(
            id=pairs.pair_id(pair),
            chosen=scored[2 * k],
            rejected=scored[2 * k + 1],
            margins={o.name: o.margin(pair.chosen, pair.rejected) for o in objectives},
            gap=config.certainty if config.labels == "soft" else None,
        )
        for k, pair in enumerate(given)
    ]


def row(task: Task, policy: Policy, pair: Pair, text: str, id: str, limit: int) -> Sample:
    """Prompt and answer as tokens, of which at most `limit` are kept; the answer and its end are trained."""
    tokenizer = wiring.tokenizer_of(policy)
    prompt = encode_prompt(tokenizer, task.prompt(pair.problem), task.template)
    answer = encode_completion(tokenizer, text, policy.end_ids[0])
    tokens = (prompt + answer)[:limit]
    mask = tuple(t >= len(prompt) for t in range(len(tokens)))
    return Sample(id=id, tokens=tokens, loss_mask=mask, weights=tuple(map(float, mask)))


def stream(config: Config, rows: Sequence[SamplePair]) -> Stream:
    """What a step is given."""
    return Stream(name="pairs", pairs=rows, loss=Preference(config.w, config.beta), reduction=row_mean)
