"""What the evaluations of a run are worth: effect against noise, the best of several, like with like, cut answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trueloop.checks.base import Verdict, check, fail, listed, passed, unknown, warn
from trueloop.checks.limits import share_is_low
from trueloop.formulas.stats import Estimate, highest_by_chance, student_quantile

SMALL = 0.05
"""Half a width of an interval that is narrow enough to say that there is no effect worth the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One evaluation in one figure: of which step, and with which error."""

    step: int
    figure: Estimate


def change(first: Estimate, last: Estimate, *, level: float = 0.95) -> tuple[float, float, float] | None:
    """last minus first with its interval, as of independent measurements (on the same rows it is truly narrower)."""
    if first.se is None or last.se is None:
        return None
    df = max(1, min(first.clusters, last.clusters) - 1)
    half = student_quantile((1 + level) / 2, df) * math.hypot(first.se, last.se)
    gain = last.mean - first.mean
    return gain, gain - half, gain + half


@check(
    "outcome.evaluated",
    when="after",
    question="Was the model evaluated on rows that it does not train on, before and after?",
    limit="warn where there are fewer than two evaluations",
)
def evaluated(points: Sequence[Point]) -> Verdict:
    """The run's guard evaluations."""
    steps = [p.step for p in points]
    if len(steps) < 2:
        return warn(
            f"{len(steps)} evaluations: the reward is all there is", "set guard.every", value=len(steps), limit=2
        )
    return passed(f"{len(steps)} evaluations, of steps {listed(steps, 8)}", value=len(steps), limit=2)


@check(
    "outcome.effect",
    when="after",
    question="Is the last evaluation better than the first?",
    limit="95 % interval of the difference: pass above 0, fail below 0, warn around 0 and narrower than +-5 points",
)
def effect(points: Sequence[Point]) -> Verdict:
    """Last against first evaluation, each on all of its problems."""
    changed = change(points[0].figure, points[-1].figure) if len(points) >= 2 else None
    if changed is None:
        return unknown("fewer than two evaluations with an error")
    gain, low, high = changed
    said = (
        f"{points[0].figure.mean:.1%} at step {points[0].step} -> {points[-1].figure.mean:.1%} at step "
        f"{points[-1].step}: {gain:+.1%} [{low:+.1%}, {high:+.1%}]"
    )
    return _effect(said, gain, low, high)


def _effect(said: str, gain: float, low: float, high: float) -> Verdict:
    if high < 0:
        return fail(said, "it got worse: go back to an earlier checkpoint, lower optim.lr", value=gain, limit=0)
    if low > 0:
        return passed(said, value=gain, limit=0)
    if high - low < 2 * SMALL:
        return warn(f"{said}: no effect worth the name", "look at groups/flat and at optim.lr", value=gain, limit=0)
    return unknown(f"{said}: not to be told from noise", "evaluate on more problems", value=gain, limit=0)


@check(
    "outcome.best_of_several",
    when="after",
    question="Is the best checkpoint better than before training, once the luck of the best of several is taken off?",
    limit="warn where the 95 % interval of its gain lies above 0, and no longer once what the best of as many equal "
    "ones promises is taken off; where the last one is the best, nothing was chosen",
)
def best_of_several(points: Sequence[Point]) -> Verdict:
    """The highest of the evaluations after training began, against the one before."""
    known = [p for p in points if p.figure.se is not None]
    later = [p for p in known if p.step > 0]
    if len(later) < 2 or known[0].step > 0:
        return unknown("no evaluation before training, or fewer than two after it began")
    best = max(later, key=lambda p: p.figure.mean)
    promise, _ = highest_by_chance([p.figure.se or 0.0 for p in later])
    changed = change(known[0].figure, best.figure)
    gain, low, _ = changed if changed is not None else (0.0, 0.0, 0.0)
    said = (
        f"best {best.figure.mean:.1%} at step {best.step}: {gain:+.1%} (at least {low:+.1%}), of which the best of "
        f"{len(later)} equal ones would promise {promise:.1%} by luck; the last has {later[-1].figure.mean:.1%}"
    )
    if best is not later[-1] and low > 0 >= low - promise:
        return warn(said, "report the last one, or evaluate the best again on other rows", value=gain, limit=promise)
    return passed(said, value=gain, limit=promise)


