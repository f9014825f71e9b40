"""Evaluation: a task's problems through an engine, graded, with all that it takes to compare the figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from trueloop.chat import Template, Tokenizer, encode_prompt, template_hash
from trueloop.engines.base import Engine
from trueloop.errors import DataError
from trueloop.formulas.stats import Estimate, clustered_mean, pass_at_k, wilson
from trueloop.records import Completion, Finish, Json, Problem, Request, Sampling, Score, derive_seed
from trueloop.tasks.base import Task
from trueloop.verify.pool import VerifierPool


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRow:
    """One completion of an evaluation.  `score` is None where the engine lost the completion."""

    problem_id: str
    sample: int
    text: str
    tokens: int
    finish: Finish
    stop: str | None
    version: int
    score: Score | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a policy does on a split, and under which conditions.

    lenient, strict   share of right answers over all scored completions, the second in the declared format only (None
                      where the task has no such reading), with 95 % intervals clustered by problem
    pass_at_k         k -> unbiased estimate that one of k samples is right (leniently), for k = 1, 2, 4, ... up to
                      `samples`; over the problems whose samples were all scored; None for one sample
    problems, answers, scored, unscorable, errors, lost
                      denominators: answers = problems x samples = scored + unscorable + errors + lost, where errors
                      are the verifier's and lost completions the engine's
    truncated         share of the returned completions that ran into `max_tokens`
    stops             share of the returned completions by what ended them; "" stands for the token limit
    mean_tokens       of the returned completions, end token included
    versions          oldest and newest weights that a completion came from
    """

    name: str
    task: str
    split: str
    template: Template
    template_hash: str
    data_hash: str
    seed: int
    shots: int
    samples: int
    sampling: Mapping[str, Json]
    lenient: Estimate | None
    strict: Estimate | None
    pass_at_k: Mapping[int, float] | None
    problems: int
    answers: int
    scored: int
    unscorable: int
    errors: int
    lost: int
    truncated: float | None
    stops: Mapping[str, float]
    mean_tokens: float | None
    versions: tuple[int, int] | None
    verifier: Mapping[str, Json]
    rows: tuple[EvaluationRow, ...]

    def summary(self) -> dict[str, Json]:
        """All but the rows, ready for JSON."""
        return {k: v for k, v in asdict(replace(self, rows=())).items() if k != "rows"}


async def evaluate(
    engine: Engine,
    task: Task,
    split: str,
    sampling: Sampling,
    *,
    tokenizer: Tokenizer,
    n: int | None = None,
    samples: int = 1,
    shots: int = 0,
    seed: int,
    name: str,
) -> Evaluation:
    """Ask the first `n` problems of a split (None: all) `samples` times each, and grade the answers.

    The problems come in an order that depends on their content alone, so equal `n` means equal rows; each draw has a
    seed of its own from `seed`, the problem and the sample's number.  `sampling` is task.sampling(...), greedy or not.
    Raises `DataError` for stops that are not the task's, several greedy samples, a prompt that cannot be
    made, and a verifier with too many errors; `EngineError` passes through.
    """
    _require_comparable(task, sampling, samples)
    problems = {p.id: p for p in task.first(split, n)}
    prompts = {i: _encode(task, p, shots, tokenizer) for i, p in problems.items()}
    draws = {f"{i}/{k}": (p, k) for i, p in problems.items() for k in range(samples)}
    requests = [
        Request(id=draw, prompt=prompts[p.id], sampling=replace(sampling, seed=derive_seed(seed, p.id, k)))
        for draw, (p, k) in draws.items()
    ]
    pool, rows = VerifierPool(task.grade), {}
    async for draw, completion in engine.generate(requests):
        rows[draw] = await _row(pool, *draws[draw], completion)
    returned = tuple(rows[draw] for draw in draws if draw in rows)
    return Evaluation(
        name=name,
        task=task.name,
        split=split,
        template=task.template,
        template_hash=template_hash(tokenizer, task.template),
        data_hash=task.data_hash(split),
        seed=seed,
        shots=shots,
        samples=samples,
        sampling={k: v for k, v in asdict(sampling).items() if k != "seed"},
        problems=len(problems),
        answers=len(draws),
        verifier=pool.report().get(task.name, {}),
        rows=returned,
        **_verdicts(returned, samples),
        lost=len(draws) - sum(row.score is not None for row in returned),
        **_endings(returned),
    )


