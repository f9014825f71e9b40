"""Is what was sampled worth training on: varied, finished, coherent, and with a reward that tells answers apart."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

from trueloop.checks.base import Verdict, check, excerpt, fail, listed, passed, unknown, warn
from trueloop.checks.limits import at_the_edge, interval, share_is_high, share_is_low
from trueloop.checks.scaffold import looped
from trueloop.formulas.stats import student_quantile

RARE = 0.02
"""Share of completions with another reward than the rest, below which a run has hardly anything to learn from."""

LATER = "a warm start comes first: what these completions are like says nothing yet"


@check(
    "sampling.distinct",
    when="before",
    question="Do completions of one problem differ?",
    limit="fail where nearly all agree (over 90 % of pairs), or where more pairs agree than the model's own "
    "probabilities allow (once in ten thousand, Student's t over problems); warn where half of them agree",
)
def distinct(groups: Sequence[Sequence[tuple[str, float]]], *, learned: bool) -> Verdict:
    """groups: per problem (text, log-probability of the whole completion) of each completion."""
    pairs = [(a, b) for group in groups for a, b in combinations(group, 2)]
    if len(pairs) < 6:
        return unknown(f"{len(pairs)} pairs of completions of one problem: too few to tell")
    same = sum(a[0] == b[0] for a, b in pairs)
    expected = math.fsum((math.exp(min(a[1], 0.0)) + math.exp(min(b[1], 0.0))) / 2 for a, b in pairs)
    share, texts = same / len(pairs), [t for g in groups for t, _ in g]
    value = {"same": share, "expected": expected / len(pairs), "distinct": len(set(texts)) / len(texts)}
    shown = (
        f"{len(set(texts))} distinct completions of {len(texts)}; {share:.1%} of the pairs of one problem agree, "
        f"{expected / len(pairs):.1%} expected from their probabilities"
    )
    if share > 0.9:
        return fail(shown, "look at draw.temperature, at a fixed seed, and at a policy that has collapsed", value=value)
    if _surprising(groups):
        return fail(shown, "give each completion its own seed", value=value)
    if learned and share > 0.5:
        return warn(shown, "raise draw.temperature: agreeing completions carry no signal", value=value)
    return passed(shown, value=value)


def _surprising(groups: Sequence[Sequence[tuple[str, float]]]) -> bool:
    """Whether more pairs agree than should: each group's excess over its own expectation, against their spread."""
    excess = []
    for group in groups:
        pairs = list(combinations(group, 2))
        chance = math.fsum((math.exp(min(a[1], 0.0)) + math.exp(min(b[1], 0.0))) / 2 for a, b in pairs)
        excess.append(sum(a[0] == b[0] for a, b in pairs) - chance)
    if len(excess) < 4 or (mean := statistics.fmean(excess)) < 1:
        return False
    error = statistics.stdev(excess) / math.sqrt(len(excess))
    return mean > student_quantile(1 - 1e-4, len(excess) - 1) * error