@check(
    "outcome.kept_its_best",
    when="after",
    question="Is the model at the end as good as it once was?",
    limit="fail where the last evaluation lies below the best by its 95 % interval and what luck promises the best",
)
def kept_its_best(points: Sequence[Point]) -> Verdict:
    """Last against best, the first evaluation included; the luck of the best is taken off."""
    known = [p for p in points if p.figure.se is not None]
    if len(known) < 3:
        return unknown("fewer than three evaluations with an error")
    best, last = max(known, key=lambda p: p.figure.mean), known[-1]
    changed = change(best.figure, last.figure)
    promise, _ = highest_by_chance([p.figure.se or 0.0 for p in known])
    gain, _low, high = changed if changed is not None else (0.0, 0.0, 0.0)
    said = f"best {best.figure.mean:.1%} at step {best.step}, last {last.figure.mean:.1%} at step {last.step}"
    if high + promise < 0:
        return fail(
            f"{said}: beyond chance", "use the checkpoint of the best, judged on other rows", value=gain, limit=0
        )
    return passed(said, value=gain, limit=0)


@check(
    "outcome.like_with_like",
    when="after",
    question="Were the evaluations that are compared made under the same conditions?",
    limit="fail where task, split, data, grader, template, prompts, shots, samples, sampling or limits differ",
)
def like_with_like(refusal: str | None, compared: int) -> Verdict:
    """What `evaluate.compare.require_alike` says; None where nothing differs."""
    if compared < 2:
        return unknown("fewer than two evaluations to compare")
    if refusal is not None:
        lines = [line.strip() for line in refusal.splitlines()[1:-1]]
        return fail(f"conditions differ: {listed(lines)}", "evaluate again under the same conditions", value=lines)
    return passed(f"{compared} evaluations under the same conditions", value=[])


@check(
    "outcome.evaluation_not_cut",
    when="after",
    question="Do answers of the evaluations end by themselves?",
    limit="of the last evaluation: fail where more than 10 % are cut (99 % interval), warn above 2 %",
)
def evaluation_not_cut(truncated: float | None, n: int) -> Verdict:
    """Share of the returned completions that ran into the limit."""
    if truncated is None:
        return unknown("no evaluation says how many answers were cut")
    return share_is_low(
        round(truncated * n),
        n,
        what="answers of the last evaluation cut at the limit",
        advice="raise max_tokens of the evaluation: a cut answer is wrong",
        fail_above=0.1,
        warn_above=0.02,
    )


@check(
    "outcome.strict_beside_lenient",
    when="after",
    question="Do the strict and the lenient reading agree in the end?",
    limit="of the last evaluation: fail where lenient is above strict by over 25 points (95 % interval), warn above 10",
)
def strict_beside_lenient(strict: Estimate | None, lenient: Estimate | None, gap: Estimate | None) -> Verdict:
    """The two readings, and their paired gap."""
    if strict is None or lenient is None or gap is None:
        return unknown("there are no two readings of one answer")
    low = gap.mean if gap.low is None else gap.low
    said = f"lenient {lenient.mean:.1%}, strict {strict.mean:.1%}: {gap.mean:.1%} are right in another format"
    advice = "show both; reward the format that evaluations want, or ask for it in the prompt"
    if low > 0.25:
        return fail(said, advice, value=gap.mean, limit=0.25)
    if low > 0.1:
        return warn(said, advice, value=gap.mean, limit=0.1)
    return passed(said, value=gap.mean, limit=0.1)


@check(
    "outcome.format_kept",
    when="after",
    question="Does the declared format last?",
    limit="fail where strict fell by its 95 % interval while lenient did not",
)
def format_kept(strict: Sequence[Point], lenient: Sequence[Point]) -> Verdict:
    """First against last evaluation in both readings."""
    changes = [change(p[0].figure, p[-1].figure) if len(p) >= 2 else None for p in (strict, lenient)]
    if changes[0] is None or changes[1] is None:
        return unknown("fewer than two evaluations in both readings")
    said = f"strict {changes[0][0]:+.1%}, lenient {changes[1][0]:+.1%} from first to last"
    if changes[0][2] < 0 <= changes[1][2]:
        return fail(said, "reward the declared format: the policy answers in another one", value=changes[0][0])
    return passed(said, value=changes[0][0])


