"""From rewards to the rows of a step: advantages, masks, weights and the scale of each row."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trueloop.checks.base import Verdict, check, fail, listed, passed, unknown, warn


@dataclass(frozen=True, slots=True, kw_only=True)
class Credited:
    """A group: rewards, the advantages that the run gave, and those of the configured estimator for the same rewards,
    None where something else (a penalty, an intervention) has a say."""

    id: str
    rewards: Sequence[float]
    advantages: Sequence[float]
    formula: Sequence[float] | None = None


@check(
    "numerics.advantages",
    when="before",
    question="Are advantages finite, centred in their group, ordered as the rewards, and those of the estimator?",
    limit="the estimator's own values to 1e-4; else a mean of 0 to 1e-4, nine ordered pairs in ten, and no more than "
    "the group's size or twice the rewards' range; where penalties have a say, the order under rewards that outweigh "
    "them",
)
def advantages(groups: Sequence[Credited], penalised: Sequence[Credited] = ()) -> Verdict:
    """groups: those whose advantages their rewards alone decide, of the first batch and of the same with invented
    rewards.  penalised: those in whose advantages something else has a say, which have to be finite."""
    groups = [g for g in groups if g.rewards]
    if not groups:
        return unknown("no group has rewards")
    broken = [g.id for g in (*groups, *penalised) if not all(map(math.isfinite, g.advantages))]
    if broken:
        return fail(
            f"advantages of {len(broken)} of {len(groups) + len(penalised)} groups are not finite: {listed(broken)}",
            "look at the rewards and at the division by their spread",
        )
    if (off := _off_formula(groups)) is not None:
        return off
    tallies = [_ordered(g) for g in groups]
    right, wrong = (sum(t[k] for t in tallies) for k in (0, 1))
    off_centre = [g for g in groups if abs(_mean(g.advantages)) > 1e-4 * max(1e-9, *map(abs, g.advantages))]
    large = [g for g in groups if max(map(abs, g.advantages)) > 1.01 * max(len(g.rewards), 2 * _range(g.rewards))]
    noisy = [g for g in groups if _range(g.rewards) < 1e-6 and max(map(abs, g.advantages)) > 0.1]
    value = {"groups": len(groups), "ordered": right, "reversed": wrong, "off_centre": len(off_centre)}
    if wrong > right:
        return fail(
            f"in {wrong} of {right + wrong} pairs the better reward has the lower advantage",
            "the sign of the advantage is turned",
            value=value,
        )
    if large or noisy:
        g = (large or noisy)[0]
        return fail(
            f"{len(large)} groups have advantages beyond what their rewards can give, {len(noisy)} have some without "
            f"any difference in reward: {g.id} has {_short(g.advantages)} for rewards {_short(g.rewards)}",
            "look at what rewards are divided by: a spread near 0 must be floored",
            value=value,
        )
    if off_centre or wrong > 0.1 * (right + wrong):
        return warn(
            f"{len(off_centre)} of {len(groups)} groups have advantages whose mean is not 0; {wrong} of "
            f"{right + wrong} pairs are not ordered as their rewards",
            "look at the baseline, and at penalties and interventions that have a say in the advantage",
            value=value,
        )
    said = f"{len(groups)} groups centred, {right} pairs in the order of their rewards"
    return passed(said + ", invented so large that no penalty has a say" * bool(penalised), value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A rollout beside the row that was made of it: trained tokens of each, whether tokens and masks are equal, and the
    weights of the row's trained tokens beside what they should be.

    found   rows of the step with the rollout's id
    wanted  whether the rollout has an advantage, so that it must be there
    """

    id: str
    found: int
    wanted: bool
    written: int = 0
    trained: int = 0
    prompt_trained: int = 0
    last_trained: bool = True
    same_tokens: bool = True
    weights: Sequence[float] = ()
    expected: Sequence[float] = ()


@check(
    "numerics.rows_are_rollouts",
    when="before",
    question="Does the step train each credited rollout once: its own tokens, all and no other, by its advantage?",
    limit="every row",
)
def rows_are_rollouts(rows: Sequence[Row]) -> Verdict:
    """rows: one per credited rollout of the first batch."""
    if not rows:
        return unknown("the rows of the step have no rollouts")
    found = {
        "have no row": [r.id for r in rows if r.wanted and r.found == 0],
        "have several rows": [r.id for r in rows if r.found > 1],
        "have other tokens": [r.id for r in rows if r.found and not r.same_tokens],
        "train tokens of the prompt": [r.id for r in rows if r.prompt_trained],
        "do not train the last token": [r.id for r in rows if r.found and r.written and not r.last_trained],
        "train another number of tokens": [r.id for r in rows if r.found and r.trained != r.written],
        "have other weights than their advantage": [r.id for r in rows if not _close(r.weights, r.expected)],
    }
    wrong = {what: ids for what, ids in found.items() if ids}
    tokens = {"written": sum(r.written for r in rows if r.found), "trained": sum(r.trained for r in rows)}
    if wrong:
        words = [f"{len(ids)} of {len(rows)} rollouts {what} (the first: {ids[0]})" for what, ids in wrong.items()]
        return fail(
            "; ".join(words),
            "look at how the recipe makes samples of rollouts: loss masks are written when tokens are, never inferred",
            value={what: len(ids) for what, ids in wrong.items()} | tokens,
        )
    return passed(f"{len(rows)} rollouts, {tokens['trained']} trained tokens, by their advantages", value=tokens)