@check(
    "sampling.as_asked",
    when="before",
    question="Are tokens drawn from the distribution that was asked for?",
    limit="the mean surprise of the tokens lies within 5 standard errors of the entropy of the policy at the asked "
    "temperature, top-k and top-p, and no more than two tokens or one in a thousand lie outside of what these keep",
)
def as_asked(
    surprise: float,
    entropy: float,
    variance: float,
    tokens: int,
    outside: int,
    *,
    fitted: float | None,
    rare: tuple[int, float] = (0, 0.0),
    ratio: float = 0.0,
) -> Verdict:
    """Sums over all drawn tokens, under the asked distribution of the policy.

    surprise  of -log p(token); entropy: of its expectation; variance: of its variance
    outside   tokens that truncation should have kept out; they are in no sum
    fitted    the temperature of the untruncated policy under which the tokens are likeliest, None where it was not
              looked for; ratio: twice the gain in
              log-likelihood that it brings, 0 where that was not computed
    rare      tokens of a probability below 2 % that were drawn, and that should have been
    """
    advice = "compare draw with what the engine really does: temperature, top-k, top-p, penalties, seeds"
    if outside > at_the_edge(tokens + outside):
        words = f"{outside} of {tokens + outside} tokens lie outside of the top-k or top-p that was asked for"
        return fail(words, advice, value={"outside": outside})
    if tokens < 50 or variance <= 0.0:
        return unknown(f"{tokens} tokens drawn from a distribution of variance {variance:.3g}: too few to tell")
    z, gap = (surprise - entropy) / math.sqrt(variance), (surprise - entropy) / tokens
    shown = (
        f"{tokens} tokens cost {surprise / tokens:.3f} nats each, {entropy / tokens:.3f} expected of what was asked "
        f"(z = {z:+.1f})"
    )
    if fitted is not None:
        shown += f"; likeliest at temperature {fitted:.2f}"
    value = {"z": z, "gap": gap, "outside": outside, "fitted": fitted}
    if ratio > 20:
        return fail(f"{shown}, by a likelihood ratio of {ratio:.0f}", advice, value=value, limit=20)
    if rare[1] - rare[0] > 5 * math.sqrt(rare[1]) or (rare[0] == 0 and rare[1] > 14):
        return fail(f"{shown}; {rare[0]} rare tokens, {rare[1]:.1f} expected: truncated", advice, value=value, limit=5)
    if abs(z) > 5 and abs(gap) > 0.01:
        way = "sharper: a lower temperature, truncation or greed" if z < 0 else "flatter: a higher temperature"
        return fail(f"{shown}; what is sampled is {way}", advice, value=value, limit=5)
    return passed(shown, value=value, limit=5)


@check(
    "sampling.cut_at_limit",
    when="before",
    question="Do completions end by themselves?",
    limit="fail where more than half are cut at the limit, warn above 10 % (99 % intervals)",
)
def cut_at_limit(cut: int, n: int, *, max_tokens: Sequence[int], learned: bool) -> Verdict:
    """cut: completions that ended at their task's limit, of n; max_tokens: the limits."""
    limits = listed(max_tokens)
    if not learned:
        return unknown(f"{LATER}; {cut} of {n} are cut at {limits} tokens")
    return share_is_low(
        cut,
        n,
        what=f"completions cut at {limits} tokens",
        advice="look at the end token, the stops and the template first; then raise the task's max_tokens",
        fail_above=0.5,
        warn_above=0.1,
    )


@check(
    "sampling.runs_on",
    when="before",
    question="Do completions end with their answer, instead of posing the next problem?",
    limit="fail where more than 20 % pose another one, warn above 2 % (99 % intervals)",
)
def runs_on(
    on: int, n: int, *, marks: Mapping[str, int], reward: tuple[float, float] | None, example: str, learned: bool
) -> Verdict:
    """on: completions of n that open another problem; marks: how often with which words.

    reward  mean reward of these as they are, and cut there; None where it was not measured
    """
    if not learned:
        return unknown(LATER)
    stops = sorted(marks, key=lambda m: -marks[m])
    graded = f"; their mean reward is {reward[0]:.3f}, cut there {reward[1]:.3f}" if reward is not None else ""
    named = f" with {listed([repr(s) for s in stops])}{graded}; one of them: {excerpt(example, 200)}" if on else ""
    return share_is_low(
        on,
        n,
        what=f"completions that pose another problem{named}",
        advice=f"add {listed([repr(s) for s in stops]) or 'the marker'} to the task's stops",
        fail_above=0.2,
        warn_above=0.02,
    )


@check(
    "sampling.loops",
    when="before",
    question="Do completions say things once?",
    limit="fail where more than 30 % end in one piece said at least five times over, warn above 5 % (99 % intervals)",
)
def loops(texts: Sequence[str], *, learned: bool) -> Verdict:
    """texts: all completions."""
    if not learned:
        return unknown(LATER)
    found = [t for t in texts if looped(t)]
    return share_is_low(
        len(found),
        len(texts),
        what="completions that loop" + (f", such as {excerpt(found[0])}" if found else ""),
        advice="look at the prompt's format, at the end token and at draw.temperature",
        fail_above=0.3,
        warn_above=0.05,
    )


