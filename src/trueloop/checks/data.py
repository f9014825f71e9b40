"""Is the data what it is thought to be: rows that differ, agree, fit, and are apart from those that judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from trueloop.checks.base import Verdict, check, excerpt, fail, listed, passed, unknown, warn
from trueloop.checks.limits import interval, share_is_low
from trueloop.formulas.stats import wilson
from trueloop.records import Json

FEW = 8
"""Rows below which a share says nothing."""


@check(
    "data.recorded",
    when="before",
    question="Which rows does the run read?",
    limit="none: sizes and hashes of the splits are written down, so that runs can be told apart",
)
def recorded(rows: Mapping[str, int], hashes: Mapping[str, str]) -> Verdict:
    """rows, hashes: of each split, by "task/split"."""
    shown = ", ".join(f"{name} {n} rows ({hashes[name]})" for name, n in rows.items())
    return passed(shown, value={name: {"rows": n, "hash": hashes[name]} for name, n in rows.items()})


@check(
    "data.ids_clash",
    when="before",
    question="Does an id name one row?",
    limit="no id stands for two different rows: curricula, traces and comparisons join by it",
)
def ids_clash(clashes: Sequence[str], rows: int) -> Verdict:
    """clashes: ids that two rows of different content have."""
    if clashes:
        return fail(
            f"{len(clashes)} ids of {rows} rows stand for several different rows: {listed(clashes)}",
            "make ids of content (Problem.create does), or of a column that is unique over all splits",
            value=len(clashes),
        )
    return passed(f"{rows} rows, each with an id of its own", value=0)


@check(
    "data.repeated_rows",
    when="before",
    question="Are the training prompts different questions?",
    limit="warn from 5 % repeats, fail from 50 %: a run on a few questions is not the run on many that it looks like",
)
def repeated_rows(rows: int, distinct: int, near: int, example: str) -> Verdict:
    """rows: as they were given; distinct: prompts in different words; near: further prompts nearly like another."""
    repeats = rows - distinct + near
    share = repeats / max(rows, 1)
    shown = f"{rows} rows, {distinct} different prompts, {near} of them nearly like another" + (
        f", such as {excerpt(example)}" if repeats else ""
    )
    advice = "look at how the rows were made; leave repeats out, or say that they are wanted"
    limits = {"warn": 0.05, "fail": 0.5}
    if repeats and share >= 0.5:
        return fail(shown, advice, value=share, limit=limits)
    return (warn if share >= 0.05 else _passed)(shown, advice, value=share, limit=limits)


@check(
    "data.fewer_than_a_step",
    when="before",
    question="Are there as many problems as one step asks?",
    limit="fewer than a step's problems: the same ones stand in one step several times",
)
def fewer_than_a_step(problems: int, per_step: int) -> Verdict:
    """problems: different ones to train on; per_step: as many as an optimizer step uses."""
    shown = f"{problems} problems to train on, {per_step} in each step"
    if problems < per_step:
        return warn(shown, "lower the rows or problems of a step, or give more rows", value=problems, limit=per_step)
    return passed(shown, value=problems, limit=per_step)


@check(
    "data.contradictions",
    when="before",
    question="Does the same prompt always have the same answer?",
    limit="warn for any contradiction, fail from 2 % of the rows: one of two answers is marked wrong for being right",
)
def contradictions(prompts: Sequence[str], contradicting: int, rows: int) -> Verdict:
    """prompts: those with several answers; contradicting: the rows that have them, of `rows` with a known answer."""
    if rows == 0:
        return unknown("no row's right answer is known")
    if not contradicting:
        return passed(f"no prompt has two answers among {rows} rows", value=0.0)
    shown = f"{contradicting} of {rows} rows share a prompt but not its answer, such as {excerpt(prompts[0])}"
    share = contradicting / rows
    worse = fail if share >= 0.02 else warn
    return worse(shown, "mend or leave out these rows", value=share, limit={"warn": 0, "fail": 0.02})


@check(
    "data.train_eval_overlap",
    when="before",
    question="Are the rows that judge apart from the rows that train?",
    limit="fail from 1 % of the evaluated rows (5 % nearly the same) also trained on: what is known by heart is not "
    "learned; warn for any",
)
def train_eval_overlap(
    judges: str, exact: Sequence[str], near: Sequence[str], rows: int, *, same_split: bool, evaluated: bool
) -> Verdict:
    """exact, near: prompts among the `rows` of `judges` ("task/split") that are also trained on.

    same_split  it is the very split that trains; evaluated: the run itself evaluates on it
    """
    if rows == 0:
        return unknown(f"{judges}: no rows")
    value = {"exact": len(exact) / rows, "near": len(near) / rows}
    limit = {"exact": 0.01, "near": 0.05}
    if same_split:
        return fail(
            f"the run trains on {judges} and evaluates on it",
            "set guard.split to a split that is not trained on",
            value=value,
            limit=limit,
        )
    found = [*exact, *near]
    if not found:
        return passed(f"none of {rows} rows of {judges} is trained on", value=value, limit=limit)
    shown = (
        f"of {rows} rows of {judges}, {len(exact)} are trained on and {len(near)} are nearly the same as one that is, "
        f"such as {excerpt(found[0])}"
    )
    bad = value["exact"] >= limit["exact"] or value["near"] >= limit["near"]
    worse = fail if bad and evaluated else warn
    return worse(shown, f"leave them out of the training rows, or out of {judges}", value=value, limit=limit)


@check(
    "data.guard_size",
    when="before",
    question="Can the guard see the effects that it is there to see?",
    limit="its 95 % interval is no wider than 25 points to each side at an accuracy of one half",
)
def guard_size(problems: int) -> Verdict:
    """problems: that the guard evaluates; further samples of one problem are not counted, since they are alike."""
    low, high = wilson(problems // 2, problems)
    half = (high - low) / 2
    shown = f"{problems} problems: 95 % interval of +-{half:.0%}, so smaller changes cannot be seen"
    if half > 0.25:
        return warn(shown, "raise guard.problems", value=half, limit=0.25)
    return passed(shown, value=half, limit=0.25)


@check(
    "data.answers_vary",
    when="before",
    question="Do the right answers differ between rows?",
    limit="one answer for over half of the rows warns, for over 90 % fails: saying it always would be learned; "
    "99 % interval",
)
def answers_vary(answers: Sequence[str]) -> Verdict:
    """answers: the right one of each row, where it is known."""
    if len(answers) < FEW:
        return unknown(f"{len(answers)} rows with a known answer are too few")
    (common, n), *_ = Counter(answers).most_common(1)
    what = f"{len(set(answers))} different right answers; {excerpt(common, 40)} for"
    advice = "look at how the column with the answer is made: it says the same in nearly every row"
    return share_is_low(n, len(answers), what=what, advice=advice, fail_above=0.9, warn_above=0.5)


@check(
    "data.answer_in_prompt",
    when="before",
    question="Is the answer kept out of the prompt?",
    limit="fail where over 10 % of prompts hold their answer in its full format, another row's answer far less often; "
    "warn where the bare answer is in over half of them and 40 points more often than another row's; 99 % intervals",
)
def answer_in_prompt(stated: int, stated_other: int, bare: int, bare_other: int, rows: int) -> Verdict:
    """Of `rows` prompts, how many hold their own answer, as it is to be stated and bare, and how many another row's."""
    if rows < FEW:
        return unknown(f"{rows} rows with a known answer are too few")
    value = {
        "stated": stated / rows,
        "stated_of_another": stated_other / rows,
        "bare": bare / rows,
        "bare_of_another": bare_other / rows,
    }
    shown = (
        f"of {rows} prompts, {stated} hold their answer as it is to be stated (another row's: {stated_other}), "
        f"{bare} hold the bare answer (another row's: {bare_other})"
    )
    advice = "look at how the prompt is made: it must not hold the column with the answer"
    chance, chance_bare = interval(stated_other, rows)[1], interval(bare_other, rows)[1]
    if interval(stated, rows)[0] > max(0.10, chance):
        return fail(shown, advice, value=value, limit=0.10)
    if interval(bare, rows)[0] > max(0.5, chance_bare + 0.4):
        return warn(shown, advice, value=value, limit=0.5)
    return passed(shown, value=value, limit=0.10)


