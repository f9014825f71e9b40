"""What the policy writes while it trains: length, cuts, variety, repetition."""

from __future__ import annotations

import statistics

from trueloop.checks.base import Verdict, check, fail, passed, unknown, warn
from trueloop.checks.limits import share_is_low
from trueloop.checks.running.seen import FIRST, Seen, number

SHORT = 5.0
CUT = 0.95


@check(
    "rollouts.length",
    when="during",
    question="Do completions keep the length that they began with?",
    limit=f"a third to three times the start; below it and {SHORT:g} tokens, or below a sixth of it, is a "
    "fail, unless the reward held or rose meanwhile",
)
def length(seen: Seen) -> Verdict:
    """The mean of two steps against the run's first."""
    began, last = seen.began("length/mean"), seen.last("length/mean", 2)
    if began is None or last is None:
        return unknown(f"no {FIRST + 1} steps of rollouts yet")
    shown = f"completions have {last[-1]:.3g} tokens on average, they began with {began:.3g}"
    advice = (
        "read the step's rollouts: what earns reward at this length?  Lower optim.lr, add kl; see reward and format"
    )
    value = {"now": last[-1], "began": began}
    if (max(last) < min(SHORT, began / 3) or max(last) < began / 6) and not seen.reward_held():
        return fail(shown, advice, value=value)
    if max(last) < began / 3 or min(last) > 3 * began:
        return warn(shown, advice, value=value)
    return passed(shown, value=value)


@check(
    "rollouts.cut",
    when="during",
    question="Do completions end by themselves?",
    limit=f"{CUT:.0%} cut at the limit in two steps is a fail; half, and 30 points more than at the start, a warn",
)
def cut(seen: Seen) -> Verdict:
    """The share of completions that reached the task's limit."""
    last, began = seen.last("length/cut", 2), seen.began("length/cut")
    if last is None:
        return unknown("no two steps of rollouts yet")
    shown = f"{last[-1]:.0%} of the completions were cut at their limit"
    advice = "look at the stops and the end token, and at what the policy repeats; raise the task's max_tokens"
    if min(last) >= CUT:
        return fail(shown, advice, value=last[-1], limit=CUT)
    if began is not None and min(last) > max(0.5, began + 0.3):
        return warn(f"{shown}, {began:.0%} at the start", advice, value=last[-1], limit=began + 0.3)
    return passed(shown, value=last[-1], limit=CUT)


@check(
    "rollouts.distinct",
    when="during",
    question="Does the policy still write different things?",
    limit="a fail where one text is nine in ten of two steps, or every group has one text in four and the "
    "reward is not held; a warn below a quarter of the start, or below half of what it was two steps ago",
)
def distinct(seen: Seen) -> Verdict:
    """Distinct texts over completions, and the share of the commonest text."""
    last, began = seen.last("length/distinct", 2), seen.began("length/distinct")
    commonest = seen.last("rollouts/commonest", 2)
    if last is None:
        return unknown("no two steps of rollouts yet")
    shown = f"{last[-1]:.1%} of the completions are distinct"
    advice = "look at the rollouts, at draw.temperature and at the engine's seeds; lower optim.lr, add an entropy bonus"
    if commonest is not None and min(commonest) >= 0.9:
        return fail(
            f"one text is {commonest[-1]:.0%} of the step's completions", advice, value=commonest[-1], limit=0.9
        )
    repeated = seen.last("rollouts/one_text", 4)
    if repeated is not None and min(repeated) == 1.0:
        words = f"{shown}: every group repeats one text"
        return (warn if seen.reward_held() else fail)(words, advice, value=last[-1])
    before = seen.before("length/distinct")[:-1][-FIRST:]
    if len(before) == FIRST and max(last) < (usual := statistics.median(before)) / 2:
        return warn(f"{shown}, {usual:.0%} two steps ago", advice, value=last[-1], limit=usual / 2)
    if began is not None and max(last) < began / 4:
        return warn(f"{shown}, {began:.0%} at the start", advice, value=last[-1], limit=began / 4)
    return passed(shown, value=last[-1])


@check(
    "rollouts.repetition",
    when="during",
    question="Are completions free of loops?",
    limit="completions that compress to less than a seventh: a warn beyond 20 % and 15 points over the start, a fail "
    "at 80 % in two steps",
)
def repetition(seen: Seen) -> Verdict:
    """The share of a sample of the step's texts that say the same over and over."""
    last, began = seen.last("rollouts/looping", 2), seen.began("rollouts/looping")
    if last is None:
        return unknown("no two steps of rollouts yet")
    shown = f"{last[-1]:.0%} of the completions repeat themselves"
    advice = "read them; check stops and end token, lower optim.lr, and see whether the reward pays for length"
    if min(last) >= 0.8:
        return fail(shown, advice, value=last[-1], limit=0.8)
    if began is not None and min(last) > max(0.2, began + 0.15):
        return warn(f"{shown}, {began:.0%} at the start", advice, value=last[-1], limit=0.2)
    return passed(shown, value=last[-1], limit=0.8)


@check(
    "rollouts.guard_cut",
    when="during",
    question="Do the guard's answers end by themselves?",
    limit="beyond 2 % cut at the limit an accuracy measures the limit; 10 % is a warn that the interval must exclude",
)
def guard_cut(seen: Seen) -> Verdict:
    """Of the latest guard evaluation.  Where a run imitates, its model may learn to stop on its way."""
    if not seen.evaluations:
        return unknown("no guard evaluation yet")
    row = seen.evaluations[-1]
    share, n = number(row.get("truncated")), (number(row.get("problems")) or 0) * (number(row.get("samples")) or 1)
    if share is None or not n or not seen.steps:
        return unknown("nothing was trained yet, or the guard does not say how its answers ended")
    began = number((seen.first_evaluation or {}).get("truncated"))
    early = seen.steps < seen.setup.steps / 2 and not seen.setup.rewarded
    if early and began is not None and share <= began:
        return unknown(f"{share:.0%} were cut, {began:.0%} before the first step: the first half of an imitation")
    return share_is_low(
        round(share * n),
        int(n),
        what="guard answers cut at the limit",
        advice="raise the task's max_tokens, or look at why the policy no longer stops",
        warn_above=0.1,
    )