@check(
    "sampling.coherent",
    when="before",
    question="Does the model know what it writes?",
    limit="fail where its own tokens cost more than half of what guessing would or 4 nats (99 % interval), "
    "warn above 2.5 nats or a third of guessing",
)
def coherent(costs: Sequence[float], *, vocabulary: int, learned: bool, examples: Sequence[str] = ()) -> Verdict:
    """costs: per completion, its mean -log p per token, in nats; vocabulary: how many tokens there are."""
    if not learned:
        return unknown(LATER)
    if len(costs) < 3:
        return unknown(f"{len(costs)} completions: too few to tell")
    mean = statistics.fmean(costs)
    half = student_quantile(0.995, len(costs) - 1) * statistics.stdev(costs) / math.sqrt(len(costs))
    limits = min(4.0, math.log(vocabulary) / 2), min(2.5, math.log(vocabulary) / 3)
    shown = (
        f"own tokens cost {mean:.2f} nats each (99 % interval {mean - half:.2f} to {mean + half:.2f}); guessing among "
        f"{vocabulary} would cost {math.log(vocabulary):.1f}"
    )
    said = "; such as " + ", ".join(excerpt(t, 80) for t in examples[:2]) if examples else ""
    advice = "look at the weights that were loaded, at the prompt's format and at draw.temperature"
    if mean - half > limits[0]:
        return fail(shown + said, advice, value=mean, limit=limits[0])
    if mean - half > limits[1]:
        return warn(shown + said, advice, value=mean, limit=limits[1])
    return passed(shown, value=mean, limit=limits[0])


@check(
    "sampling.length",
    when="before",
    question="Are completions about as long as known good answers?",
    limit="fail where more than 30 % are empty; warn above 5 % (99 % intervals), and where the median is below a "
    "quarter of the good answers' median",
)
def length(lengths: Sequence[int], empty: int, good: Sequence[int], *, learned: bool) -> Verdict:
    """lengths: tokens of each completion; empty: completions without a visible character; good: tokens of answers."""
    if not learned:
        return unknown(LATER)
    shown = share_is_low(
        empty,
        len(lengths),
        what="empty completions",
        advice="look at what stops them: a stop string that the first token completes, or an end token in the prompt",
        fail_above=0.3,
        warn_above=0.05,
    )
    if shown.status != "pass" or not good:
        return shown
    middle, typical = statistics.median(lengths), statistics.median(good)
    words = f"median completion {middle:g} tokens, median good answer {typical:g}; {empty} of {len(lengths)} empty"
    if middle * 4 < typical:
        return warn(words, "look at the stop strings and at a policy that has collapsed", value=middle, limit=typical)
    return passed(words, value=middle, limit=typical)


@check(
    "sampling.reward_varies",
    when="before",
    question="Are rewards there, and not all the same?",
    limit="at least 95 % of the completions have one (99 % interval); all equal warns from 16 on, and fails where "
    "fewer than 2 % can have another (99 % interval): one in twenty is enough to learn from, and often not seen in 16",
)
def reward_varies(
    rewards: Sequence[float | None], statuses: Sequence[str], *, learned: bool, rewarded: bool = True
) -> Verdict:
    """rewards, statuses: of every completion that was scored; None where there is no reward.

    rewarded  whether the run trains on them
    """
    found = [r for r in rewards if r is not None]
    if not rewards:
        return unknown("nothing was scored")
    why = dict(Counter(s for s in statuses if s != "scored"))
    missing = share_is_low(
        len(rewards) - len(found),
        len(rewards),
        what=f"completions without a reward {why or ''}".rstrip(),
        advice="look at the verifier's error in the trace, and at the rows it cannot judge",
        fail_above=0.05,
    )
    if missing.status == "fail" or not found:
        return missing
    low, high = min(found), max(found)
    if low < high:
        words = f"{len(found)} rewards from {low:g} to {high:g}, mean {statistics.fmean(found):.3f}"
        return passed(words, value={"low": low, "high": high, "mean": statistics.fmean(found)})
    others = interval(0, len(found))[1]
    words = f"all {len(found)} rewards are {low:g}, so at most {others:.1%} of all are not (99 % interval)"
    advice = "try the verifier on a known good and a known bad answer, and look at the completions"
    value = {"low": low, "high": high}
    if len(found) < 16 or (not learned and low <= 0):
        return unknown(words + ("" if learned else f"; {LATER}"), advice, value=value, limit=RARE)
    return (fail if rewarded and others < RARE else warn)(words, advice, value=value, limit=RARE)