@check(
    "data.prompts_too_long",
    when="before",
    question="Do the prompts fit?",
    limit="fail where over 10 % are longer than flow.max_prompt_tokens, the engine or the model's context allow (99 % "
    "interval): they would be left out; warn over 1 %",
)
def prompts_too_long(lengths: Sequence[int], limit: int, whose: str) -> Verdict:
    """lengths: tokens of prompts as they are asked, examples included; whose: the limit's name."""
    long = sum(n > limit for n in lengths)
    longest = max(lengths, default=0)
    what = f"prompts of more than {limit} tokens ({whose}; the longest has {longest})"
    advice = f"raise {whose}, shorten the prompts (shots), or leave the long ones out of the data"
    return share_is_low(long, len(lengths), what=what, advice=advice, fail_above=0.10, warn_above=0.01)


@check(
    "data.answers_cut",
    when="before",
    question="Is there room for the right answers?",
    limit="fail where over 20 % of the known answers are longer than max_tokens or hold a stop string before their end "
    "(99 % interval); warn over 2 %",
)
def answers_cut(cut_at_limit: int, cut_at_stop: Mapping[str, int], rows: int, max_tokens: int) -> Verdict:
    """Of `rows` right answers, how many sampling would cut at `max_tokens`, and how many at which stop string, so that
    what is left is no right answer any more."""
    stopped = sum(cut_at_stop.values())
    shown = ", ".join(f"{n} at {stop!r}" for stop, n in cut_at_stop.items())
    what = (
        f"right answers that sampling would cut ({cut_at_limit} at max_tokens = {max_tokens}, {shown or '0 at a stop'})"
    )
    advice = (
        "raise the task's max_tokens" if cut_at_limit >= stopped else "take the stop string out of the task's stops"
    )
    return share_is_low(cut_at_limit + stopped, rows, what=what, advice=advice, fail_above=0.2, warn_above=0.02)


