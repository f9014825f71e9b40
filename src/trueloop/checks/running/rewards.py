"""The reward while it trains: signal, collapse, and whether it still means what it was meant to mean."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from trueloop.checks.base import Verdict, check, fail, passed, unknown, warn
from trueloop.checks.limits import share_is_high
from trueloop.checks.running.seen import FIRST, Row, Seen, number, streak

CHANCE = 1e-6
"""How unlikely, by the flat groups before it, a run of flat groups must be for a fail: runs have thousands of steps."""

RECENT = 16
"""Steps from which it is told how often groups are flat: a share that rises leaves a longer past behind."""

Z = 4.0
"""Standard errors: some fifty comparisons a step are looked at, thousands in a run."""


@check(
    "rewards.credit",
    when="during",
    question="Does the better rewarded of two completions of a problem get the larger advantage?",
    limit="the share of such pairs in the last four steps: fail where its 99 % interval lies below 75 %, as before the "
    "run (penalties beside the reward may turn a few round)",
)
def credit(seen: Seen) -> Verdict:
    """Only where rewards are what trains."""
    rows = [row for row in list(seen.rows)[-4:] if _of(row, "credit/pairs")]
    if not seen.setup.rewarded or not rows:
        return unknown("no pair of completions with other rewards")
    pairs, ordered = (int(sum(_of(row, key) or 0.0 for row in rows)) for key in ("credit/pairs", "credit/ordered"))
    advice = "what is trained is not what is rewarded: look at what gives advantages, and at what changes them after"
    return share_is_high(ordered, pairs, what="pairs in the order of their rewards", advice=advice, fail_below=0.75)


@check(
    "rewards.signal",
    when="during",
    question="Do some groups have rewards that differ?",
    limit=f"three steps or more without any, where the flat groups of {RECENT} steps before give that a chance below "
    f"{CHANCE:g}, or five steps and forty groups from the start; a warn where the task was solved step by step, or "
    "most groups were flat before and the reward is what it was",
)
def signal(seen: Seen) -> Verdict:
    """Groups in which all rewards agree teach nothing: all wrong, all right, or a verdict that went dead."""
    rows = [r for r in seen.rows if number(r.get("groups/flat")) is not None]
    n = streak([number(r["groups/flat"]) == 1.0 for r in rows])
    if not rows or not seen.setup.rewarded:
        return unknown("rewards are not what trains" if not seen.setup.rewarded else "no scored group yet")
    dead, before = rows[len(rows) - n :], rows[: len(rows) - n]
    groups = int(sum(_groups(row) for row in dead))
    mean = number(rows[-1].get("reward/all")) or 0.0
    value = {"steps": n, "groups": groups, "reward": mean}
    if n < 3:
        flat = number(rows[-1]["groups/flat"])
        return passed(f"rewards agree in {flat:.0%} of the step's groups", value=value)
    shown = f"in {n} steps, {groups} groups, all rewards of a group agree; the mean reward is {mean:.3g}"
    advice = "read the rollouts and their verdicts (why); look at the verifier, leniency, the problems' difficulty"
    rare, solved = _rare(before, groups), _solved(seen, before)
    if (rare and not solved and not _steady(before, mean)) or (not before and n >= 5 and groups >= 40 and not solved):
        return fail(shown, advice, value=value)
    if rare or groups >= 24:
        return warn(shown, "the problems are solved: stop here, or ask harder ones" if solved else advice, value=value)
    return unknown(f"{shown}: too few to tell", value=value)


def _rare(before: Sequence[Row], groups: int) -> bool:
    """Whether so many flat groups in a row are next to impossible, by the share of them in the steps just before."""
    recent = before[-RECENT:]
    known = sum(_groups(row) for row in recent)
    flat = sum(_groups(row) * (number(row.get("groups/flat")) or 0.0) for row in recent)
    return known >= 16 and groups * math.log((flat + 1) / (known + 2)) < math.log(CHANCE)


def _steady(before: Sequence[Row], mean: float) -> bool:
    """Whether the reward is what it was just before, and most groups were flat then: little is left to learn."""
    recent = before[-RECENT:]
    means = [x for row in recent if (x := _of(row, "reward/all")) is not None]
    flat = [x for row in recent if (x := _of(row, "groups/flat")) is not None]
    if len(means) < 4 or statistics.fmean(flat) < 0.5:
        return False
    return abs(statistics.fmean(means) - mean) < max(0.1, 2 * _step_to_step(means))


def _groups(row: Row) -> float:
    return (number(row.get("groups/used")) or 0.0) + (number(row.get("groups/filtered")) or 0.0)


def _solved(seen: Seen, before: Sequence[Row]) -> bool:
    """Whether every rollout now has the best reward so far and no jump led there.

    Nearly all had it before, or the curve rose to it, or the guard, which tells answers apart, rose too.
    """
    means = [x for row in before if (x := _of(row, "reward/all")) is not None]
    now = seen.now("reward/all") or 0.0
    if not means or not now > 0 or seen.now("reward/std") or now < max(means):
        return False
    return statistics.fmean(means[-3:]) > 0.8 * now or _climbs(means[-16:], now) or _guard_rose(seen)


def _climbs(means: Sequence[float], now: float) -> bool:
    """Whether a steady rise over five steps or more leads on to the reward of now."""
    if len(means) < 5 or len(set(means)) == 1 or statistics.correlation(range(len(means)), means) < 0.7:
        return False
    rise = statistics.fmean(means[-2:]) - statistics.fmean(means[:2])
    return now - statistics.fmean(means[-2:]) <= 1.5 * rise


def _guard_rose(seen: Seen) -> bool:
    """Whether the latest evaluation, made since all rollouts agree, is above the first and finds some answers wrong."""
    if (
        len(seen.evaluations) < 2
        or seen.first_evaluation is None
        or seen.evaluations[-1].get("step") != seen.row["step"]
    ):
        return False
    first, last = (e.get("lenient") or e.get("strict") for e in (seen.first_evaluation, seen.evaluations[-1]))
    a, b = number(first), number(last)
    return a is not None and b is not None and a + 0.1 < b < 1.0


@check(
    "rewards.constant",
    when="during",
    question="Do rewards differ from one rollout to the next?",
    limit=f"not the same reward for every rollout of three steps, where it was another before: a fail where the flat "
    f"groups before give that a chance below {CHANCE:g}",
)
def constant(seen: Seen) -> Verdict:
    """One value for all, whatever it is: a verdict that no longer reads the answer."""
    spread, means = seen.last("reward/std", 3), seen.last("reward/all", 3)
    if spread is None or means is None:
        return unknown("no three steps with rewards yet")
    if any(spread) or len(set(means)) > 1:
        return passed("rewards differ")
    rows, before = list(seen.rows), seen.before("reward/all")[:-2]
    if _solved(seen, rows[:-3]):
        return unknown(f"every rollout has {means[0]:g}, as nearly all had, or rose to it", value={"solved": True})
    shown = f"every rollout of three steps has the reward {means[0]:g}"
    advice = "grade the rollouts again (trueloop grade) and look at the verifier"
    past, groups = rows[:-3], int(sum(_groups(row) for row in rows[-3:]))
    moved = before and abs(statistics.fmean(before[-3:]) - means[0]) > 0.1
    if moved and (_rare(past, groups) or all(number(row.get("groups/flat")) is None for row in past)):
        return fail(f"{shown}, the mean before was {statistics.fmean(before[-3:]):.3g}", advice, value=means[0])
    return warn(shown, advice, value=means[0])


@check(
    "rewards.collapse",
    when="during",
    question="Is the reward near the best that the run has had?",
    limit=f"the mean of four steps not {Z:g} standard errors below half of the best eight before, a fifth is a fail "
    "where rewards train and no curriculum orders them; errors from one step to the next, more of them the more "
    "windows the best was chosen from",
)
def collapse(seen: Seen) -> Verdict:
    """What was learned and is lost again; a curriculum that gets harder shows here too."""
    means = [(m, s, _rollouts(r)) for r in seen.rows if (m := _of(r, "reward/all")) is not None for s in [_std(r)]]
    if len(means) < FIRST + 4:
        return unknown(f"fewer than {FIRST + 4} steps with rewards")
    values = [m for m, _, _ in means]
    lowest = min(0.0, *values)
    now, windows = statistics.fmean(values[-4:]) - lowest, len(values) - FIRST - 3
    best = max(sum(values[k : k + FIRST]) for k in range(windows)) / FIRST - lowest
    spread = statistics.fmean(s for _, s, _ in means)
    apart = spread * math.sqrt(1 / max(sum(n for _, _, n in means[-4:]), 1) + 1 / (FIRST * max(means[0][2], 1)))
    error = max(apart, _step_to_step(values[:-4]) * math.sqrt(1 / 4 + 1 / FIRST))
    shown = f"the reward is {now + lowest:.3g} over four steps, its best eight were {best + lowest:.3g}"
    advice = (
        "stop at the best checkpoint; lower optim.lr or add kl; look at entropy, length and gradient before the fall"
    )
    if best <= 0 or best - now < (Z + math.sqrt(2 * math.log(windows))) * error:
        return passed(shown, value=now, limit=best / 2)
    if now < best / 5 and seen.setup.rewarded and not seen.setup.ordered:
        return fail(shown, advice, value=now, limit=best / 5)
    if now < best / 2:
        return warn(shown, advice, value=now, limit=best / 2)
    return passed(shown, value=now, limit=best / 2)


def _step_to_step(values: Sequence[float]) -> float:
    """The standard deviation of a step's mean, from the differences of neighbours: problems differ, and what has been
    learned between two steps is little."""
    return math.sqrt(statistics.fmean((b - a) ** 2 for a, b in pairwise(values)) / 2) if len(values) > 1 else 0.0


def _of(row: Row, key: str) -> float | None:
    return number(row.get(key))


def _std(row: Row) -> float:
    return number(row.get("reward/std")) or 0.0


def _rollouts(row: Row) -> float:
    return number(row.get("rollouts/used")) or 0.0


@check(
    "rewards.format",
    when="during",
    question="Do right answers keep the format that was asked for?",
    limit=f"right answers in the wrong format not up by 15 points and {Z:g} standard errors on the best four steps; a "
    "warning, since the answers are right: whether the format matters is for its reader to say",
)
def format(seen: Seen) -> Verdict:
    """The gap between the lenient and the strict reading of the same completions."""
    read = ((_of(row, "parts/strict"), _of(row, "parts/lenient")) for row in seen.rows)
    gaps = [lenient - strict for strict, lenient in read if strict is not None and lenient is not None]
    if len(gaps) < FIRST:
        return unknown(f"fewer than {FIRST} steps graded both ways")
    fours = [sum(gaps[k : k + 4]) / 4 for k in range(len(gaps) - 3)]
    gap, tight = fours[-1], min(fours[:-3] or fours[:1])
    n = 4 * max(_rollouts(seen.row), 1)
    error = math.sqrt((gap * (1 - gap) + tight * (1 - tight) + 0.5 / n) / n) if 0 <= gap <= 1 else 1.0
    shown = f"right in another format: {gap:.1%} of the completions, {tight:.1%} in the best four steps"
    advice = "read the rollouts; lower leniency, or stop at the best checkpoint: the policy is paid for another format"
    if gap - tight > 0.15 and gap - tight > Z * error:
        return warn(shown, advice, value=gap, limit=tight + 0.15)
    return passed(shown, value=gap, limit=tight + 0.15)


@check(
    "rewards.held_out",
    when="during",
    question="Does the guard rise when the reward does?",
    limit=f"no evaluation {Z:g} standard errors and 5 points below the best one before; a fail at half of it, where "
    "a reward trains: imitation has no reward to be hacked, and may change the format on its way",
)
def held_out(seen: Seen) -> Verdict:
    """The same model on held-out problems: what trains is not what is wanted if only the reward rises.

    An accuracy near 0 has a standard error near 0 by its own values; that of the best one stands in for it.
    """
    for name in ("strict", "lenient"):
        found = [(v["mean"], v.get("se") or 0.0) for e in seen.evaluations if isinstance(v := e.get(name), dict)]
        if len(found) < 2:
            continue
        (now, se), (best, best_se) = found[-1], max(found[:-1])
        shown = f"the guard's {name} accuracy is {now:.1%}, it has been {best:.1%}; the reward {_rise(seen)}"
        advice = "compare the rollouts that are paid with the guard's answers; stop at the best checkpoint"
        if best - now > max(0.05, Z * math.hypot(max(se, best_se), best_se)):
            worse = now < best / 2 and seen.setup.rewarded
            return (fail if worse else warn)(shown, advice, value=now, limit=best)
    return (
        passed("no evaluation is below one before it") if len(seen.evaluations) > 1 else unknown("no two evaluations")
    )


def _rise(seen: Seen) -> str:
    began, last = seen.began("reward/all"), seen.last("reward/all", FIRST)
    if began is None or last is None:
        return "is not known"
    return f"went from {began:.3g} to {statistics.fmean(last):.3g}"


@check(
    "rewards.audit",
    when="during",
    question="Does what is only looked at go along with what is paid?",
    limit=f"where an audit went along with the reward at the start (correlation above 0.3), it does not fall by {Z:g} "
    "standard errors and 10 points, nor its correlation by 0.4; one that did not, is not paid for later (up by 0.4)",
)
def audit(seen: Seen) -> Verdict:
    """Each audit's mean and its correlation with the reward over the rollouts of a step; audits never train."""
    names = [key.removeprefix("agreement/") for key in seen.row if key.startswith("agreement/")]
    found = []
    for name in names:
        began, last = seen.began(f"agreement/{name}"), seen.last(f"agreement/{name}", 4)
        was, now = seen.began(f"audit/{name}"), seen.last(f"audit/{name}", 4)
        if began is None or last is None or was is None or now is None:
            continue
        agreement, mean = statistics.fmean(last), statistics.fmean(now)
        error = math.sqrt(max(was * (1 - was), 0.01) / (4 * max(_rollouts(seen.row), 1)))
        if began > 0.3 and was - mean > max(0.1, Z * error):
            found.append(f"{name} fell from {was:.3g} to {mean:.3g}")
        elif began > 0.3 and began - agreement > 0.4:
            found.append(f"the reward leaves {name}: correlation {agreement:.2f}, {began:.2f} at the start")
        elif agreement - began > 0.4:
            found.append(f"the reward pays for {name}: correlation {agreement:.2f}, {began:.2f} at the start")
    if not names:
        return unknown("nothing is audited")
    if found:
        return warn("; ".join(found), "read the rollouts that are paid now and were not at the start", value=found)
    return passed(f"{len(names)} audits go along with the reward as at the start")


@check(
    "rewards.learning",
    when="during",
    question="Does the reward move where the gradient does?",
    limit="by step 50 and half of the run, the last sixteen steps differ from the first eight by two standard errors",
)
def learning(seen: Seen) -> Verdict:
    """Late, and a warn only: a policy that does not learn looks healthy in every other way."""
    began, last = seen.began("reward/all"), seen.last("reward/all", 2 * FIRST)
    if began is None or last is None or seen.steps < max(50, seen.setup.steps // 2) or not seen.setup.rewarded:
        return unknown("too early to say")
    first = [x for row in seen.beginning if (x := number(row.get("reward/all"))) is not None]
    error = math.sqrt(statistics.variance(first) / len(first) + statistics.variance(last) / len(last))
    gain = statistics.fmean(last) - statistics.fmean(first)
    shown = f"the reward went from {statistics.fmean(first):.3g} to {statistics.fmean(last):.3g} in {seen.steps} steps"
    if abs(gain) < 2 * error and statistics.fmean(last) < 0.9:
        return warn(shown, "raise optim.lr, or look at advantages, masks and the share of flat groups", value=gain)
    return passed(shown, value=gain)
