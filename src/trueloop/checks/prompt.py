"""Does the model read what the task asks, framed once, in the format that it knows, in training as in evaluation."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from trueloop.checks.base import Verdict, check, excerpt, fail, passed, unknown, warn
from trueloop.checks.scaffold import doubled_label, doubled_line, spaceless
from trueloop.formulas.stats import student_quantile

_OPENS_A_TURN = re.compile(
    r"\A\s*(?:Human|User|Q|Question|Problem|### \w+)[ ]?:.*(?:Assistant|A|Answer|Solution|Response)[ ]?:\s*\Z",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A prompt, as it is and as it should be.

    shown    the decoded tokens that the sampler was given, beginning tokens left out
    said     the same of what the task says, template included
    content  the problem's own words, without what all problems share
    message  the text, or the last message, that the template is put around
    template "none" or "chat"
    """

    shown: str
    said: str
    content: str
    message: str
    template: str = "none"


@check(
    "prompt.holds_the_problem",
    when="before",
    question="Does each prompt, as the model reads it, hold its problem's words?",
    limit="every prompt does, white space aside: a model that is not shown the problem can only guess",
)
def holds_the_problem(asked: Sequence[Asked]) -> Verdict:
    """asked: the first prompts of the run."""
    if not asked:
        return unknown("no prompt was made")
    lost = [a for a in asked if spaceless(a.content) not in spaceless(a.shown)]
    if lost:
        return fail(
            f"{len(lost)} of {len(asked)} prompts lack their problem: {excerpt(lost[0].shown)} should hold "
            f"{excerpt(lost[0].content)}",
            "look at the task's prompt, at the chat template and at what shortens prompts",
            value=len(lost),
        )
    first = "; ".join(excerpt(a.shown, 160) for a in asked[:3])
    return passed(f"{len(asked)} prompts hold their problems; the first as the model reads them: {first}", value=0)


@check(
    "prompt.as_the_task_says",
    when="before",
    question="Is what the sampler was given exactly the task's prompt?",
    limit="every prompt is: a run and its evaluation share the task, so a change on the way makes them disagree",
)
def as_the_task_says(asked: Sequence[Asked]) -> Verdict:
    """asked: the first prompts of the run."""
    if not asked:
        return unknown("no prompt was made")
    other = [a for a in asked if a.shown != a.said]
    if other:
        a = other[0]
        at = next((i for i, (x, y) in enumerate(zip(a.shown, a.said, strict=False)) if x != y), None)
        at = min(len(a.shown), len(a.said)) if at is None else at
        return fail(
            f"{len(other)} of {len(asked)} prompts are not the task's; the first differs from character {at}: the "
            f"model read {excerpt(a.shown[at:])} where the task says {excerpt(a.said[at:])} "
            f"({len(a.shown)} characters for {len(a.said)})",
            "look at what is between the task and the engine: truncation, a template, tokens put before or after",
            value=len(other),
        )
    return passed(f"{len(asked)} prompts are the task's, character by character", value=0)


