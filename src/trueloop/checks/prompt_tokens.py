"""Are tokens what they should be: the mask, the end and the beginning, the stops, and texts that come back whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from trueloop.checks.base import Verdict, check, excerpt, fail, listed, passed, unknown, warn
from trueloop.checks.limits import share_is_low
from trueloop.checks.scaffold import spaceless


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRow:
    """How one row is trained.

    prompt   prompt tokens that are trained
    missed   completion tokens that are not
    ends     it ends with an end token; None where it need not, since a stop string or the limit ended it
    end_trained  that token is trained; None where there is none
    """

    id: str
    prompt: int
    missed: int
    ends: bool | None
    end_trained: bool | None


@check(
    "prompt.loss_mask_is_the_completion",
    when="before",
    question="Is exactly the completion trained?",
    limit="no prompt token is trained and every completion token is, in every row",
)
def loss_mask_is_the_completion(rows: Sequence[TrainedRow]) -> Verdict:
    """rows: those of a first step."""
    if not rows:
        return unknown("no row of a step to look at")
    bad = [r for r in rows if r.prompt or r.missed]
    if bad:
        r = max(bad, key=lambda r: r.prompt + r.missed)
        return fail(
            f"{len(bad)} of {len(rows)} rows: in {r.id} {r.prompt} prompt tokens are trained and {r.missed} completion "
            "tokens are not",
            "record the mask when tokens are written; never infer it from ids, lengths or positions",
            value=len(bad),
        )
    return passed(f"{len(rows)} rows train every completion token and no prompt token", value=0)


@check(
    "prompt.end_token_is_trained",
    when="before",
    question="Is the end token trained, where a completion has one?",
    limit="in every finished row: a model that never trains it does not learn to stop",
)
def end_token_is_trained(rows: Sequence[TrainedRow], *, end_is_pad: bool) -> Verdict:
    """rows: those of a first step; end_is_pad: padding and end are one token."""
    without = [r.id for r in rows if r.ends is False]
    untrained = [r.id for r in rows if r.ends and not r.end_trained]
    pad = "; padding and end are one token, so a mask made from ids loses it" if end_is_pad else ""
    if without or untrained:
        return fail(
            f"of {len(rows)} rows {len(without)} have no end token and {len(untrained)} have one that is not trained: "
            f"{listed(without + untrained)}{pad}",
            "end each answer with the tokenizer's end token and keep it in the loss mask",
            value={"without": len(without), "untrained": len(untrained)},
        )
    ended = sum(bool(r.ends) for r in rows)
    if not ended:
        return unknown(f"none of {len(rows)} rows ends with an end token")
    return passed(f"{ended} of {len(rows)} rows end with an end token, all trained", value={"ended": ended})


@check(
    "prompt.sampler_stops_on_end",
    when="before",
    question="Does the sampler stop on every token that ends an answer?",
    limit="on the tokenizer's end token, on what the template closes a turn with, and on what is trained as an end",
)
def sampler_stops_on_end(sampler: Sequence[str], must: Sequence[tuple[str, str]], stops: Sequence[str] = ()) -> Verdict:
    """sampler: tokens that it stops on; must: (role, token) of those that it has to; stops: the task's stop strings."""
    missing = [f"{role} {token!r}" for role, token in must if token not in sampler and token not in stops]
    value = {"sampler": list(sampler), "missing": missing}
    if missing or not (sampler or stops):
        what = f"not on {listed(missing)}" if missing else "on nothing at all"
        return fail(
            f"the sampler stops on {listed(sampler) or 'no token'}, {what}: completions would run to the limit",
            "put the token into the generation config's eos_token_id or the tokenizer's eos_token",
            value=value,
        )
    return passed(f"the sampler stops on {listed(sampler, 5)}, as {listed([r for r, _ in must])} need", value=value)