@check(
    "data.demonstrations",
    when="before",
    question="Are there answers to imitate, and are they answers?",
    limit="fail for none where some are imitated, for over 5 % empty, and where one text stands for over half of the "
    "problems whose right answers differ",
)
def demonstrations(completions: Sequence[str], answers: int) -> Verdict:
    """completions: what is imitated; answers: how many different right answers their problems have."""
    if not completions:
        return fail("there is no demonstration to imitate", "name the column with answers (completion), or `rows`")
    empty = sum(not c.strip() for c in completions)
    (common, n), *_ = Counter(completions).most_common(1)
    shown = f"{len(completions)} demonstrations, {empty} empty, {len(set(completions))} different"
    value = {"rows": len(completions), "empty": empty, "different": len(set(completions))}
    if empty > 0.05 * len(completions):
        return fail(shown, "look at the column with the answers", value=value)
    if len(completions) >= FEW and n > len(completions) / 2 and (answers == 0 or answers > 2):
        return fail(f"{shown}; {n} are {excerpt(common, 60)}", "look at the column with the answers", value=value)
    return (warn if empty else _passed)(shown, "leave empty answers out", value=value)


@check(
    "data.demonstrations_right",
    when="before",
    question="Are the demonstrations right, by the verdict of the task?",
    limit="fail where over 10 % are wrong (99 % interval): imitation would teach wrong answers; warn over 1 %",
)
def demonstrations_right(wrong: Sequence[str], graded: int) -> Verdict:
    """wrong: completions that the verifier does not pass, of `graded`."""
    example = f", such as {excerpt(wrong[0])}" if wrong else ""
    what = f"demonstrations that are wrong{example}"
    advice = "leave wrong ones out, or mend the verifier if they are right"
    return share_is_low(len(wrong), graded, what=what, advice=advice, fail_above=0.10, warn_above=0.01)


@check(
    "data.order",
    when="before",
    question="Does a curriculum name the problems that there are?",
    limit="warn for any id that names no problem, and where under half of the problems are listed; under 99 % known "
    "ids are an error",
)
def order(listed_ids: int, not_found: Sequence[str], problems: int) -> Verdict:
    """listed_ids: of the curriculum; not_found: those of no problem; problems: of the split."""
    served = listed_ids - len(not_found)
    shown = f"{listed_ids} ids, {len(not_found)} of no problem; {served} of {problems} problems are listed"
    value = {"listed": listed_ids, "not_found": len(not_found), "problems": problems}
    if not_found:
        return warn(f"{shown}; not found: {listed(not_found)}", "make the order again from this data", value=value)
    if served < 0.5 * problems:
        return warn(shown, "make the order again if the others are to be trained on too", value=value)
    return passed(shown, value=value)


@check(
    "data.columns_exist",
    when="before",
    question="Do the rows have the columns that the reward reads?",
    limit="fail for a column that no row has, or that over 5 % lack: a function given nothing scores nothing, silently",
)
def columns_exist(reads: Sequence[str], lacking: Mapping[str, int], rows: int, has: Sequence[str]) -> Verdict:
    """reads: columns that the reward reads; lacking: how many of `rows` have no value there; has: the rows' columns."""
    if rows == 0 or not reads:
        return unknown("it is not known which columns the reward reads")
    bad = {name: n for name, n in lacking.items() if n}
    if not bad:
        return passed(f"every row has {', '.join(reads)}", value=0.0)
    shown = "; ".join(f"{n} of {rows} rows have no {name!r}" for name, n in bad.items())
    worse = fail if max(bad.values()) > 0.05 * rows else warn
    advice = f"the rows have {', '.join(has)}; rename the column, or what the reward reads"
    return worse(
        f"the reward reads {', '.join(reads)}, but {shown}", advice, value=max(bad.values()) / rows, limit=0.05
    )


@check(
    "data.columns_vary",
    when="before",
    question="Do the columns that the reward reads differ between rows?",
    limit="all constant: fail, since the reward is then the same whatever is asked; one of several: warn",
)
def columns_vary(values: Mapping[str, Sequence[Json]]) -> Verdict:
    """values: of each column that the reward reads, over the rows that have it, as JSON text."""
    known = {name: v for name, v in values.items() if len(v) >= FEW}
    if not known:
        return unknown("too few rows, or no column, to tell")
    constant = [name for name, v in known.items() if len(set(v)) == 1]
    shown = ", ".join(f"{name} has {len(set(v))} values in {len(v)} rows" for name, v in known.items())
    if not constant:
        return passed(shown, value=0)
    worse = fail if len(constant) == len(known) else warn
    return worse(shown, f"look at how {listed(constant)} is made", value=len(constant))


def _passed(evidence: str, advice: str, *, value: Json = None, limit: Json = None) -> Verdict:
    return passed(evidence, value=value, limit=limit)