@check(
    "prompt.template_applied_once",
    when="before",
    question="Is each prompt framed once?",
    limit="in most prompts no label comes twice with nothing between, no line of the frame twice, no problem twice, "
    "and a chat message does not open the answer's turn itself",
)
def template_applied_once(asked: Sequence[Asked], *, shots: int) -> Verdict:
    """asked: the first prompts; shots: solved examples before each problem."""
    if not asked:
        return unknown("no prompt was made")
    twice = [doubled_label(a.shown) for a in asked]
    lines = [doubled_line(a.shown, a.content) if shots == 0 else None for a in asked]
    repeated = [a.shown.count(a.content) > 1 and len(a.content) >= 5 for a in asked]
    for what, found in (("the label", twice), ("the line", lines), ("the problem", repeated)):
        hits = [(a, x) for a, x in zip(asked, found, strict=True) if x]
        if len(hits) * 2 > len(asked):
            named = f" {excerpt(hits[0][1])}" if isinstance(hits[0][1], str) else ""
            return fail(
                f"{len(hits)} of {len(asked)} prompts have {what}{named} twice: {excerpt(hits[0][0].shown, 200)}",
                "apply the template once: give the plain text with template 'chat', or rendered text with 'none'",
                value=len(hits),
            )
    chats = [a for a in asked if a.template == "chat"]
    turns = [a for a in chats if _OPENS_A_TURN.match(a.message)]
    if len(turns) * 2 > len(chats):
        return warn(
            f"the chat template is put around text that opens the answer's turn itself: {excerpt(turns[0].shown, 200)}",
            "let the task give the plain question for a chat model, or use template 'none'",
            value=len(turns),
        )
    return passed(f"{len(asked)} prompts are framed once", value=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a model does in one format; one value per problem, in nats per token.

    reference  of a known good answer; empty where there is none
    own        of what it wrote itself; high where it writes noise
    """

    reference: tuple[float, ...]
    own: tuple[float, ...]


NOISE, STRANGE = 0.3, 0.7
"""Nats per token.  A format is foreign to a model whose own words are less certain in it by the first; or to which good
answers are less likely by the second: style alone (a solution that is not how it talks) makes a smaller difference."""


@check(
    "prompt.chat_template_on_base_model",
    when="before",
    question="Does the model know the chat template that it is asked with?",
    limit="fail where its own words cost more by 0.3 nats a token than after raw text and known good answers are less "
    "likely too, or where these cost more by 0.7 (99 % intervals)",
)
def chat_template_on_base_model(chat: Fit, raw: Fit, *, learned: bool) -> Verdict:
    """chat, raw: the same problems in both formats; the run uses the chat template."""
    return _compared(chat, raw, learned, "the chat template", "raw text", grave=True)


@check(
    "prompt.raw_text_on_chat_model",
    when="before",
    question="Does the model know raw text, where it has a chat template that is not used?",
    limit="warn where its own words cost more by 0.3 nats a token than in the template and known good answers are less "
    "likely too, or where these cost more by 0.7 (99 % intervals)",
)
def raw_text_on_chat_model(raw: Fit, chat: Fit, *, learned: bool) -> Verdict:
    """raw, chat: the same problems in both formats; the run uses raw text."""
    return _compared(raw, chat, learned, "raw text", "the chat template", grave=False)


def _compared(used: Fit, other: Fit, learned: bool, name: str, another: str, *, grave: bool) -> Verdict:
    if not learned:
        return unknown("a warm start comes first: which format the model knows cannot be told yet")
    if min(len(used.own), len(other.own)) < 3:
        return unknown(f"{len(used.own)} and {len(other.own)} completions: too few to compare two formats")
    low, own, high = _difference(used.own, other.own)
    shown = (
        f"own words cost {statistics.fmean(used.own):.2f} nats a token after {name}, {statistics.fmean(other.own):.2f} "
        f"after {another} (99 % interval of the difference {low:+.2f} to {high:+.2f})"
    )
    worse = low > NOISE
    value = {"own": own, "reference": None}
    if len(used.reference) > 2:
        low_r, mean_r, high_r = _difference(used.reference, other.reference)
        shown += f"; good answers {mean_r:+.2f} nats a token ({low_r:+.2f} to {high_r:+.2f})"
        worse = low_r > STRANGE or (worse and low_r > 0)
        value["reference"] = mean_r
    advice = f"ask this model with {another}: set the task's template, or take the model that the template belongs to"
    if worse:
        return (fail if grave else warn)(shown, advice, value=value, limit=NOISE)
    if not used.reference and low <= NOISE < own:
        return unknown(f"{shown}: too few to tell", advice, value=value, limit=NOISE)
    return passed(shown, value=value, limit=NOISE)


def _difference(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    """Low, mean and high of mean(a) - mean(b), paired where both have one value per problem."""
    n = min(len(a), len(b))
    gaps = [x - y for x, y in zip(a[:n], b[:n], strict=True)]
    mean = statistics.fmean(gaps)
    half = student_quantile(0.995, n - 1) * statistics.stdev(gaps) / math.sqrt(n) if n > 1 else math.inf
    return mean - half, mean, mean + half


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How problems are asked.

    template  "none" or "chat", with a hash of all that makes it
    before    what all prompts begin with, shots left out; after: what they end with
    prompts   those that this was read from
    """

    template: str
    template_hash: str
    stops: tuple[str, ...]
    max_tokens: int
    shots: int
    before: str
    after: str
    prompts: tuple[str, ...]

    def frames(self, prompts: Sequence[str]) -> float:
        """The share of these prompts that begin and end as all of this format do."""
        return sum(p.startswith(self.before) and p.endswith(self.after) for p in prompts) / max(len(prompts), 1)


FEW = 8
"""Prompts of a split below which what they share may be chance."""


@check(
    "prompt.same_in_evaluation",
    when="before",
    question="Are problems asked in the same way in training and in evaluation?",
    limit="template and stops are equal, and what all prompts of one split begin and end with is in most of the other, "
    "for eight prompts or more of each; shots and limits may differ, which is a warning",
)
def same_in_evaluation(train: Format, guard: Format) -> Verdict:
    """train, guard: how the run asks, and how its guard evaluation does."""
    grave = [n for n in ("template", "template_hash", "stops") if _differ(train, guard, n)]
    light = [n for n in ("shots", "max_tokens") if _differ(train, guard, n)]
    words = [f"{n}: {getattr(train, n)!r} in training, {getattr(guard, n)!r} in the guard" for n in [*grave, *light]]
    few = min(len(set(train.prompts)), len(set(guard.prompts))) < FEW
    if not few and min(train.frames(guard.prompts), guard.frames(train.prompts)) < 0.5:
        grave.append("frame")
        own, other = (f"{f.before!r} ... {f.after!r}" for f in (train, guard))
        words.append(f"frame: {own} in training, {other} in the guard")
    if grave:
        return fail(
            "; ".join(words),
            "ask both splits through one task; a gain in one format need not be one in the other",
            value=grave + light,
        )
    if light:
        return warn("; ".join(words), "report both, or make them equal", value=light)
    if few:
        return unknown("equal template and stops; too few prompts to tell what they all share from chance")
    return passed(f"equal template, stops and frame: {train.before!r} ... {train.after!r}", value=[])


def _differ(a: Format, b: Format, name: str) -> bool:
    return bool(getattr(a, name) != getattr(b, name))
