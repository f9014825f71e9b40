"""Is a batch of rollouts whole: texts, tokens, probabilities, endings, versions and groups that belong together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trueloop.checks.base import Verdict, check, excerpt, fail, listed, passed, unknown, warn
from trueloop.checks.limits import share_is_low
from trueloop.records import Group, Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A rollout with what its completion's tokens decode to.

    text   all of them, special tokens shown; body: without the last
    ended  the last one is a token that ends a completion
    ends_inside  tokens before the last that should have ended it
    """

    rollout: Rollout
    text: str
    body: str
    ended: bool
    ends_inside: int


@check(
    "sampling.text_is_tokens",
    when="before",
    question="Is the text that is judged what the tokens say?",
    limit="every text is its tokens decoded, up to the end token or the stop string",
)
def text_is_tokens(rows: Sequence[Decoded]) -> Verdict:
    """rows: all rollouts."""
    if not rows:
        return unknown("nothing was sampled")
    wrong = [(row, said) for row in rows if (said := _said(row)) != row.rollout.text]
    if wrong:
        row, said = wrong[0]
        return fail(
            f"{len(wrong)} of {len(rows)} texts are not their tokens: {row.rollout.id} is judged by "
            f"{excerpt(row.rollout.text)}, its tokens say {excerpt(said)}",
            "decode all tokens of a completion together, and cut only at its stop",
            value=len(wrong),
        )
    return passed(f"{len(rows)} texts are their tokens", value=0)


def _said(row: Decoded) -> str:
    """The text up to what ended it."""
    stop = row.rollout.stop
    if stop is None:
        return row.text
    if row.ended and row.text.endswith(stop):
        return row.text[: len(row.text) - len(stop)]
    return row.text.split(stop)[0]


@check(
    "sampling.finished",
    when="before",
    question="Did each completion end as it says, by a stop or at its limit?",
    limit="every one: an aborted completion that counts as finished is trained as if the model had wanted to end there",
)
def finished(rows: Sequence[Decoded], *, max_tokens: Mapping[str, int], context: int | None) -> Verdict:
    """rows: rollouts that count; max_tokens: of each, by problem id; context: the most positions there are."""
    if not rows:
        return unknown("nothing was sampled")
    wrong = [(why, row) for row in rows if (why := _unfinished(row, max_tokens, context)) is not None]
    if wrong:
        counts = dict(Counter(why for why, _ in wrong))
        row = wrong[0][1]
        return fail(
            f"{len(wrong)} of {len(rows)} completions: {counts}; such as {row.rollout.id}, {excerpt(row.text)}",
            "count aborted and failed completions as lost, and draw them again",
            value=counts,
        )
    return passed(f"{len(rows)} completions ended as they say", value={})


def _unfinished(row: Decoded, max_tokens: Mapping[str, int], context: int | None) -> str | None:
    r, n = row.rollout, row.rollout.completion_length
    limit = max_tokens.get(r.problem_id, n)
    if r.finish not in ("stop", "length"):
        return f"ended by {r.finish}"
    if r.finish == "stop" and r.stop is not None and r.stop not in row.text and not row.ended:
        return "stopped without its stop"
    if r.finish == "length" and n < limit and (context is None or len(r.tokens) < context):
        return "cut before its limit"
    return "longer than its limit" if n > limit else None


@check(
    "sampling.stops_in_force",
    when="before",
    question="Does a stop string or end token really stop a completion?",
    limit="none is found before a completion's end",
)
def stops_in_force(rows: Sequence[Decoded], *, stops: Mapping[str, Sequence[str]]) -> Verdict:
    """rows: all rollouts; stops: the stop strings of each, by problem id."""
    if not rows:
        return unknown("nothing was sampled")
    through = [(row, s) for row in rows for s in stops.get(row.rollout.problem_id, ()) if _passed_over(row, s)]
    ends = [row for row in rows if row.ends_inside]
    if through or ends:
        said = f"{len(ends)} of {len(rows)} completions go on after an end token"
        said += f", {len(through)} after a stop string {dict(Counter(s for _, s in through))}"
        first = ends[0] if ends else through[0][0]
        return fail(
            f"{said}: {excerpt(first.text, 200)}",
            "give the engine the task's stops and every end id of the model",
            value={"ends": len(ends), "stops": len(through)},
        )
    return passed(f"no stop lies inside of {len(rows)} completions", value={"ends": 0, "stops": 0})


def _passed_over(row: Decoded, stop: str) -> bool:
    return stop in row.body or stop in row.rollout.text


