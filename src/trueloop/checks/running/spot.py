"""Spot checks of the step's own rows: what was judged is what was written, and what is trained is what was credited."""

from __future__ import annotations

import math
import statistics

from trueloop.checks.base import Verdict, check, fail, passed, unknown, warn
from trueloop.checks.running.seen import FIRST, Seen, number

JUMP = 0.25
"""Of the mean reward, as a share of the range that it has had: more than an optimizer step is likely to bring."""


@check(
    "rollouts.text_is_tokens",
    when="during",
    question="Is the text that is judged what the tokens say?",
    limit="every text that is looked at (sixteen of a step) is what its tokens say, up to what ended it",
)
def text_is_tokens(seen: Seen) -> Verdict:
    """The texts of the latest step against their tokens."""
    read, off = seen.now("rollouts/texts_read"), seen.now("rollouts/texts_off")
    if not read or off is None:
        return unknown("no text was held against its tokens")
    if off:
        return fail(
            f"{off:.0f} of {read:.0f} texts are not what their tokens say",
            "a text is judged that is not the one that is trained: look at the engine's decoding and at the order of "
            "its completions",
            value=off / read,
            limit=0,
        )
    return passed(f"{read:.0f} texts are their tokens", value=0.0, limit=0)


@check(
    "flow.weights_are_credit",
    when="during",
    question="Is every token of a rollout trained with its rollout's credit?",
    limit="all its trained tokens have a weight of the advantage's sign, or 0 where that is 0; none is left out",
)
def weights_are_credit(seen: Seen) -> Verdict:
    """Only where rewards are what trains."""
    rows, off = seen.now("credit/rows"), seen.now("credit/misweighted")
    if not seen.setup.rewarded or not rows or off is None:
        return unknown("no credited rollout")
    if off:
        return fail(
            f"{off:.0f} of {rows:.0f} rollouts are trained with other weights than their credit",
            "look at what makes samples of rollouts: the loss mask, the order of rows, and what weighs their tokens",
            value=off / rows,
            limit=0,
        )
    return passed(f"{rows:.0f} rollouts are trained with their credit", value=0.0, limit=0)


@check(
    "rewards.follow_passes",
    when="during",
    question="Do completions that pass earn more than those that do not?",
    limit="over the last four steps, with sixteen of each: a fail where those that pass earn less",
)
def follow_passes(seen: Seen) -> Verdict:
    """The reward of a verdict against its own yes or no."""
    rows = list(seen.rows)[-4:]
    sums = {key: math.fsum(number(row.get(f"verdicts/{key}")) or 0.0 for row in rows) for key in _VERDICTS}
    if not seen.setup.rewarded or min(sums["passed"], sums["failed"]) < 16:
        return unknown("fewer than sixteen completions that pass, or that do not")
    passing, failing = sums["earned_passed"] / sums["passed"], sums["earned_failed"] / sums["failed"]
    shown = f"{sums['passed']:.0f} passes earn {passing:.3g}, {sums['failed']:.0f} others {failing:.3g}"
    if passing < failing:
        advice = "the reward contradicts the verdict: look at its sign and at what is taken off it"
        return fail(shown, advice, value=passing - failing, limit=0)
    return passed(shown, value=passing - failing, limit=0)


_VERDICTS = ("passed", "failed", "earned_passed", "earned_failed")


@check(
    "rewards.jump",
    when="during",
    question="Does the reward move as a policy does, little by little?",
    limit="two steps in a row are not both a quarter of the reward's range and six standard deviations away from the "
    "eight before: verifiers, data and engines jump, policies rarely do",
)
def jump(seen: Seen) -> Verdict:
    """The mean reward of all completions, filtered ones included."""
    last, before = seen.last("reward/all", 2), seen.before("reward/all")[:-1][-FIRST:]
    if last is None or len(before) < FIRST:
        return unknown(f"fewer than {FIRST + 2} steps")
    usual = statistics.fmean(before)
    span = max(1.0, max(abs(x) for x in (*before, *last)))
    spread = max(statistics.stdev(before), 0.02 * span)
    moved = min((x - usual for x in last), key=abs)
    one_way = math.copysign(1.0, last[0] - usual) == math.copysign(1.0, last[1] - usual)
    shown = f"the mean reward went from {usual:.3g} to {last[-1]:.3g} within two steps"
    if one_way and abs(moved) > JUMP * span and abs(moved) > 6 * spread:
        return warn(
            shown,
            "compare rollouts before and after: has the verifier, the data or the engine changed?",
            value=moved,
            limit=JUMP * span,
        )
    return passed(f"the mean reward is {last[-1]:.3g}, {usual:.3g} before", value=last[-1] - usual, limit=JUMP * span)
