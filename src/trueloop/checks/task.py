"""Does a task's verdict mean what it says: right answers score, wrong ones and none do not, and it repeats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trueloop.checks.base import Verdict, check, excerpt, fail, listed, passed, unknown, warn
from trueloop.checks.limits import interval, share_is_high, share_is_low
from trueloop.records import Score

GOLD = "gold"
NOTHING = ("empty", "blank")
"""Kinds of texts with nothing in them."""

JUNK = (*NOTHING, "one dot", "prompt echoed", "refusal", "all numbers", "long talk", "early exit", "always equal")
"""Kinds of texts that no row has as its answer."""

REASONED = ("after reasoning", "after long reasoning")
"""Kinds of texts that end in the right answer, the second with more before it."""

TINY = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A text that a verifier judged.

    problem  id of the row
    kind     `GOLD`, one of `JUNK` or `REASONED`, or what makes it wrong: "negated"
    """

    problem: str
    kind: str
    text: str
    score: Score


@check(
    "task.gold_scores",
    when="before",
    question="Does each row's own right answer get full marks?",
    limit="every one: warn for any row whose answer does not pass, fail where over 5 % do not (99 % interval), or all "
    "earns anything",
)
def gold_scores(graded: Sequence[Graded]) -> Verdict:
    """graded: the right answers, in the declared format, of rows that can be scored; other kinds are passed over."""
    golds = [g for g in graded if g.kind == GOLD and g.score.status == "scored"]
    if not golds:
        return unknown("no right answer is known that could be graded", "give the task a column with right answers")
    full = max(_reward(g) for g in golds)
    lost = [g for g in golds if not _passes(g) or _reward(g) <= TINY or _reward(g) < full / 2]
    what = f"rows whose right answer gets full marks ({full:g})" + (f"; not {_shown(lost)}" if lost else "")
    advice = "grade such a row by hand (`trueloop grade`): the verifier, the answer's format or the row is wrong"
    found = share_is_high(len(golds) - len(lost), len(golds), what=what, advice=advice, fail_below=0.95)
    if found.status != "fail" and len(lost) == len(golds):
        return fail(found.evidence, advice, value=found.value, limit=found.limit)
    if found.status != "fail" and lost:
        return warn(found.evidence, advice, value=found.value, limit=found.limit)
    return found


@check(
    "task.wrong_scores",
    when="before",
    question="Do answers that are nearly right get nothing?",
    limit="each kind of wrong answer: fail where over 5 % score (99 % interval), warn over 1 %; some edits keep "
    "an answer's value",
)
def wrong_scores(graded: Sequence[Graded]) -> Verdict:
    """graded: right answers, and texts that differ from them."""
    wrong = [g for g in graded if g.kind not in (GOLD, *JUNK, *REASONED) and g.score.status == "scored"]
    return _worst_kind(wrong, _bars(graded), fail_above=0.05, warn_above=0.01, nothing="wrong answer")


@check(
    "task.junk_scores",
    when="before",
    question="Do texts without an answer get nothing?",
    limit="an empty text: any that scores is a fail.  Other texts: fail where over 20 % score (99 % interval), warn "
    "over 5 %; over half and a quarter where no right answer is known, since what only forbids is vacuously followed",
)
def junk_scores(graded: Sequence[Graded]) -> Verdict:
    """graded: right answers where they are known, and texts of the kinds `JUNK`."""
    bars = _bars(graded)
    junk = [g for g in graded if g.kind in JUNK and g.score.status == "scored"]
    empty = [g for g in junk if g.kind in NOTHING and _scores(g, bars)]
    if empty:
        n = sum(g.kind in NOTHING for g in junk)
        return fail(f"{len(empty)} of {n} empty texts score: {_shown(empty)}", _JUNK, value=len(empty) / n, limit=0)
    fail_above, warn_above = (0.2, 0.05) if any(g.kind == GOLD for g in graded) else (0.5, 0.25)
    return _worst_kind(junk, bars, fail_above=fail_above, warn_above=warn_above, nothing="text without an answer")


_JUNK = (
    "what is asked for must be found in the text, not assumed; look at what the verifier does where it finds nothing"
)


