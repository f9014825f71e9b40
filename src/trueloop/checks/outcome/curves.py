"""What the curves of a run tell: one number a step, in the order of the steps; None or absent was not computed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median

from trueloop.checks.base import Verdict, check, fail, listed, passed, unknown, warn

ON_POLICY = 0.01
"""How far the mean ratio of a first use of fresh samples may lie from 1."""

DRIFT = 0.05
"""Mean |log ratio| of a step in lower precision, well above what rounding makes."""

FEW = 10
"""Steps below which a curve has no history to be held against."""


@check(
    "outcome.trained",
    when="after",
    question="Did the run train anything?",
    limit="fail for no step, or a learning rate or gradient of 0 in all; warn where a fifth have no gradient",
)
def trained(lrs: Sequence[float], gradients: Sequence[float]) -> Verdict:
    """Learning rate and gradient norm of each step."""
    if not gradients:
        return fail("no optimizer step was taken", "read why it ended: status.json; begin again, or --resume", value=0)
    if lrs and not any(lrs):
        return fail(f"the learning rate was 0 in all {len(lrs)} steps", "set optim.lr", value=0)
    dead = sum(g == 0 for g in gradients)
    if dead == len(gradients):
        return fail(
            f"the gradient was 0 in all {dead} steps",
            "look at the rewards: equal ones give no gradient; then at which parameters are trained",
            value=0,
        )
    if dead / len(gradients) > 0.2:
        return warn(f"no gradient in {dead} of {len(gradients)} steps", "look at groups/flat", value=dead)
    return passed(f"{len(gradients)} steps with a gradient, {dead} without", value=len(gradients) - dead)


@check(
    "outcome.finite",
    when="after",
    question="Are all numbers finite?",
    limit="fail for one in a metric that is NaN or infinite",
)
def finite(rows: Sequence[Mapping[str, object]]) -> Verdict:
    """Every number of every step."""
    odd = [
        f"{name} at step {row.get('step')}"
        for row in rows
        for name, value in row.items()
        if isinstance(value, float) and not math.isfinite(value)
    ]
    if odd:
        return fail(f"not finite: {listed(odd)}", "replay the failing batch; lower optim.lr", value=len(odd), limit=0)
    return passed(f"all numbers of {len(rows)} steps are finite", value=0, limit=0) if rows else unknown("no steps")


@check(
    "outcome.gradient_steady",
    when="after",
    question="Does the gradient stay as large as it was?",
    limit="fail where the last fifth's median is over 10 times that of the first half; warn where a tenth of the steps "
    "lie above 10 times it",
)
def gradient_steady(gradients: Sequence[float]) -> Verdict:
    """Gradient norms before clipping."""
    if len(gradients) < FEW:
        return unknown(f"{len(gradients)} steps: too few to tell")
    usual = median(gradients[: len(gradients) // 2])
    late, most = median(gradients[-max(1, len(gradients) // 5) :]), max(gradients)
    said = f"gradient norm: median of the first half {usual:.3g}, of the last fifth {late:.3g}, most {most:.3g}"
    advice = "lower optim.lr, or warm it up: optim.schedule.warmup"
    if late > 10 * usual > 0:
        return fail(said, advice, value=late / usual, limit=10)
    if sum(g > 10 * usual for g in gradients) * 10 >= len(gradients) and usual > 0:
        return warn(said, advice, value=most / usual, limit=10)
    return passed(said, value=most / usual if usual else None, limit=10)


@check(
    "outcome.ratio_is_one",
    when="after",
    question="Does the trainer see the log-probabilities that the sampler drew with?",
    limit="on fresh samples the mean ratio of a step lies within 0.01 of 1: fail where the median step's does not, "
    f"its mean |log ratio| is above {DRIFT:g}, or in float32 a token's lies beyond 2; warn for a single step",
)
def ratio_is_one(
    means: Sequence[float],
    extremes: Sequence[tuple[float, float]],
    lags: Sequence[float],
    drifts: Sequence[float] = (),
    *,
    exact: bool = True,
) -> Verdict:
    """Ratio of trainer to sampler, mean and (least, greatest) token of each step; lag in versions of the samples.

    drifts: mean |log ratio| of each step.  exact: both compute in float32 without dropout; the extremes of rounded
    numbers grow with the tokens of a step, and tell nothing.
    """
    if not means:
        return unknown("the loss has no ratio of trainer to sampler")
    if any(lags):
        return unknown(f"samples are up to {max(lags):g} versions old: their ratio need not be 1")
    off = [abs(m - 1) for m in means]
    spread = [max(abs(math.log(max(low, 1e-9))), abs(math.log(max(high, 1e-9)))) for low, high in extremes]
    said = f"mean ratio off 1 by {median(off):.4f} in the median step, {max(off):.4f} at most"
    if spread:
        said += f"; a token's ratio up to {math.exp(min(20.0, median(spread))):.3g} in the median step"
    advice = "compare trainer and sampler: temperature, top_p, top_k, precision, weights of another version"
    if drifts:
        said += f"; |log ratio| {median(drifts):.3g} on average"
    apart = (exact and spread and median(spread) > math.log(2)) or (drifts and median(drifts) > DRIFT)
    if median(off) > ON_POLICY or apart:
        return fail(said, advice, value=median(off), limit=ON_POLICY)
    if max(off) > ON_POLICY:
        return warn(said, advice, value=max(off), limit=ON_POLICY)
    return passed(said, value=max(off), limit=ON_POLICY)


@check(
    "outcome.sampler_follows",
    when="after",
    question="Does the sampler get new weights as the trainer makes them?",
    limit="fail where samples are older than the schedule allows (flow.max_staleness and flow.sync_every)",
)
def sampler_follows(versions: Sequence[tuple[int, int]], allowed: int) -> Verdict:
    """(step, version of the weights its samples came from); the weights before step n have version n - 1."""
    if len(versions) < 3:
        return unknown("fewer than 3 steps have samples with a version")
    lags = [(step - 1 - version, step) for step, version in versions]
    most, step = max(lags)
    said = f"samples are up to {most} versions old (step {step}), {allowed} allowed"
    if most > allowed:
        return fail(said, "the sampler serves old weights: look at how they are handed over", value=most, limit=allowed)
    return passed(said, value=most, limit=allowed)


@check(
    "outcome.length_kept",
    when="after",
    question="Do completions keep a length that can hold an answer?",
    limit="last tenth of the steps against the first: fail below a fifth or above 5 times, warn below half or above 3; "
    "where the reward rose, a policy has learned to stop or to think: a pass",
)
def length_kept(lengths: Sequence[float], rewards: Sequence[float] = ()) -> Verdict:
    """Mean completion length in tokens, and the mean reward, step by step."""
    if len(lengths) < FEW:
        return unknown(f"{len(lengths)} steps: too few to tell")
    n = max(1, len(lengths) // 10)
    before, after = fmean(lengths[:n]), fmean(lengths[-n:])
    said = f"mean length {before:.1f} -> {after:.1f} tokens (first and last tenth of the steps)"
    advice = "read the last completions; lower optim.lr; look at whether the reward pays for length"
    times = after / before if before else math.inf
    k = max(1, len(rewards) // 10)
    if after > 0 and len(rewards) >= FEW and fmean(rewards[-k:]) > max(0.0, fmean(rewards[:k])):
        return passed(f"{said}, while the reward rose", value=times, limit=[0.2, 5])
    if not 0.2 <= times <= 5:
        return fail(said, advice, value=times, limit=[0.2, 5])
    if not 0.5 <= times <= 3:
        return warn(said, advice, value=times, limit=[0.5, 3])
    return passed(said, value=times, limit=[0.5, 3])


@check(
    "outcome.surprise_kept",
    when="after",
    question="Is the policy neither certain of everything nor of nothing?",
    limit="mean negative log-probability of sampled tokens, last tenth of the steps: fail above 4 times the "
    "first tenth and above 1 nat, or where it falls below a hundredth of it",
)
def surprise_kept(nlls: Sequence[float]) -> Verdict:
    """Nats per sampled token; only of samples that the policy drew itself."""
    if len(nlls) < FEW:
        return unknown(f"{len(nlls)} steps: too few to tell")
    n = max(1, len(nlls) // 10)
    before, after = fmean(nlls[:n]), fmean(nlls[-n:])
    said = f"mean negative log-probability {before:.3g} -> {after:.3g} nats a token (first and last tenth of the steps)"
    if after > max(1.0, 4 * before):
        return fail(said, "the policy has come apart: lower optim.lr, go back to a checkpoint", value=after)
    if after < before / 100:
        return fail(said, "the policy no longer explores: lower optim.lr, add entropy, go back", value=after)
    return passed(said, value=after)


@check(
    "outcome.problems_used",
    when="after",
    question="Do the problems that are asked reach the trainer?",
    limit="fail where more than half were filtered, stale or failed (counts of the last step), warn above a fifth; "
    "what was filtered for equal rewards cost time alone",
)
def problems_used(fates: Mapping[str, float]) -> Verdict:
    """Groups by what became of them: used, filtered, stale, failed."""
    total = sum(fates.values())
    if total < 8:
        return unknown(f"{total:g} groups: too few to tell")
    lost = {name: n for name, n in fates.items() if name != "used" and n}
    share = sum(lost.values()) / total
    said = f"{share:.0%} of {total:g} groups did not train" + (
        f": {listed([f'{n:g} {k}' for k, n in lost.items()])}" if lost else ""
    )
    advice = "filtered: choose other problems, or the limits that drop them; failed: read `why` of the rollouts"
    if share > 0.5:
        return fail(said, advice, value=share, limit=0.5)
    if share > 0.2:
        return warn(said, advice, value=share, limit=0.2)
    return passed(said, value=share, limit=0.2)


@check(
    "outcome.loss_fell",
    when="after",
    question="Did the supervised loss fall?",
    limit="fail where the last tenth's mean is not below the first tenth's; of runs on demonstrations only",
)
def loss_fell(losses: Sequence[float]) -> Verdict:
    """Mean negative log-probability of the demonstrations' tokens."""
    if len(losses) < FEW:
        return unknown(f"{len(losses)} steps: too few to tell")
    n = max(1, len(losses) // 10)
    before, after = fmean(losses[:n]), fmean(losses[-n:])
    said = f"loss {before:.3g} -> {after:.3g} (first and last tenth of the steps)"
    if not after < before:
        return fail(
            said, "look at optim.lr (too high, or 0), and at what the demonstrations hold", value=after - before
        )
    return passed(said, value=after - before)
