"""What prompts and completions tell by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from trueloop.checks.base import Verdict, check, excerpt, fail, listed, passed, unknown, warn
from trueloop.checks.limits import interval, share_is_low
from trueloop.checks.scaffold import frame, looped, markers, next_problem
from trueloop.checks.transcripts.turns import (
    SCAFFOLD,
    Turn,
    early_and_late,
    format_of,
    groups_of,
    wrapped_twice,
)

ENOUGH = 16
"""Rows below which a share says nothing."""


def _shown(found: Sequence[str]) -> str:
    return f", such as {excerpt(found[0])}" if found else ""


@check(
    "transcripts.cut_at_limit",
    when="after",
    question="Do completions end by themselves?",
    limit="fail where more than half are cut at the token limit (99 % interval), warn above a tenth",
)
def cut_at_limit(turns: Sequence[Turn]) -> Verdict:
    """Rows whose finish is `length`; where no finish is logged, rows of exactly the greatest length."""
    known = [t for t in turns if t.finish is not None]
    cut = sum(t.finish == "length" for t in known)
    what = "completions cut at the token limit"
    if not known:
        lengths = [t.length for t in turns if t.length is not None]
        if len(set(lengths)) < 2:
            return unknown("no finish reason, and no lengths that differ", "log how each completion ended")
        known, cut, what = (
            list(turns[: len(lengths)]),
            lengths.count(max(lengths)),
            "completions of the greatest length",
        )
        if cut < len(lengths) / 20:
            cut = 0
    return share_is_low(
        cut,
        len(known),
        what=what,
        advice="raise the task's max_tokens, or give it stops that end an answer",
        fail_above=0.5,
        warn_above=0.1,
    )


@check(
    "transcripts.not_empty",
    when="after",
    question="Do completions have any text?",
    limit="fail where more than a quarter are empty (99 % interval), warn above 2 %",
)
def not_empty(turns: Sequence[Turn]) -> Verdict:
    """Rows whose completion is nothing but white space."""
    empty = sum(not t.completion.strip() for t in turns)
    return share_is_low(
        empty,
        len(turns),
        what="empty completions",
        advice="look at the stops and at the end of the prompt: a stop that stands at the start ends every answer",
        fail_above=0.25,
        warn_above=0.02,
    )


@check(
    "transcripts.loops",
    when="after",
    question="Do completions say something instead of repeating themselves?",
    limit="fail where more than a quarter end in a loop (99 % interval), warn above 5 %",
)
def ends_in_loops(turns: Sequence[Turn]) -> Verdict:
    """Rows that end in one block again and again."""
    found = [t.completion for t in turns if looped(t.completion)]
    return share_is_low(
        len(found),
        len(turns),
        what=f"completions that end in a loop{_shown(found)}",
        advice="look at the template and the stops first; late in a run: lower optim.lr, or go back to a checkpoint",
        fail_above=0.25,
        warn_above=0.05,
    )


@check(
    "transcripts.scaffold_in_completions",
    when="after",
    question="Are completions free of a chat template's markers?",
    limit="fail where more than a quarter have one (99 % interval), warn above 2 %",
)
def scaffold_in_completions(turns: Sequence[Turn]) -> Verdict:
    """Rows in whose completion a role marker stands."""
    found = [t.completion for t in turns if SCAFFOLD.search(t.completion)]
    return share_is_low(
        len(found),
        len(turns),
        what=f"completions with a chat template's markers{_shown(found)}",
        advice="a base model wants no chat template; for a chat model, let its end of turn be a stop",
        fail_above=0.25,
        warn_above=0.02,
    )


@check(
    "transcripts.template_once",
    when="after",
    question="Is the template in each prompt once?",
    limit="fail where more than 5 % of the prompts have it within itself (99 % interval), warn above 1 %",
)
def template_once(turns: Sequence[Turn]) -> Verdict:
    """Distinct prompts in which a template stands within itself."""
    prompts = list(dict.fromkeys(t.prompt for t in turns))
    found = [p for p in prompts if wrapped_twice(p)]
    if 0 < len(found) == len(prompts):
        return fail(
            f"each of {len(prompts)} prompts has its template twice{_shown(found)}",
            "apply the template once: give messages, or text that is already rendered, and not both",
            value=1.0,
            limit=0.05,
        )
    return share_is_low(
        len(found),
        len(prompts),
        what=f"prompts with the template twice{_shown(found)}",
        advice="apply the template once: give messages, or text that is already rendered, and not both",
        fail_above=0.05,
        warn_above=0.01,
    )


@check(
    "transcripts.runs_on",
    when="after",
    question="Do completions stop when the problem is answered?",
    limit="fail where more than a quarter begin another problem (99 % interval), warn above 5 %",
)
def goes_on(turns: Sequence[Turn]) -> Verdict:
    """Rows that open another problem as the prompts do, or in a usual way."""
    marks = markers(frame([t.prompt for t in turns]).before)
    found = [t.completion for t in turns if next_problem(t.completion, marks) is not None]
    return share_is_low(
        len(found),
        len(turns),
        what=f"completions that begin another problem{_shown(found)}",
        advice=f"let the task stop at what opens a problem: {listed([repr(m) for m in marks])}",
        fail_above=0.25,
        warn_above=0.05,
    )


@check(
    "transcripts.prompts_distinct",
    when="after",
    question="Are different problems asked?",
    limit="fail where all groups have one prompt, warn where fewer than half of a step's prompts differ",
)
def prompts_distinct(turns: Sequence[Turn]) -> Verdict:
    """Distinct prompts among the groups of each step."""
    steps: dict[int | None, list[str]] = {}
    for group in groups_of(turns):
        steps.setdefault(group[0].step, []).append(group[0].prompt)
    everything = [p for prompts in steps.values() for p in prompts]
    if len(everything) < 8:
        return unknown(f"{len(everything)} groups: too few to tell")
    distinct = len(set(everything))
    if distinct == 1:
        return fail(f"{len(everything)} groups, all with the prompt {excerpt(everything[0])}", "look at the data")
    share = sum(len(set(prompts)) for prompts in steps.values()) / len(everything)
    said = f"{share:.0%} of a step's prompts are distinct on average, {distinct} in all"
    if share < 0.5:
        return warn(said, "look for duplicates in the data", value=share, limit=0.5)
    return passed(said, value=share, limit=0.5)


@check(
    "transcripts.completions_differ",
    when="after",
    question="Does the same problem get different completions?",
    limit="fail where in more than half of the groups all are identical (99 % interval), in the first steps",
)
def completions_differ(turns: Sequence[Turn]) -> Verdict:
    """Groups of which all completions are the same text, among the first quarter of the steps."""
    early, _ = early_and_late(turns)
    groups = [g for g in groups_of(early or turns) if len(g) >= 2]
    same = [g for g in groups if len({t.completion for t in g}) == 1]
    return share_is_low(
        len(same),
        len(groups),
        what="groups of identical completions at the start",
        advice="raise draw.temperature; look for a seed that is the same in every request",
        fail_above=0.5,
        warn_above=0.3,
    )


@check(
    "transcripts.not_one_text",
    when="after",
    question="Do different problems get different completions?",
    limit="fail where one text answers more than half of the prompts of the last steps (99 % interval), by the text "
    "that each gets most often",
)
def not_one_text(turns: Sequence[Turn]) -> Verdict:
    """The most frequent of the prompts' own most frequent completions."""
    _, late = early_and_late(turns)
    by_prompt: dict[str, Counter[str]] = {}
    for t in late or turns:
        by_prompt.setdefault(t.prompt, Counter())[t.completion] += 1
    if len(by_prompt) < 8:
        return unknown(f"{len(by_prompt)} distinct prompts: too few to tell")
    text, n = Counter(texts.most_common(1)[0][0] for texts in by_prompt.values()).most_common(1)[0]
    return share_is_low(
        n,
        len(by_prompt),
        what=f"prompts answered by {excerpt(text)}",
        advice="the policy has collapsed onto one text: lower optim.lr, and look at what is rewarded",
        fail_above=0.5,
        warn_above=0.25,
    )