@check(
    "task.reward_separates",
    when="before",
    question="Does a right answer earn more than anything else?",
    limit="fail where some kind of wrong or empty text earns as much on average as right answers; warn from half",
)
def reward_separates(graded: Sequence[Graded]) -> Verdict:
    """graded: right answers, wrong ones and texts without one."""
    scored = [g for g in graded if g.score.status == "scored" and g.kind not in REASONED]
    golds = [g for g in scored if g.kind == GOLD]
    if not golds or len(golds) == len(scored):
        return unknown("no right answers to compare with")
    right = _mean(golds)
    kinds = sorted({g.kind for g in scored} - {GOLD})
    means = {kind: _mean([g for g in scored if g.kind == kind]) for kind in kinds}
    floor = min(min(means.values()), 0.0)
    best = max(means, key=lambda kind: means[kind])
    shown = f"right answers earn {right:.3g} on average; most of the others: {best!r} with {means[best]:.3g}"
    value = {GOLD: right, **means}
    advice = "look at the parts of the reward that are paid without an answer"
    if right <= means[best] + TINY:
        return fail(shown, advice, value=value, limit=right)
    if means[best] - floor >= 0.5 * (right - floor):
        return warn(shown, advice, value=value, limit=0.5 * right)
    return passed(shown, value=value, limit=0.5 * right)


@check(
    "task.length_pays",
    when="before",
    question="Is a right answer worth the same, whatever is said before it?",
    limit="fail where over 5 % of right answers earn more after more talk (99 % interval), or, where answers follow a "
    "solution, where over 20 % are not read after one",
)
def length_pays(graded: Sequence[Graded], *, reasons: bool) -> Verdict:
    """graded: right answers bare and of the kinds `REASONED`; reasons: the task's own answers come after a solution."""
    golds = {g.problem: g for g in graded if g.kind == GOLD and g.score.status == "scored" and _reward(g) > TINY}
    later = [g for g in graded if g.kind in REASONED and g.problem in golds and g.score.status == "scored"]
    if not later:
        return unknown("no right answer earns anything, so that none can be put after a solution")
    more = [g for g in later if _reward(g) > _reward(golds[g.problem]) + TINY]
    lost = [g for g in later if _reward(g) < _reward(golds[g.problem]) - TINY]
    unread = [g for g in lost if not _passes(g)]
    if interval(len(more), len(later))[0] > 0.05:
        return fail(
            f"{len(more)} of {len(later)} right answers earn more after some talk than alone: {_shown(more)}",
            "the reward counts length; train on what is right, and bound length apart from it",
            value=len(more) / len(later),
            limit=0.05,
        )
    if reasons and interval(len(unread), len(later))[0] > 0.2:
        return fail(
            f"{len(unread)} of {len(later)} right answers are not read after a solution: {_shown(unread)}",
            "look at how the verifier finds the answer, and whether it fails there and says 0",
            value=len(unread) / len(later),
            limit=0.2,
        )
    shown = f"of {len(later)} right answers after some talk, {len(more)} earn more than alone and {len(lost)} less"
    return passed(shown, value=len(more) / len(later), limit=0.05)


@check(
    "task.verdicts_repeat",
    when="before",
    question="Does the same text get the same verdict again?",
    limit="every one, here in another order and in a fresh process: a verdict depends on target and text alone",
)
def verdicts_repeat(
    again: Sequence[tuple[Graded, Score]], elsewhere: Sequence[tuple[Graded, Score]], changed: Sequence[str]
) -> Verdict:
    """again, elsewhere: texts with their second verdict; changed: ids of rows whose target grading has changed."""
    if not again and not elsewhere:
        return unknown("nothing could be graded twice")
    here, there = ([g for g, score in pairs if not _same(g.score, score)] for pairs in (again, elsewhere))
    n = len(again) + len(elsewhere)
    value = {"again": len(here), "elsewhere": len(there), "changed_targets": len(changed), "graded": n}
    advice = "look for chance, clocks, caches and counters, order of sets, and what another process does not have"
    if changed:
        return fail(f"grading changes the target of {listed(changed)}", advice, value=value)
    if here or there:
        shown = f"{len(here)} of {len(again)} texts get another verdict when graded again, and {len(there)} of "
        return fail(f"{shown}{len(elsewhere)} in a fresh process, such as {_shown(here or there)}", advice, value=value)
    return passed(f"{len(again)} texts graded again and {len(elsewhere)} in a fresh process agree", value=value)