@check(
    "sampling.lost",
    when="before",
    question="Does what is asked come back?",
    limit="fail where more than half of the problems are lost or filtered, warn above 5 % (99 % intervals) and where "
    "any is lost",
)
def lost(asked: int, failed: Sequence[str], filtered: Sequence[str]) -> Verdict:
    """asked: problems; failed, filtered: why, of each that was."""
    reasons = Counter([*(f"failed: {why.split(':')[0]}" for why in failed), *(f"filtered: {why}" for why in filtered)])
    words = f"problems that give no group {dict(reasons) or ''}".rstrip()
    advice = f"look at the first failure: {failed[0]}" if failed else "look at flow's limits and at the verifier"
    gone = len(failed) + len(filtered)
    shown = share_is_low(gone, asked, what=words, advice=advice, fail_above=0.5, warn_above=0.05)
    if failed and shown.status in ("pass", "unknown"):
        return warn(shown.evidence, advice, value=shown.value, limit=shown.limit)
    return shown


@check(
    "sampling.version",
    when="before",
    question="Was everything sampled by the weights that are there now?",
    limit="every completion has the version of the weights that were loaded last",
)
def version(versions: Sequence[int], present: int) -> Verdict:
    """versions: of each completion; present: of the trainer."""
    if not versions:
        return unknown("nothing was sampled")
    other = Counter(v for v in versions if v != present)
    if other:
        return fail(
            f"{other.total()} of {len(versions)} completions are of versions {dict(other)}, not of {present}",
            "load the weights before sampling, and drop what an engine keeps from before",
            value=dict(other),
        )
    return passed(f"{len(versions)} completions are of version {present}", value={})


@check(
    "sampling.logprobs_valid",
    when="before",
    question="Are the sampler's log-probabilities numbers that such can be?",
    limit="finite, not above 0, not -100, and the policy's own not 0 where it is not sure: such values stand for a "
    "missing one; those of the draw are 0 by right where truncation leaves one token",
)
def logprobs_valid(rows: Sequence[tuple[Rollout, Sequence[float] | None]], *, truncated: bool = False) -> Verdict:
    """rows: rollouts, with the policy's own log-probabilities of all their tokens where they were computed.

    truncated  whether top-k or top-p was asked for
    """
    kinds: Counter[str] = Counter()
    total = 0
    for rollout, own in rows:
        for t, on in enumerate(rollout.loss_mask):
            if on:
                total += 1
                unsure = own is not None and own[t] < -0.01
                kinds.update(_invalid(rollout.logprobs[t], unsure=unsure and not truncated))
                kinds.update(_invalid(rollout.policy_logprobs[t], unsure=unsure))
    if not total:
        return unknown("no token was sampled")
    if kinds:
        return fail(
            f"of {total} sampled tokens: {dict(kinds)}",
            "take the log-probabilities from where tokens are drawn; a missing one is an error, never a number",
            value=dict(kinds),
        )
    return passed(f"the log-probabilities of {total} sampled tokens can be such", value={})


def _invalid(x: float, *, unsure: bool) -> list[str]:
    found = {
        "not finite": not math.isfinite(x),
        "above 0": x > 1e-6,
        "exactly 0 where the policy is unsure": x == 0.0 and unsure,
        "a round -100 or less": -math.inf < x <= -100.0 and x == round(x),
    }
    return [name for name, bad in found.items() if bad]


@check(
    "sampling.groups_whole",
    when="before",
    question="Is a group the asked number of different completions of one problem and one prompt?",
    limit="every group is",
)
def groups_whole(groups: Sequence[Group], *, size: int | None) -> Verdict:
    """groups: all that came through; size: completions of each, None where that adapts."""
    if not groups:
        return unknown("no group came through")
    ids = Counter(r.id for g in groups for r in g.rollouts)
    twice = [i for i, n in ids.items() if n > 1]
    mixed = [g.problem.id for g in groups if any(r.problem_id != g.problem.id for r in g.rollouts)]
    prompts = [g.problem.id for g in groups if len({_prompt(r) for r in g.rollouts}) > 1]
    sizes = Counter(len(g.rollouts) for g in groups)
    odd = {n: count for n, count in sizes.items() if size is not None and n != size}
    found = {"ids twice": twice, "of another problem": mixed, "with two prompts": prompts, "of another size": odd}
    bad = {name: listed(list(what)) for name, what in found.items() if what}
    if bad:
        return fail(
            f"of {len(groups)} groups: {bad}",
            "keep the rollouts of one problem together by its id; an advantage compares answers to one question",
            value=bad,
        )
    return passed(f"{len(groups)} groups of {dict(sizes)} completions are whole", value={})


def _prompt(rollout: Rollout) -> tuple[int, ...]:
    first = rollout.loss_mask.index(True) if True in rollout.loss_mask else len(rollout.tokens)
    return rollout.tokens[:first]