def _encode(task: Task, problem: Problem, shots: int, tokenizer: Tokenizer) -> tuple[int, ...]:
    prompt = task.prompt(problem, task.few_shot(shots, exclude=problem.id))
    return encode_prompt(tokenizer, prompt, task.template)


async def _row(pool: VerifierPool, problem: Problem, k: int, completion: Completion) -> EvaluationRow:
    lost = completion.finish in ("abort", "error")
    return EvaluationRow(
        problem_id=problem.id,
        sample=k,
        text=completion.text,
        tokens=len(completion.tokens),
        finish=completion.finish,
        stop=completion.stop,
        version=completion.version,
        score=None if lost else await pool.score(problem, completion.text),
    )


def _verdicts(rows: Sequence[EvaluationRow], samples: int) -> dict[str, Any]:
    """What the verifier said: accuracies and how many answers they are of."""
    verdicts = [(row.problem_id, row.score) for row in rows if row.score is not None]
    scored = [(problem, score) for problem, score in verdicts if score.status == "scored"]
    right = Counter(problem for problem, score in scored if score.passed)
    whole = [problem for problem, count in Counter(problem for problem, _ in scored).items() if count == samples]
    return {
        "lenient": _share([(problem, _lenient(score)) for problem, score in scored]),
        "strict": _share([(problem, score.parts.get("strict")) for problem, score in scored]),
        "pass_at_k": _pass_at_k([right[problem] for problem in whole], samples) if samples > 1 and whole else None,
        "scored": len(scored),
        "unscorable": sum(score.status == "unscorable" for _, score in verdicts),
        "errors": sum(score.status == "error" for _, score in verdicts),
    }


def _endings(rows: Sequence[EvaluationRow]) -> dict[str, Any]:
    """How the completions ended, of those that the engine did not lose."""
    ended = [row for row in rows if row.score is not None]
    stops = Counter(row.stop or "" for row in ended)
    return {
        "truncated": fmean(row.finish == "length" for row in ended) if ended else None,
        "stops": {stop: count / len(ended) for stop, count in stops.most_common()},
        "mean_tokens": fmean(row.tokens for row in ended) if ended else None,
        "versions": (min(r.version for r in ended), max(r.version for r in ended)) if ended else None,
    }


def _lenient(score: Score) -> float | None:
    """The wide reading; the task's own verdict where it has only one reading."""
    return score.parts.get("lenient", None if score.passed is None else float(score.passed))


def _share(values: Sequence[tuple[str, float | None]]) -> Estimate | None:
    """The mean with its interval; Wilson's where yes-or-no values are one a problem, or all agree and so have no
    spread to take an interval from.  None where no value was computed."""
    known = [(problem, value) for problem, value in values if value is not None]
    if not known:
        return None
    estimate = clustered_mean([value for _, value in known], [problem for problem, _ in known])
    kinds = {value for _, value in known}
    if kinds <= {0.0, 1.0} and (len(kinds) == 1 or estimate.n == estimate.clusters):
        low, high = wilson(round(estimate.mean * estimate.clusters), estimate.clusters)
        return replace(estimate, low=low, high=high)
    return estimate


def _pass_at_k(right: Sequence[int], samples: int) -> dict[int, float]:
    ks = sorted({2**i for i in range(samples.bit_length())} | {samples})
    return {k: fmean(pass_at_k(samples, c, k) for c in right) for k in ks}


def _require_comparable(task: Task, sampling: Sampling, samples: int) -> None:
    if sampling.stop != task.stops:
        raise DataError(
            f"evaluation of {task.name!r}: sampling stops at {sampling.stop}, the task at {task.stops}; "
            "draw with task.sampling(...), so that every figure of a task is of the same stops"
        )
    if samples < 1 or (sampling.temperature == 0 and samples > 1):
        raise DataError(
            f"evaluation of {task.name!r}: {samples} samples at temperature {sampling.temperature}; greedy draws are "
            "all equal: ask for one, or set a temperature"
        )
