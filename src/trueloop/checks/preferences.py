"""Preference pairs, as texts and as tokens: is there something to prefer, in the right order, and does it arrive?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from trueloop.checks.base import Verdict, check, excerpt, fail, listed, passed, unknown, warn
from trueloop.checks.limits import interval, share_is_high, share_is_low

LABELS = "look at which column is read as chosen and which as rejected, and at the rule that made the labels"
FEW = 8
"""Fewer pairs than this say nothing about a share of them."""

Text = tuple[str, str, str]
"""Prompt, chosen, rejected."""


@check(
    "preferences.identical_answers",
    when="before",
    question="Do the two answers of a pair differ?",
    limit="fail: 10 % of equal pairs lie below the interval; warn: 1 % does.  Both sides of such a pair cancel exactly",
)
def identical_answers(pairs: Sequence[Text]) -> Verdict:
    """Texts that are equal but for white space at their ends."""
    equal = sum(chosen.strip() == rejected.strip() for _, chosen, rejected in pairs)
    return share_is_low(
        equal,
        len(pairs),
        what="pairs whose chosen and rejected text are equal",
        advice="drop them, and look at what fills the two columns",
        fail_above=0.1,
        warn_above=0.01,
    )


@check(
    "preferences.empty_answers",
    when="before",
    question="Does every answer of a pair say something?",
    limit="fail: 10 % of pairs with a blank answer lie below the interval; warn: any",
)
def empty_answers(pairs: Sequence[Text]) -> Verdict:
    """A blank answer teaches to end at once, or the reverse."""
    blank = [p for p, chosen, rejected in pairs if not (chosen.strip() and rejected.strip())]
    advice = "drop these pairs, and look at what fills the two columns"
    evidence = f"{len(blank)} of {len(pairs)} pairs have an empty answer"
    if not pairs:
        return unknown("no pairs")
    if not blank:
        return passed(evidence, value=0.0)
    share = len(blank) / len(pairs)
    shown = f"{evidence}, first to {excerpt(blank[0])}"
    return (fail if interval(len(blank), len(pairs))[0] > 0.1 else warn)(shown, advice, value=share)


@check(
    "preferences.duplicates",
    when="before",
    question="Is every pair there once?",
    limit="fail: half of the pairs repeat an earlier one; warn: 5 % do (lower end of the interval)",
)
def duplicates(pairs: Sequence[Text]) -> Verdict:
    """Pairs equal to an earlier one in prompt and both answers."""
    return share_is_low(
        len(pairs) - len(set(pairs)),
        len(pairs),
        what="pairs that repeat an earlier one",
        advice="keep each once; a repeated pair is a larger weight, and intervals over its copies are too narrow",
        fail_above=0.5,
        warn_above=0.05,
    )


@check(
    "preferences.contradictions",
    when="before",
    question="Is a pair labelled one way only?",
    limit="fail: a quarter of the pairs are there in the other order too; warn: 2 % (lower end of the interval)",
)
def contradictions(pairs: Sequence[Text]) -> Verdict:
    """Pairs whose two answers are there in the other order as well: their pushes cancel."""
    known = set(pairs)
    both = sum((p, r, c) in known and c != r for p, c, r in pairs)
    return share_is_low(
        both,
        len(pairs),
        what="pairs that are there in both orders",
        advice="settle them, or give soft labels (a gap per pair); hard ones cancel",
        fail_above=0.25,
        warn_above=0.02,
    )


@check(
    "preferences.prompts",
    when="before",
    question="Are the pairs about many different prompts?",
    limit="fail: one prompt for all, or 20 pairs a prompt; warn: more than 6, which is all pairs of four answers",
)
def prompts(pairs: Sequence[Text]) -> Verdict:
    """Distinct prompts against pairs."""
    if len(pairs) < FEW:
        return unknown(f"{len(pairs)} pairs are too few to say")
    distinct = len({p for p, _, _ in pairs})
    per = len(pairs) / distinct
    shown = f"{len(pairs)} pairs about {distinct} distinct prompts, {per:.1f} each"
    advice = "look at the column that the prompt is read from; cluster intervals by prompt"
    value = {"pairs": len(pairs), "prompts": distinct}
    if distinct == 1 or per >= 20:
        return fail(f"{shown}; the first is {excerpt(pairs[0][0])}", advice, value=value)
    return warn(shown, advice, value=value) if per > 6 else passed(shown, value=value)


@check(
    "preferences.held_out_overlap",
    when="before",
    question="Are the held-out pairs about prompts that are not trained?",
    limit="fail: the interval of held-out prompts that are trained too lies above 2 %; warn: any are",
)
def held_out_overlap(trained: Sequence[str], held_out: Sequence[str]) -> Verdict:
    """Prompts of either set, compared without case and white space."""
    if not held_out:
        return unknown("no held-out pairs", "hold some out, or the accuracy on trained pairs is all that is known")
    known = {_plain(p) for p in trained}
    shared = [p for p in held_out if _plain(p) in known]
    shown = f"{len(shared)} of {len(held_out)} held-out pairs have a prompt that is trained"
    if not shared:
        return passed(shown, value=0.0)
    advice = "split by prompt, not by row"
    worse = interval(len(shared), len(held_out))[0] > 0.02
    return (fail if worse else warn)(f"{shown}, first {excerpt(shared[0])}", advice, value=len(shared) / len(held_out))


@check(
    "preferences.splits",
    when="before",
    question="Are the pairs that train those of the split that is to be trained?",
    limit="exact: every pair says which split it is of",
)
def splits(trained: Sequence[str], held_out: Sequence[str], asked: str) -> Verdict:
    """The split of every pair, and the one that the configuration trains."""
    wrong = Counter(s for s in trained if s != asked)
    inside = sum(s == asked for s in held_out)
    value = {"trained": dict(Counter(trained)), "held_out": dict(Counter(held_out))}
    if wrong or inside:
        return fail(
            f"split {asked!r} is to be trained: {sum(wrong.values())} of {len(trained)} trained pairs are of another "
            f"one ({listed(sorted(wrong)) or '-'}), and {inside} of {len(held_out)} held-out pairs are of it",
            "look at which data set goes where: the two may be swapped",
            value=value,
        )
    return passed(f"all {len(trained)} trained pairs are of split {asked!r}, none held out is", value=value)


@check(
    "preferences.length_confound",
    when="before",
    question="Is what is preferred more than the longer (or the shorter) answer?",
    limit="fail: the interval of 'chosen is longer' lies beyond 90 % (or below 10 %); warn: beyond 70 % (below 30 %)",
)
def length_confound(lengths: Sequence[tuple[float, float]]) -> Verdict:
    """(chosen, rejected) length of each pair; pairs of equal length say nothing."""
    unequal = [(c, r) for c, r in lengths if c != r]
    if len(unequal) < FEW:
        return unknown(f"{len(unequal)} of {len(lengths)} pairs have answers of different length: too few to say")
    longer = sum(c > r for c, r in unequal)
    low, high = interval(longer, len(unequal))
    shown = f"chosen is the longer answer in {longer} of {len(unequal)} pairs (99 % interval {low:.0%} to {high:.0%})"
    advice = "balance the lengths, or declare length as an objective of its own; else length is what is learned"
    value = longer / len(unequal)
    if low > 0.9 or high < 0.1:
        return fail(f"{shown}: length alone tells the label", advice, value=value)
    return warn(shown, advice, value=value) if low > 0.7 or high < 0.3 else passed(shown, value=value)


@check(
    "preferences.labels",
    when="before",
    question="Do the labels agree with a judge that does not know them?",
    limit="fail: the interval of agreement holds 50 % or lies below (labels at random, or swapped); warn: below 80 %",
)
def labels(agree: int, disagree: int, ties: int) -> Verdict:
    """Pairs whose chosen, whose rejected, and neither of whose answers the judge prefers (a task's verifier, say)."""
    told = agree + disagree
    if told < FEW:
        return unknown(f"the judge tells {told} pairs apart and ties {ties}: too few to say")
    low, high = interval(agree, told)
    shown = (
        f"the judge prefers chosen in {agree} of {told} pairs (99 % interval {low:.0%} to {high:.0%}), {ties} are ties"
    )
    value = {"agree": agree, "disagree": disagree, "ties": ties}
    if high < 0.5:
        return fail(f"{shown}: chosen and rejected are swapped", LABELS, value=value)
    if low <= 0.5:
        return fail(f"{shown}: the labels say no more than a coin", LABELS, value=value)
    return warn(shown, LABELS, value=value) if high < 0.8 else passed(shown, value=value)


@check(
    "preferences.template_once",
    when="before",
    question="Does the prompt's template stand around the question once?",
    limit="exact: what all prompts begin (or end) with must not be the same words twice",
)
def template_once(found: Sequence[str]) -> Verdict:
    """Distinct prompts as the model reads them."""
    distinct = sorted(set(found))
    if len(distinct) < 2:
        return unknown(f"{len(distinct)} distinct prompts are too few to see their template")
    head, tail = _common(distinct), _common([p[::-1] for p in distinct])[::-1]
    twice = _doubled(head) or _doubled(tail)
    if twice:
        return fail(
            f"every prompt has {excerpt(twice)} twice in a row: {excerpt(distinct[0])}",
            "give the plain question and let one place put the template around it",
            value=twice,
        )
    return passed(f"prompts begin with {excerpt(head)} and end with {excerpt(tail)}, once each")


@check(
    "preferences.prompt_tokens",
    when="before",
    question="Do both answers of a pair follow the very tokens that the model is asked with?",
    limit="exact, pair by pair: another prompt is another problem",
)
def prompt_tokens(wrong: Sequence[str], unlike: Sequence[str], n: int) -> Verdict:
    """Ids of pairs whose two prompts differ, and of those whose prompt is not what the task asks; of `n` looked at."""
    value = {"differ": len(wrong), "not_asked": len(unlike), "of": n}
    if not n:
        return unknown("no pairs")
    if wrong or unlike:
        return fail(
            f"of {n} pairs {len(wrong)} have two different prompts and {len(unlike)} another prompt than the task "
            f"asks with, first {[*wrong, *unlike][0]}",
            "make both rows with one template, the task's (chat.encode_prompt), and never by position",
            value=value,
        )
    return passed(f"both answers of {n} pairs follow the tokens that the task asks with", value=value)


@check(
    "preferences.answer_tokens",
    when="before",
    question="Are the trained tokens the answer, whole, and nothing else?",
    limit="exact for what is decoded; an answer that was cut is counted by preferences.answers_cut",
)
def answer_tokens(unlike: Sequence[tuple[str, str]], n: int) -> Verdict:
    """(answer, what the trained tokens say) of the rows where they differ; of `n` rows that were not cut."""
    if not n:
        return unknown("no row has its whole answer")
    if unlike:
        answer, trained = unlike[0]
        return fail(
            f"in {len(unlike)} of {n} rows the trained tokens are not the answer: {excerpt(answer)} is trained as "
            f"{excerpt(trained)}",
            "look at the loss mask (the prompt is not trained) and at the tokenizer's round trip",
            value=len(unlike),
        )
    return passed(f"the trained tokens of {n} rows are their answers", value=0)


@check(
    "preferences.answers_cut",
    when="before",
    question="Do the answers fit within the limit?",
    limit="fail: the interval of pairs with a cut answer lies above 20 %; warn: above 2 %",
)
def answers_cut(cut: int, n: int) -> Verdict:
    """Pairs of `n` with an answer whose end is missing."""
    return share_is_low(
        cut,
        n,
        what="pairs with an answer that was cut",
        advice="raise the limit of a row's tokens, or drop these pairs; what differs may lie beyond the cut",
        fail_above=0.2,
        warn_above=0.02,
    )


@check(
    "preferences.same_tokens",
    when="before",
    question="Do the two answers still differ as tokens?",
    limit="fail: 10 % of equal rows lie below the interval; warn: 1 % does",
)
def same_tokens(same: int, n: int) -> Verdict:
    """Pairs of `n` whose rows have equal tokens, after truncation and with what the tokenizer does not know."""
    return share_is_low(
        same,
        n,
        what="pairs whose two rows are equal token by token",
        advice="look at the limit of a row's tokens and at what the tokenizer makes of the texts",
        fail_above=0.1,
        warn_above=0.01,
    )


@check(
    "preferences.end_token",
    when="before",
    question="Is the end of an answer trained?",
    limit="fail: the interval of whole answers that end in an end token lies below 50 %; warn: below 95 %",
)
def end_token(ended: int, n: int) -> Verdict:
    """Rows of `n` whose last trained token ends a completion; cut ones do not count."""
    return share_is_high(
        ended,
        n,
        what="whole answers whose end token is trained",
        advice="append the end token to both answers (chat.encode_completion does), inside the loss mask",
        fail_below=0.5,
        warn_below=0.95,
    )


@check(
    "preferences.pairs_lost",
    when="before",
    question="Does every pair become a row that trains?",
    limit="fail: the interval of lost pairs lies above 10 %; warn: any is lost",
)
def pairs_lost(lost: Sequence[str], n: int) -> Verdict:
    """Ids of pairs, of `n` given, that no trained row has."""
    if not n:
        return unknown("no pairs")
    shown = f"{len(lost)} of {n} pairs have no row"
    if not lost:
        return passed(shown, value=0.0)
    advice = "count what each filter drops, by reason; batches must not lose what stands at their edges"
    worse = interval(len(lost), n)[0] > 0.1
    return (fail if worse else warn)(f"{shown}, first {lost[0]}", advice, value=len(lost) / n)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _common(texts: Sequence[str]) -> str:
    """The longest beginning that all have."""
    low, high = min(texts), max(texts)
    n = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:n]


def _doubled(text: str) -> str:
    """What stands twice in a row in a template; empty if nothing does.  It has a letter and a mark, such as `Q: `, so
    that neither a rule of dashes nor a word like `banana` counts."""
    for size in range(len(text) // 2, 1, -1):
        for at in range(len(text) - 2 * size + 1):
            once = text[at : at + size]
            if once == text[at + size : at + 2 * size] and _is_template(once):
                return once
    return ""


def _is_template(text: str) -> bool:
    return any(c.isalpha() for c in text) and any(not c.isalnum() and c != " " for c in text)
