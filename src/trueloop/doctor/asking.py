"""What can be asked of a record, asked again: so that the doctor also works where no check was run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from trueloop.checks.outcome import curves, ending, evaluated
from trueloop.checks.outcome.evaluated import Point
from trueloop.checks.transcripts import logprobs, rewards, texts
from trueloop.checks.transcripts.turns import Turn, early_and_late
from trueloop.doctor.record import Record
from trueloop.errors import DataError
from trueloop.evaluate import Evaluation
from trueloop.evaluate.compare import require_alike
from trueloop.formulas.stats import Estimate, clustered_mean
from trueloop.records import CheckResult

SUPERVISED = ("sft",)
"""Recipes that train on demonstrations: no rewards, no samples of their own."""

ON_ROLLOUTS = (
    texts.cut_at_limit,
    texts.not_empty,
    texts.ends_in_loops,
    texts.scaffold_in_completions,
    texts.template_once,
    texts.goes_on,
    texts.prompts_distinct,
    texts.completions_differ,
    texts.not_one_text,
    texts.format_steady,
    logprobs.logprobs_sound,
)
ON_REWARDS = (
    rewards.rewards_whole,
    rewards.reward_varies,
    rewards.groups_vary,
    rewards.sometimes_solved,
    rewards.sometimes_failed,
    rewards.right_is_rewarded,
    rewards.sometimes_right,
    rewards.wrong_is_not_rewarded,
    rewards.one_answer_per_problem,
    rewards.length_is_not_the_reward,
    rewards.reward_by_variety,
    rewards.reward_kept,
)


def ask(record: Record) -> list[CheckResult]:
    """Every check that the record can be asked, transcripts first."""
    found = list(_transcripts(record))
    if record.kind == "run":
        found += [*_ending(record), *_curves(record), *_evaluations(record)]
    return found


def _transcripts(record: Record) -> Iterator[CheckResult]:
    turns = record.turns
    if not turns:
        return
    for check in ON_ROLLOUTS:
        yield check(turns)
    if rewarded(record):
        for check in ON_REWARDS:
            yield check(turns)
    if record.kind == "rows":
        yield logprobs.logprobs_agree(turns)


def rewarded(record: Record) -> bool:
    """Whether rewards are what trains."""
    return record.kind == "rows" or record.recipe == "rlvr"


def _ending(record: Record) -> Iterator[CheckResult]:
    steps = record.setting("loop", "steps")
    ended = record.state != "running"
    yield ending.ended_well(record.state, record.why, record.step, steps if isinstance(steps, int) else None)
    yield ending.not_refused(record.why)
    yield ending.disk(record.why, ended)
    yield ending.memory(record.why, record.state)
    yield ending.kept_moving(record.stuck, record.why)
    yield ending.steps_taken_whole(record.failures)
    yield ending.nothing_overridden([result for _, result in record.checks])
    yield ending.one_code(record.resumes)
    if record.seed is not None:
        yield ending.seeds([record.seed])
    if record.warm_start is not None:
        inner = record.warm_start
        target = record.setting("warm_start", "guard", "stop", "value")
        best = max((p.figure.mean for p in points(inner, _metric(record, "warm_start"))), default=None)
        yield ending.warm_start_reached(inner.state, inner.why, best, float(target) if target is not None else None)


def _curves(record: Record) -> Iterator[CheckResult]:
    gradients = [v for _, v in record.curve("grad_norm")]
    began = bool(record.metrics) or record.state not in ("running", "interrupted")
    if began:
        yield curves.trained([v for _, v in record.curve("lr")], gradients)
    if not record.metrics:
        return
    yield curves.finite(record.metrics)
    yield curves.gradient_steady(gradients)
    if record.recipe in SUPERVISED:
        yield curves.loss_fell([v for _, v in record.curve("loss")])
        return
    drifts = [v for _, v in record.curve("policy/drift")]
    yield curves.ratio_is_one(*_ratios(record), drifts, exact=_exact(record))
    staleness, every = record.setting("flow", "max_staleness") or 0, record.setting("flow", "sync_every") or 1
    reads = record.setting("flow", "max_reads") or 1
    yield curves.sampler_follows(_versions(record), max(staleness, every - 1, reads - 1))
    yield curves.length_kept([v for _, v in record.curve("length/mean")], [v for _, v in record.curve("reward/all")])
    yield curves.surprise_kept([v for _, v in record.curve("policy/nll")])
    last = record.metrics[-1]
    fates = {k: float(last.get(f"fates/{k}") or 0) for k in ("used", "filtered", "stale", "failed")}
    fates["filtered"] = max(0.0, fates["filtered"] - sum(v for _, v in record.curve("filtered/zero_variance")))
    yield curves.problems_used(fates)


def _versions(record: Record) -> list[tuple[int, int]]:
    """(1 + version of the trainer before a step, version of its samples): one without a gradient makes none."""
    after = {row["step"]: row["version"] for row in record.metrics if isinstance(row.get("version"), int)}
    return [(1 + after.get(step - 1, step - 1), version) for step, version in record.versions]


def _ratios(record: Record) -> tuple[list[float], list[tuple[float, float]], list[float]]:
    """Mean ratios, their extremes, and lags."""
    rows = [row for row in record.metrics if isinstance(row.get("policy/ratio"), float)]
    means = [row["policy/ratio"] for row in rows]
    extremes = [(row["policy/ratio/min"], row["policy/ratio/max"]) for row in rows if "policy/ratio/min" in row]
    lags = [v for _, v in record.curve("flow/lag_max")]
    if (record.setting("flow", "max_reads") or 1) > 1:
        lags = [1.0]
    return means, extremes, lags


def _exact(record: Record) -> bool:
    """Whether the configuration says that trainer and sampler compute in float32, without dropout."""
    types = {record.setting("engine", "dtype"), record.setting("batching", "compute_dtype")}
    return types == {"float32"} and not record.setting("adapter", "dropout")


def _evaluations(record: Record) -> Iterator[CheckResult]:
    found = points(record, _metric(record))
    if record.setting("guard") is not None or found:
        yield evaluated.evaluated(found)
    if not record.evaluations:
        return
    evaluations = [e for _, e in record.evaluations]
    steps = [step for step, _ in record.evaluations]
    yield evaluated.like_with_like(_refusal(evaluations, steps), len(evaluations))
    yield evaluated.effect(found)
    yield evaluated.best_of_several(found)
    yield evaluated.kept_its_best(found)
    last = evaluations[-1]
    yield evaluated.evaluation_not_cut(last.truncated, max(0, last.answers - last.lost - last.prompt_too_long))
    strict, lenient = points(record, "strict"), points(record, "lenient")
    if _metric(record) != "lenient":
        yield evaluated.strict_beside_lenient(last.strict, last.lenient, last.gaps.get("lenient-strict"))
    yield evaluated.format_kept(strict, lenient)
    counts = ("problems", "samples", "answers", "scored", "unscorable", "errors", "lost", "prompt_too_long")
    yield evaluated.answers_add_up({name: getattr(last, name) for name in counts})
    yield evaluated.evaluations_differ([(step, _print(e)) for step, e in record.evaluations if step > 0])
    if rewarded(record) and record.turns:
        pair = (found[0].figure, found[-1].figure) if len(found) >= 2 else None
        yield evaluated.reward_and_evaluation_agree(_reward_change(record.turns), pair)
        yield evaluated.audit_kept(_audit_change(record))


def _metric(record: Record, *under: str) -> str:
    metric = record.setting(*under, "guard", "metric")
    return metric if isinstance(metric, str) else "passed"


def points(record: Record, metric: str) -> list[Point]:
    """The evaluations in one figure; a share whose values all agree has the error of its interval."""
    found = []
    for step, evaluation in record.evaluations:
        named = {"strict": evaluation.strict, "lenient": evaluation.lenient, "passed": evaluation.passed}
        figure = {**named, **evaluation.figures}.get(metric)
        if figure is not None:
            found.append(Point(step=step, figure=with_error(figure)))
    return found


def with_error(figure: Estimate) -> Estimate:
    """Where an error is 0 or not known and an interval is, the error that the interval amounts to."""
    if figure.se or figure.low is None or figure.high is None:
        return figure
    se = (figure.high - figure.low) / (2 * 1.96)
    return Estimate(mean=figure.mean, se=se, low=figure.low, high=figure.high, n=figure.n, clusters=figure.clusters)


def _refusal(evaluations: Sequence[Evaluation], steps: Sequence[int]) -> str | None:
    try:
        require_alike(evaluations, [f"step {step}" for step in steps])
    except DataError as error:
        return str(error)
    return None


def _print(evaluation: Evaluation) -> object:
    """All that would differ between two models that answer differently."""
    figures = {name: figure.mean for name, figure in evaluation.figures.items()}
    return [figures, evaluation.truncated, evaluation.mean_tokens, dict(evaluation.stops)]


def _reward_change(turns: Sequence[Turn]) -> tuple[Estimate, Estimate] | None:
    """The reward as a share of its range, in the first and in the last quarter of the steps."""
    early, late = early_and_late(turns)
    values = rewards.finite_rewards(turns)
    if not early or not values or max(values) == min(values):
        return None
    low, width = min(values), max(values) - min(values)
    found = []
    for part in (early, late):
        known = [t for t in part if t.reward is not None and math.isfinite(t.reward)]
        if not known:
            return None
        shares = [((t.reward or 0.0) - low) / width for t in known]
        found.append(clustered_mean(shares, [(t.group, t.step) for t in known]))
    return found[0], found[1]


def _audit_change(record: Record) -> Mapping[str, tuple[Estimate, Estimate]]:
    """Audit measure -> its means in the first and in the last quarter of the steps."""
    steps = sorted({step for step, _, _ in record.audits})
    if len(steps) < 2:
        return {}
    quarter = max(1, len(steps) // 4)
    found: dict[str, list[list[tuple[float, str]]]] = defaultdict(lambda: [[], []])
    for step, problem, measures in record.audits:
        place = 0 if step in steps[:quarter] else 1 if step in steps[-quarter:] else None
        for name, value in measures.items():
            if place is not None:
                found[name][place].append((float(value), f"{problem}/{step}"))
    return {
        name: (clustered_mean(*zip(*parts[0], strict=True)), clustered_mean(*zip(*parts[1], strict=True)))
        for name, parts in found.items()
        if all(parts)
    }