@check(
    "task.verifier_errors",
    when="before",
    question="Does the verifier give a verdict?",
    limit="fail where over the run's max_verifier_errors of the calls raise or run out of time (99 % interval), or "
    "all of one kind of text; warn for any",
)
def verifier_errors(graded: Sequence[Graded], hung: int, most: float) -> Verdict:
    """graded: everything that was graded; hung: calls without a verdict in their time; most: the share allowed."""
    if not graded:
        return unknown("nothing was graded")
    errors = [g for g in graded if g.score.status == "error"]
    kinds = {g.kind for g in errors}
    always = [k for k in sorted(kinds) if all(g.score.status == "error" for g in graded if g.kind == k)]
    what = f"calls without a verdict, {hung} of them out of time"
    if errors:
        what += f": {errors[0].kind}: {excerpt(errors[0].score.why.strip().splitlines()[-1])}"
    advice = "mend the verifier, or the rows that it cannot judge; its traceback is in the evidence of `trueloop grade`"
    found = share_is_low(len(errors), len(graded), what=what, advice=advice, fail_above=most)
    if always:
        return fail(f"{found.evidence}; all of {listed(always)}", advice, value=found.value, limit=found.limit)
    return (
        warn(found.evidence, advice, value=found.value, limit=found.limit)
        if errors and found.status != "fail"
        else found
    )


@check(
    "task.rows_scorable",
    when="before",
    question="Can every row be judged?",
    limit="fail where over 5 % of the rows are unscorable (99 % interval); warn for any: they are thrown away",
)
def rows_scorable(unscorable: Mapping[str, str], rows: int) -> Verdict:
    """unscorable: id of a row -> why; rows: how many were looked at."""
    if rows == 0:
        return unknown("no row was graded")
    some = next(iter(unscorable.items()), None)
    what = "rows that cannot be judged" + (f", such as {some[0]}: {excerpt(some[1])}" if some else "")
    advice = "mend these rows or leave them out: look at the answer's column and its format"
    found = share_is_low(len(unscorable), rows, what=what, advice=advice, fail_above=0.05)
    if unscorable and found.status != "fail":
        return warn(found.evidence, advice, value=found.value, limit=found.limit)
    return found


@check(
    "task.canaries",
    when="before",
    question="Do known hacks fail and honest programs pass, by this task's own verifier?",
    limit="every one: a hack that passes once will be found",
)
def canaries(wrong: Sequence[str], tried: int) -> Verdict:
    """wrong: those with a wrong verdict, each with that verdict, of `tried`."""
    if tried == 0:
        return unknown("no canary was tried")
    if wrong:
        return fail(
            f"{len(wrong)} of {tried} canaries got a wrong verdict: {listed(wrong)}",
            "do not train against this verifier: look at what it takes as proof that tests passed",
            value=len(wrong),
        )
    return passed(f"{tried} canaries got the right verdict", value=0)


@check(
    "task.readings_agree",
    when="before",
    question="Does the reward see the answers that are right?",
    limit="warn where some reading finds 10 points more right answers than earn the reward (99 % interval) and under a "
    "tenth of these earn it: a format that is hardly ever sampled is hardly ever learned",
)
def readings_agree(readings: Mapping[str, int], paid: int, rows: int) -> Verdict:
    """readings: how many of `rows` completions each of the verifier's readings finds right; paid: earn full reward."""
    if rows < 16 or not readings:
        return unknown(f"{rows} completions are too few to compare readings")
    widest = max(readings, key=lambda name: readings[name])
    shares = ", ".join(f"{name} {n / rows:.0%}" for name, n in readings.items())
    shown = f"of {rows} completions, right by reading: {shares}; {paid / rows:.0%} earn full reward"
    value = {name: n / rows for name, n in readings.items()} | {"paid": paid / rows}
    gap = interval(max(readings[widest] - paid, 0), rows)[0]
    if gap > 0.10 and paid < 0.1 * readings[widest]:
        return warn(
            shown,
            "declare the format that the model uses, pay others in part (leniency), or teach the format first",
            value=value,
            limit=0.10,
        )
    return passed(shown, value=value, limit=0.10)