@check(
    "prompt.demonstrations_are_whole",
    when="before",
    question="Are demonstrations trained as they are written?",
    limit="the trained tokens of every row decode to its answer, as far as the tokenizer can write it, and its end",
)
def demonstrations_are_whole(rows: Sequence[tuple[str, str]]) -> Verdict:
    """rows: (answer as the tokenizer writes it, what follows the prompt in the row), both without the end token."""
    if not rows:
        return unknown("no demonstration is trained")
    other = [(said, found) for said, found in rows if said != found]
    if other:
        said, found = other[0]
        return fail(
            f"{len(other)} of {len(rows)} rows do not hold their answer: {excerpt(found)} for {excerpt(said)}",
            "look at what shortens or joins prompt and answer",
            value=len(other),
        )
    return passed(f"{len(rows)} rows hold their answers, such as {excerpt(rows[0][1])}", value=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelled:
    """A text before and after the tokenizer; kind: prompt, answer, completion; unknown: unknown tokens in it."""

    kind: str
    before: str
    after: str
    unknown: int


@check(
    "prompt.tokens_round_trip",
    when="before",
    question="Do texts survive the tokenizer?",
    limit="fail where more than 5 % of them lose characters (99 % interval), warn where any does or spaces change",
)
def tokens_round_trip(texts: Sequence[Spelled]) -> Verdict:
    """texts: prompts, answers and completions of the run."""
    advice = "use a tokenizer that knows these characters, or clean the data; a verifier sees what the tokenizer leaves"
    lost = [t for t in texts if t.unknown or spaceless(t.before) != spaceless(t.after)]
    spaced = [t for t in texts if t.before != t.after and t not in lost]
    kinds = dict(Counter(t.kind for t in lost))
    example = f", such as {excerpt(lost[0].before)} -> {excerpt(lost[0].after)}" if lost else ""
    shown = share_is_low(
        len(lost),
        len(texts),
        what=f"texts that lose characters {kinds or ''}{example}",
        advice=advice,
        fail_above=0.05,
    )
    if shown.status != "fail" and lost:
        return warn(shown.evidence, advice, value=shown.value, limit=shown.limit)
    if shown.status == "pass" and spaced:
        return warn(
            f"{len(spaced)} of {len(texts)} texts come back with other spaces, such as {excerpt(spaced[0].before)} -> "
            f"{excerpt(spaced[0].after)}",
            advice,
            value=0,
        )
    return shown


@check(
    "prompt.begins_once",
    when="before",
    question="Does each prompt have the beginning token as often as the model expects?",
    limit="once where the tokenizer or the template writes it, and never twice",
)
def begins_once(counts: Sequence[int], *, token: str | None, expected: bool) -> Verdict:
    """counts: beginning tokens at the start of each prompt; expected: tokenizer or template write one by themselves."""
    if not counts:
        return unknown("no prompt was made")
    if token is None:
        return passed("the tokenizer has no beginning token")
    twice, none = sum(n > 1 for n in counts), sum(n == 0 for n in counts)
    value = {"twice": twice, "none": none}
    if twice or (none and expected):
        return fail(
            f"of {len(counts)} prompts {twice} have {token!r} more than once and {none} lack it"
            + (", which the tokenizer writes by itself" if expected else ""),
            "encode a rendered template without special tokens, and raw text with them",
            value=value,
        )
    return passed(f"{len(counts) - none} of {len(counts)} prompts begin with {token!r}, none twice", value=value)


@check(
    "prompt.stops_spare_answers",
    when="before",
    question="Do the stop strings leave good answers whole?",
    limit="fail where they cut more than 5 % of the known good answers (99 % interval), warn where they cut any",
)
def stops_spare_answers(answers: Sequence[str], stops: Sequence[str]) -> Verdict:
    """answers: demonstrations or targets, as they continue the prompt."""
    if not answers:
        return unknown("no answer is known to be good")
    cut = [(a, s) for a in answers for s in stops if a.partition(s)[2].strip()]
    whole = {a for a, _ in cut}
    n = sum(a in whole for a in answers)
    advice = "take the stop out of the task's stops, or make it longer"
    named = f" (by {listed([repr(s) for s in dict.fromkeys(s for _, s in cut)])}: {excerpt(cut[0][0])})" if cut else ""
    shown = share_is_low(n, len(answers), what=f"good answers that a stop cuts{named}", advice=advice, fail_above=0.05)
    return warn(shown.evidence, advice, value=shown.value, limit=shown.limit) if n and shown.status != "fail" else shown


@check(
    "prompt.stops_can_occur",
    when="before",
    question="Can each stop string occur in what the model writes?",
    limit="the tokenizer can write it, and it has no escaped newline that was meant as a newline",
)
def stops_can_occur(stops: Sequence[Spelled]) -> Verdict:
    """stops: each stop string before and after the tokenizer."""
    never = [s.before for s in stops if s.unknown or s.before.strip() not in s.after]
    escaped = [s.before for s in stops if re.search(r"\\[nt]", s.before)]
    if never or escaped:
        return warn(
            f"stops that cannot occur: {listed([repr(s) for s in [*never, *escaped]])}",
            'write a newline as "\\n" in double quotes, and use characters that the tokenizer has',
            value=len(never) + len(escaped),
        )
    return passed(f"{len(stops)} stop strings can occur", value=0)


@check(
    "prompt.ends_where_answers_begin",
    when="before",
    question="Do prompt and answer meet where the tokenizer would part them?",
    limit="warn where in more than half of the rows (99 % interval) the joint text has other tokens at the seam",
)
def ends_where_answers_begin(moved: Sequence[bool], *, example: str = "") -> Verdict:
    """moved: per row, whether prompt and answer encoded together have another token at the seam."""
    return share_is_low(
        sum(moved),
        len(moved),
        what=f"rows whose tokens change at the seam{f' ({example})' if example else ''}",
        advice="end the prompt without white space and let the answer begin with it",
        warn_above=0.5,
    )