@check(
    "outcome.reward_and_evaluation_agree",
    when="after",
    question="Does the held-out measure follow the reward?",
    limit="fail where the reward rose and the evaluation fell, each by its 95 % interval; warn where the reward "
    "rose by over 10 points more than the evaluation can have",
)
def reward_and_evaluation_agree(
    reward: tuple[Estimate, Estimate] | None, held_out: tuple[Estimate, Estimate] | None
) -> Verdict:
    """Start and end of the training reward (as a share of its range), and of the evaluation."""
    gains = [change(*pair) if pair is not None else None for pair in (reward, held_out)]
    if gains[0] is None or gains[1] is None:
        return unknown("no reward and evaluation of both start and end")
    up, low, _ = gains[0]
    held, _, high = gains[1]
    said = f"training reward {up:+.1%}, evaluation {held:+.1%}"
    advice = "read rewarded completions of the last steps; evaluate by an independent grader"
    if low > 0 and high < 0:
        return fail(said, advice, value=held - up, limit=0)
    if low > max(high, 0.0) + 0.1:
        return warn(said, advice, value=held - up, limit=-0.1)
    return passed(said, value=held - up, limit=-0.1)


@check(
    "outcome.audit_kept",
    when="after",
    question="Do the measures that are only looked at stay where they were?",
    limit="fail where an audit measure of exploits rose by over 10 points, 95 % intervals apart",
)
def audit_kept(audits: Mapping[str, tuple[Estimate, Estimate]]) -> Verdict:
    """Audit measure -> its means at start and end."""
    if not audits:
        return unknown("the verifier reports no audit measure")
    changes = {name: c for name, (a, b) in audits.items() if (c := change(a, b)) is not None}
    rose = {name: c for name, c in changes.items() if c[1] > 0 and c[0] > 0.1}
    said = listed([f"{name} {c[0]:+.1%}" for name, c in (rose or changes).items()], 6)
    if rose:
        return fail(said, "read the completions that exploit the reward; close the loophole", value=list(rose))
    return passed(said, value=[])


@check(
    "outcome.answers_add_up",
    when="after",
    question="Is every answer of an evaluation accounted for and judged?",
    limit="fail where counts do not add up; fail above 5 % without a verdict (99 % interval), warn above 0.5 %",
)
def answers_add_up(counts: Mapping[str, int]) -> Verdict:
    """problems, samples, answers, scored, unscorable, errors, lost, prompt_too_long of the last evaluation."""
    without = {k: counts.get(k, 0) for k in ("unscorable", "errors", "lost", "prompt_too_long")}
    total = counts["scored"] + sum(without.values())
    if not total == counts["answers"] == counts["problems"] * counts["samples"]:
        return fail(
            f"{counts['problems']} problems x {counts['samples']} samples, {counts['answers']} answers, "
            f"{total} accounted for",
            "a row is lost or counted twice: evaluate again",
            value=total,
            limit=counts["answers"],
        )
    named = listed([f"{n} {k}" for k, n in without.items() if n])
    return share_is_low(
        sum(without.values()),
        total,
        what=f"answers without a verdict{f' ({named})' if named else ''}",
        advice="unscorable: the row; errors: the verifier; lost: the engine; prompt_too_long: the model's context",
        fail_above=0.05,
        warn_above=0.005,
    )


@check(
    "outcome.evaluations_differ",
    when="after",
    question="Do evaluations of different steps differ in anything?",
    limit="fail where three or more after training began are the same in every figure, length and stop, although there "
    "is room: weights that do not reach the sampler give this",
)
def evaluations_differ(prints: Sequence[tuple[int, object]]) -> Verdict:
    """(step, everything that was measured) of each evaluation."""
    if len(prints) < 3:
        return unknown("fewer than three evaluations")
    values = [repr(p) for _, p in prints]
    if len(set(values)) == 1:
        return fail(
            f"evaluations of steps {listed([s for s, _ in prints], 8)} are the same to the last digit",
            "the weights did not move, or they do not reach the sampler: trueloop check",
            value=len(prints),
        )
    return passed(f"{len(set(values))} of {len(values)} evaluations are different", value=len(set(values)))