@check(
    "task.completions_judged",
    when="before",
    question="Are the policy's own completions judged, and alike when judged again?",
    limit="fail where over the run's max_verifier_errors are errors (99 % interval), over 5 % are unscorable, or any "
    "gets another verdict in a fresh process",
)
def completions_judged(scores: Sequence[Score], again: Sequence[tuple[Score, Score]], most: float) -> Verdict:
    """scores: of the first completions; again: some of them with a verdict of a fresh process."""
    if not scores:
        return unknown("no completion was judged")
    errors = [s for s in scores if s.status == "error"]
    unscorable = [s for s in scores if s.status == "unscorable"]
    other = [(a, b) for a, b in again if not _same(a, b)]
    n = len(scores)
    shown = f"of {n} completions {len(errors)} errors, {len(unscorable)} unscorable; {len(again)} judged again, "
    shown += f"{len(other)} with another verdict"
    value = {"errors": len(errors) / n, "unscorable": len(unscorable) / n, "other": len(other)}
    why = next((s.why.strip().splitlines()[-1] for s in [*errors, *unscorable] if s.why.strip()), "")
    advice = f"look at the verifier: {excerpt(why)}" if why else "look at the verifier for chance, clocks and caches"
    bad = interval(len(errors), n)[0] > most or interval(len(unscorable), n)[0] > 0.05 or other
    if bad:
        return fail(shown, advice, value=value, limit=most)
    return (
        warn(shown, advice, value=value, limit=most) if errors or unscorable else passed(shown, value=value, limit=most)
    )


def _worst_kind(
    graded: Sequence[Graded], bars: Mapping[str, float], *, fail_above: float, warn_above: float, nothing: str
) -> Verdict:
    if not graded:
        return unknown(f"no {nothing} was graded")
    kinds = {kind: [g for g in graded if g.kind == kind] for kind in dict.fromkeys(g.kind for g in graded)}
    scoring = {kind: [g for g in of_kind if _scores(g, bars)] for kind, of_kind in kinds.items()}
    worst = max(kinds, key=lambda kind: interval(len(scoring[kind]), len(kinds[kind]))[0])
    example = f": {_shown(scoring[worst])}" if scoring[worst] else ""
    what = f"{worst!r}, the worst of {len(kinds)} kinds of {nothing}, that score{example}"
    advice = "look at how the verifier finds and compares answers"
    found = share_is_low(
        len(scoring[worst]), len(kinds[worst]), what=what, advice=advice, fail_above=fail_above, warn_above=warn_above
    )
    shares = {kind: len(scoring[kind]) / len(of_kind) for kind, of_kind in kinds.items()}
    return Verdict(status=found.status, value=shares, limit=found.limit, evidence=found.evidence, advice=found.advice)


def _bars(graded: Sequence[Graded]) -> dict[str, float]:
    """Per row the reward that counts as full, where its right answer has one."""
    return {g.problem: _reward(g) for g in graded if g.kind == GOLD and _passes(g) and _reward(g) > TINY}


def _scores(g: Graded, bars: Mapping[str, float]) -> bool:
    """Whether a text gets full marks, or passes; an echo of the prompt may be an expression of its value."""
    bar = bars.get(g.problem, max(bars.values(), default=1.0))
    return (g.score.passed is True and g.kind != "prompt echoed") or _reward(g) >= bar - TINY


def _passes(g: Graded) -> bool:
    return g.score.passed is True or (g.score.passed is None and _reward(g) > TINY)


def _reward(g: Graded) -> float:
    return g.score.reward if g.score.reward is not None else 0.0


def _mean(graded: Sequence[Graded]) -> float:
    return sum(map(_reward, graded)) / len(graded)


def _same(a: Score, b: Score) -> bool:
    """Verdicts that train and evaluate alike; what only says why may differ."""
    return (a.status, a.reward, a.passed, dict(a.parts)) == (b.status, b.reward, b.passed, dict(b.parts))


def _shown(graded: Iterable[Graded]) -> str:
    return listed([f"{excerpt(g.text, 60)} ({excerpt(g.score.why, 50)}, {g.problem})" for g in graded], 2)