@check(
    "transcripts.format_steady",
    when="after",
    question="Do completions still mark their answer as they did at the start?",
    limit="warn where the share with a marked answer fell by more than a tenth (99 % intervals apart), fail by half",
)
def format_steady(turns: Sequence[Turn]) -> Verdict:
    """Rows with a marked answer (boxed, ####, `the answer is`, a tag), first quarter of the steps against the last."""
    early, late = early_and_late(turns)
    if min(len(early), len(late)) < ENOUGH:
        return unknown("too few rows with a step to hold the start against the end")
    marked = [sum(format_of(t.completion) is not None for t in part) for part in (early, late)]
    before, after = marked[0] / len(early), marked[1] / len(late)
    said = f"{before:.1%} of the completions mark their answer in the first steps, {after:.1%} in the last"
    advice = "show strict and lenient readings side by side, and reward the format that evaluations want"
    fell = interval(marked[0], len(early))[0] > interval(marked[1], len(late))[1]
    if before == 0:
        return unknown("no completion marks its answer in a way that is known here")
    if fell and after < before / 2:
        return fail(said, advice, value=after - before, limit=-0.1)
    if fell and before - after > 0.1:
        return warn(said, advice, value=after - before, limit=-0.1)
    return passed(said, value=after - before, limit=-0.1)