@check(
    "numerics.reduction",
    when="before",
    question="Does the reduction give every row a finite scale whose denominator is counted over the whole step?",
    limit="scales not negative; twice the rows, half the scale; a loss of 1 everywhere gives at most 1, as a mean does",
)
def reduction(
    lengths: Sequence[int], scales: Sequence[float], doubled: Sequence[float], *, coefficient: float = 1.0
) -> Verdict:
    """lengths: trained tokens of the step's rows; scales: of these; doubled: of the rows twice; coefficient: the
    stream's."""
    if not any(lengths):
        return unknown("no row has a trained token")
    if len(scales) != len(lengths) or not all(math.isfinite(s) and s >= 0 for s in scales) or not any(scales):
        return fail(f"scales of {len(lengths)} rows: {listed(list(scales))}", "look at the reduction", value=None)
    whole = math.fsum(s * n for s, n in zip(scales, lengths, strict=True))
    halves = [d / s for s, d in zip(scales, doubled, strict=False) if s]
    longest, shortest = _at(lengths, scales, max), _at(lengths, scales, min)
    bias = longest / shortest if shortest else math.nan
    value = {"sum": whole, "doubled": _mean(halves), "longest_over_shortest": bias, "coefficient": coefficient}
    if not coefficient > 0 or not math.isfinite(coefficient):
        return fail(
            f"the stream's coefficient is {coefficient}", "a stream that trains has a positive one", value=value
        )
    if any(abs(h - 0.5) > 1e-3 for h in halves):
        return warn(
            f"with twice the rows a row's scale is {_mean(halves):.3g} of what it was, not a half",
            "the loss grows with the batch: choose a reduction that counts the whole step",
            value=value,
        )
    if whole > 1.001:
        return warn(
            f"a loss of 1 at every token gives {whole:.3g}: it is a sum and not a mean",
            "choose token_mean, sequence_mean or fixed_length with a length no completion exceeds",
            value=value,
        )
    words = f"a token of the longest row weighs {bias:.2g} times one of the shortest"
    return passed(f"a loss of 1 at every token gives {whole:.3g}; {words}", value=value)


def _off_formula(groups: Sequence[Credited]) -> Verdict | None:
    """A fail where the configured estimator gives other values."""
    known = [(g, g.formula) for g in groups if g.formula is not None]
    off = [(g, f) for g, f in known if not _close(g.advantages, f)]
    if not off:
        return None
    group, formula = off[0]
    pairs = [(a, f) for g, own in off for a, f in zip(g.advantages, own, strict=True)]
    power = math.fsum(f * f for _, f in pairs)
    slope = math.fsum(a * f for a, f in pairs) / power if power else math.nan
    sign = " with the sign turned" if slope < 0 else ""
    return fail(
        f"advantages of {len(off)} of {len(known)} groups are not those of the configured estimator: {group.id} has "
        f"{_short(group.advantages)} for rewards {_short(group.rewards)}, expected {_short(formula)}; "
        f"{slope:.3g} times the expected in the mean{sign}, mean of the first {_mean(group.advantages):+.2g}",
        "look at advantage.kind and at what acts on rewards and advantages",
        value={"groups": len(known), "off": len(off), "slope": slope},
        limit=1e-4,
    )


def _close(found: Sequence[float], expected: Sequence[float]) -> bool:
    size = max([1e-4, *map(abs, expected)])
    return len(found) == len(expected) and all(
        abs(a - b) <= 1e-4 * max(size, 1.0) for a, b in zip(found, expected, strict=True)
    )


def _ordered(group: Credited) -> tuple[int, int]:
    """Pairs of rollouts with another reward: those in its order, and those against it."""
    pairs = list(zip(group.rewards, group.advantages, strict=True))
    signs = [(r1 - r2) * (a1 - a2) for k, (r1, a1) in enumerate(pairs) for r2, a2 in pairs[:k] if r1 != r2]
    return sum(s > 0 for s in signs), sum(s < 0 for s in signs)


def _at(lengths: Sequence[int], scales: Sequence[float], which: Callable[[list[int]], int]) -> float:
    chosen = which([n for n in lengths if n])
    return scales[list(lengths).index(chosen)]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _range(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _short(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{v:.3g}" for v in values[:6]) + (", ...]" if len(values) > 6 else "]")
