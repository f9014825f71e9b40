"""What rewards tell, alone and beside the texts that they were given for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, pstdev

from trueloop.checks.base import Verdict, check, excerpt, fail, passed, unknown, warn
from trueloop.checks.limits import interval, share_is_high, share_is_low
from trueloop.checks.transcripts.texts import ENOUGH
from trueloop.checks.transcripts.turns import NUMBER, Turn, early_and_late, format_of, groups_of, stated, target_of
from trueloop.formulas.stats import clustered_mean


def finite_rewards(turns: Sequence[Turn]) -> list[float]:
    """Those that are there and finite."""
    return [t.reward for t in turns if t.reward is not None and math.isfinite(t.reward)]


@check(
    "transcripts.rewards_whole",
    when="after",
    question="Does every completion have a finite reward?",
    limit="fail where more than 5 % have none (99 % interval), warn above 0.5 %; one that is infinite or NaN fails",
)
def rewards_whole(turns: Sequence[Turn]) -> Verdict:
    """Rows without a reward, by whose fault, and rewards that are no numbers."""
    odd = [t for t in turns if t.reward is not None and not math.isfinite(t.reward)]
    if odd:
        return fail(f"{len(odd)} of {len(turns)} rewards are NaN or infinite", "let the verifier raise instead")
    missing = sum(t.reward is None for t in turns)
    errors = sum(t.status == "error" for t in turns)
    return share_is_low(
        missing,
        len(turns),
        what=f"completions without a reward ({errors} by an error of the verifier)",
        advice="read the column `why` of the rollouts; a verifier that fails on good input is to be mended",
        fail_above=0.05,
        warn_above=0.005,
    )


@check(
    "transcripts.reward_varies",
    when="after",
    question="Are there different rewards?",
    limit="fail where all of at least 16 are equal",
)
def reward_varies(turns: Sequence[Turn]) -> Verdict:
    """All rewards of the record."""
    rewards = finite_rewards(turns)
    if len(rewards) < ENOUGH:
        return unknown(f"{len(rewards)} rewards: too few to tell")
    if len(set(rewards)) == 1:
        return fail(
            f"all {len(rewards)} rewards are {rewards[0]:g}",
            "grade an answer that you know to be right, and one that is wrong: trueloop grade",
            value=0.0,
        )
    return passed(f"{len(rewards)} rewards from {min(rewards):g} to {max(rewards):g}", value=pstdev(rewards))


@check(
    "transcripts.groups_vary",
    when="after",
    question="Do completions of one problem get different rewards, so that there is something to prefer?",
    limit="fail where more than 95 % of the groups are flat (99 % interval), warn above 80 %; all steps together",
)
def groups_vary(turns: Sequence[Turn]) -> Verdict:
    """Groups in which all rewards are equal."""
    groups = [r for g in groups_of(turns) if len(r := finite_rewards(g)) >= 2]
    flat = sum(len(set(r)) == 1 for r in groups)
    return share_is_low(
        flat,
        len(groups),
        what="groups whose rewards are all equal",
        advice="choose problems that the policy sometimes solves, or raise flow.samples",
        fail_above=0.95,
        warn_above=0.8,
    )


def _top(turns: Sequence[Turn]) -> tuple[float, float]:
    """The least and the greatest reward; without any difference 0 and 1 hold, as verifiers give them."""
    rewards = finite_rewards(turns)
    low, high = min(rewards, default=0.0), max(rewards, default=1.0)
    return (low, high) if high > low else (0.0, max(1.0, high))


@check(
    "transcripts.sometimes_solved",
    when="after",
    question="Are problems sometimes solved?",
    limit="fail where in more than 90 % of the groups no completion is rewarded (99 % interval), warn above 80 %",
)
def sometimes_solved(turns: Sequence[Turn]) -> Verdict:
    """Groups without any reward above the lowest."""
    low, _high = _top(turns)
    groups = [r for g in groups_of(turns) if (r := finite_rewards(g))]
    return share_is_low(
        sum(max(r) <= low for r in groups),
        len(groups),
        what="groups that are never rewarded",
        advice="begin with easier problems or a warm start; sample more; look at whether right answers are rewarded",
        fail_above=0.9,
        warn_above=0.8,
    )


@check(
    "transcripts.sometimes_failed",
    when="after",
    question="Is there something left to learn?",
    limit="fail where in more than 90 % of the groups of the first steps all have the full reward (99 % interval)",
)
def sometimes_failed(turns: Sequence[Turn]) -> Verdict:
    """Groups in which every reward is the highest, at the start."""
    early, _ = early_and_late(turns)
    _low, high = _top(turns)
    groups = [r for g in groups_of(early or turns) if (r := finite_rewards(g))]
    return share_is_low(
        sum(min(r) >= high for r in groups),
        len(groups),
        what="groups of the first steps that have the full reward throughout",
        advice="choose harder problems; look at whether wrong answers are rewarded",
        fail_above=0.9,
        warn_above=0.8,
    )


def _numeric(text: str | None) -> bool:
    return text is not None and NUMBER.fullmatch(text) is not None


@check(
    "transcripts.right_is_rewarded",
    when="after",
    question="Are answers rewarded that equal the target?",
    limit="fail where of those that end in the target fewer than half are rewarded in the last steps (99 % interval), "
    "warn below 80 %; a format that is asked for is learned by then",
)
def right_is_rewarded(turns: Sequence[Turn]) -> Verdict:
    """Rows whose stated answer equals the target, over the last quarter of the steps."""
    _, late = early_and_late(turns)
    low, _high = _top(turns)
    rows = [t for t in late or turns if t.reward is not None]
    right = [t for t in rows if (target := target_of(t)) is not None and stated(t.completion) == target]
    if len(right) < 8:
        return unknown(f"{len(right)} answers are known to be right: too few to tell", "log each problem's target")
    missed = [t for t in right if t.reward is not None and t.reward <= low]
    shown = f"; unrewarded: {excerpt(missed[0].completion)} for {target_of(missed[0])!r}" if missed else ""
    return share_is_low(
        len(missed),
        len(right),
        what=f"answers equal to their target that are not rewarded{shown}",
        advice="give the verifier these answers by hand; if it wants a format, ask for that format in the prompt",
        fail_above=0.5,
        warn_above=0.2,
    )


@check(
    "transcripts.sometimes_right",
    when="after",
    question="Are answers sometimes right?",
    limit="fail where fewer than 5 % of the answers to problems with a known target equal it (99 % interval)",
)
def sometimes_right(turns: Sequence[Turn]) -> Verdict:
    """Rows whose stated answer equals the target, of all steps."""
    known = [t for t in turns if target_of(t) is not None]
    readable = [t for t in known if NUMBER.fullmatch(target_of(t) or "") or format_of(t.completion) is not None]
    if known and not readable:
        return unknown(f"{len(known)} answers are neither marked nor numbers: they cannot be read from the text")
    return share_is_high(
        sum(stated(t.completion) == target_of(t) for t in readable),
        len(readable),
        what="answers equal to their target",
        advice="begin with easier problems or a warm start; look at the prompt and at what ends a completion",
        fail_below=0.05,
    )


@check(
    "transcripts.wrong_is_not_rewarded",
    when="after",
    question="Do answers that differ from the target go without a reward?",
    limit="numeric targets: fail where over 20 % of them have the full reward (99 % interval), warn above 5 %",
)
def wrong_is_not_rewarded(turns: Sequence[Turn]) -> Verdict:
    """Rows that state a number other than the numeric target."""
    _low, high = _top(turns)
    wrong = [
        t
        for t in turns
        if t.reward is not None
        and _numeric(target := target_of(t))
        and _numeric(answer := stated(t.completion))
        and answer != target
    ]
    if len(wrong) < 8:
        return unknown(f"{len(wrong)} answers are known to be wrong: too few to tell", "log each problem's target")
    paid = [t for t in wrong if t.reward is not None and t.reward >= high]
    shown = f"; rewarded: {excerpt(paid[0].completion)} for {target_of(paid[0])!r}" if paid else ""
    return share_is_low(
        len(paid),
        len(wrong),
        what=f"answers other than their target that have the full reward{shown}",
        advice="give the verifier these answers by hand: it accepts what is wrong",
        fail_above=0.2,
        warn_above=0.05,
    )


@check(
    "transcripts.one_answer_per_problem",
    when="after",
    question="Has each problem one rewarded answer?",
    limit="fail where more than 20 % of the groups with two rewarded numbers reward different ones (99 % interval)",
)
def one_answer_per_problem(turns: Sequence[Turn]) -> Verdict:
    """Groups in which completions that end in different numbers have the full reward; without any target."""
    _low, high = _top(turns)
    judged, torn = 0, []
    for group in groups_of(turns):
        answers = [a for t in group if t.reward == high and _numeric(a := stated(t.completion))]
        judged += len(answers) >= 2
        if len(set(answers)) > 1:
            torn.append(sorted(set(map(str, answers))))
    if judged < 8:
        return unknown(f"{judged} groups have two rewarded answers that are numbers: too few to tell")
    return share_is_low(
        len(torn),
        judged,
        what=f"groups that reward different answers to one problem{f', such as {torn[0][:3]}' if torn else ''}",
        advice="a reward that does not depend on the answer teaches nothing about it: look at the verifier",
        fail_above=0.2,
        warn_above=0.05,
    )


@check(
    "transcripts.length_is_not_the_reward",
    when="after",
    question="Is the reward about more than length?",
    limit="warn where within groups length explains the reward: correlation beyond 0.8 in size (99 % interval)",
)
def length_is_not_the_reward(turns: Sequence[Turn]) -> Verdict:
    """Correlation of length and reward after taking each group's means off, by Fisher's z."""
    pairs: list[tuple[float, float]] = []
    for group in groups_of(turns):
        rows = [(float(t.length or len(t.completion)), t.reward) for t in group if t.reward is not None]
        rows = [(x, y) for x, y in rows if math.isfinite(y)]
        if len(rows) >= 2 and len({y for _, y in rows}) > 1:
            mx, my = fmean(x for x, _ in rows), fmean(y for _, y in rows)
            pairs += [(x - mx, y - my) for x, y in rows]
    if len(pairs) < 32:
        return unknown("fewer than 32 completions in groups whose rewards differ")
    xx, yy, xy = (sum(a * b for a, b in ab) for ab in _products(pairs))
    r = xy / math.sqrt(xx * yy) if xx * yy else 0.0
    edge = math.tanh(abs(math.atanh(max(-0.9999, min(0.9999, r)))) - 2.58 / math.sqrt(len(pairs) - 3))
    said = f"correlation of length and reward within groups {r:+.2f} over {len(pairs)} completions"
    if edge > 0.8:
        return warn(said, "hold lengths against an independent measure; give the reward a limit on length", value=r)
    return passed(said, value=r, limit=0.8)


def _products(pairs: Sequence[tuple[float, float]]) -> tuple[list[tuple[float, float]], ...]:
    return [(x, x) for x, _ in pairs], [(y, y) for _, y in pairs], pairs if isinstance(pairs, list) else list(pairs)


@check(
    "transcripts.reward_by_variety",
    when="after",
    question="Did the reward rise without the texts becoming one?",
    limit="fail where the reward rose beyond its 95 % intervals while the share of distinct completions fell below a "
    "quarter of what it was and below 10 %",
)
def reward_by_variety(turns: Sequence[Turn]) -> Verdict:
    """Mean reward and distinct completions, first quarter of the steps against the last."""
    early, late = early_and_late(turns)
    if min(len(early), len(late)) < ENOUGH:
        return unknown("too few rows with a step to hold the start against the end")
    means = [
        clustered_mean([t.reward or 0.0 for t in part], [(t.group, t.step) for t in part]) for part in (early, late)
    ]
    before, after = (len({t.completion for t in part}) / len(part) for part in (early, late))
    said = (
        f"mean reward {means[0].mean:.3f} -> {means[1].mean:.3f}, distinct completions {before:.0%} -> {after:.0%} "
        f"(first against last quarter)"
    )
    rose = means[0].high is not None and means[1].low is not None and means[1].low > means[0].high
    if rose and after < before / 4 and after < 0.1:
        return fail(said, "read what is rewarded now: the policy found one text that the reward likes", value=after)
    return passed(said, value=after)


@check(
    "transcripts.reward_kept",
    when="after",
    question="Is the reward at the end about as good as at its best?",
    limit="fail where the last tenth of the steps lies at less than half of the best tenth, 99 % intervals apart",
)
def reward_kept(turns: Sequence[Turn]) -> Verdict:
    """Shares of rewarded completions, tenth by tenth of the steps."""
    low, _high = _top(turns)
    steps = sorted({t.step for t in turns if t.step is not None})
    if len(steps) < 5:
        return unknown(f"{len(steps)} steps: too few to tell")
    width = max(1, len(steps) // 10)
    place = {step: i // width for i, step in enumerate(steps)}
    counts: dict[int, list[int]] = {}
    for t in turns:
        if t.step is not None and t.reward is not None:
            counts.setdefault(place[t.step], []).append(t.reward > low)
    shares = {k: (sum(v), len(v)) for k, v in counts.items()}
    best = max(shares, key=lambda k: shares[k][0] / shares[k][1])
    last = max(shares)
    at_best, at_last = shares[best][0] / shares[best][1], shares[last][0] / shares[last][1]
    said = f"rewarded at best {at_best:.1%} (about step {steps[best * width]}), at the end {at_last:.1%}"
    apart = interval(*shares[best])[0] > interval(*shares[last])[1]
    if apart and at_last < at_best / 2:
        return fail(said, "go back to a checkpoint before the fall; lower optim.lr", value=at_last - at_best)
    return passed(said, value=at_last - at_best)