@check(
    "sampling.signal",
    when="before",
    question="Do enough groups have answers of different worth?",
    limit="fail where fewer than 10 % do, warn below 30 % (99 % intervals)",
)
def signal(groups: Sequence[Sequence[float]], *, per_step: int, learned: bool) -> Verdict:
    """groups: the rewards of each problem's completions; per_step: problems of an optimizer step."""
    groups = [g for g in groups if len(g) > 1]
    if not learned:
        return unknown(LATER)
    if not groups:
        return unknown("no group of several scored completions")
    alive = sum(max(g) > min(g) for g in groups)
    rate = statistics.fmean(r > min(map(min, groups)) for g in groups for r in g)
    effective = per_step * alive / len(groups)
    return share_is_high(
        alive,
        len(groups),
        what=f"groups with any signal (mean {rate:.1%} above the least; {effective:.1f} of {per_step} problems a step)",
        advice="take problems of middling difficulty, more samples per problem, a partial reward, or a warm start",
        fail_below=0.1,
        warn_below=0.3,
    )


@check(
    "sampling.pass_rate",
    when="before",
    question="Is there something to learn, and something that works already?",
    limit="warn where the pass rate is above 95 % or below 1 % (99 % intervals)",
)
def pass_rate(passes: int, n: int, *, learned: bool) -> Verdict:
    """passes: completions of n that passed, as the task says it."""
    if not learned:
        return unknown(LATER)
    low = share_is_high(
        passes, n, what="completions that pass", advice="take easier problems or a warm start", warn_below=0.01
    )
    high = share_is_low(passes, n, what="completions that pass", advice="take harder problems", warn_above=0.95)
    return high if high.status == "warn" else low if low.status in ("warn", "unknown") else high


@check(
    "sampling.reward_follows_passes",
    when="before",
    question="Does what passes earn more than what does not?",
    limit="the mean reward of passes is above that of the others (99 % interval); fail where it is below or equal",
)
def reward_follows_passes(scores: Sequence[tuple[float, bool]]) -> Verdict:
    """scores: (reward, passed) of every completion that has both."""
    yes, no = [r for r, p in scores if p], [r for r, p in scores if not p]
    if min(len(yes), len(no)) < 3:
        return unknown(f"{len(yes)} passes and {len(no)} others: too few to compare their rewards")
    gap = statistics.fmean(yes) - statistics.fmean(no)
    spread = math.sqrt(statistics.variance(yes) / len(yes) + statistics.variance(no) / len(no))
    half = student_quantile(0.995, min(len(yes), len(no)) - 1) * spread
    shown = f"{len(yes)} passes earn {statistics.fmean(yes):.3f}, {len(no)} others {statistics.fmean(no):.3f}"
    advice = "look at the reward's sign, and at whether it rewards a format whatever the answer"
    value = {"gap": gap, "half": half}
    if gap <= 0 and (half == 0 or gap + half < 0):
        return fail(shown, advice, value=value, limit=0)
    if gap <= 0:
        return warn(shown, advice, value=value, limit=0)
    return passed(shown, value=value, limit=0)
