"""What logged log-probabilities tell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean

from trueloop.checks.base import Verdict, check, fail, passed, unknown, warn
from trueloop.checks.numerics.cause import explain
from trueloop.checks.transcripts.turns import Turn, early_and_late

DIFFERENCE = 0.02
"""Mean absolute difference per token that other kernels and a half-precision sampler explain."""

NEAR = -1e-3
"""A policy that gives some tokens a log-probability of 0, to the last bit, gives others one between this and 0."""


def _finite(values: Iterable[float | None]) -> list[float]:
    return [v for v in values if v is not None and math.isfinite(v)]


@check(
    "transcripts.logprobs_sound",
    when="after",
    question="Are the sampler's log-probabilities those of real draws?",
    limit="fail for one above 0, missing or not finite in more than 1 % of the tokens; fail for exactly 0 in more than "
    "half where they are of the whole softmax and hardly another is near 0, as a sure policy's would be; where that is "
    "not known, warn for 99 %",
)
def logprobs_sound(turns: Sequence[Turn]) -> Verdict:
    """Every token's; exactly 0 is what a fallback writes, and what a sure or a truncated policy has by right."""
    values = [v for t in turns if t.logprobs is not None for v in t.logprobs]
    if not values:
        return unknown("no log-probabilities are logged")
    good = _finite(values)
    n = len(values)
    missing, above = n - len(good), sum(v > 1e-4 for v in good)
    zero, round_values = sum(v == 0 for v in good), sum(v <= -100 and v == round(v) for v in good)
    said = (
        f"of {n} tokens {missing} are missing or not finite, {above} above 0, {zero} exactly 0, {round_values} at -100"
    )
    advice = "a fallback stands in for what the engine did not return; let it raise instead"
    whole = all(t.whole_softmax for t in turns if t.logprobs is not None)
    sure = whole and sum(NEAR < v < 0 for v in good) >= 0.02 * zero
    broken, value = missing + above + round_values, (missing + above + zero + round_values) / n
    if broken / n > 0.01 or (whole and not sure and zero / n > 0.5):
        return fail(said, advice, value=value, limit=0.01)
    if broken or (not sure and zero / n > (0.2 if whole else 0.99)):
        return warn(said, advice, value=value, limit=0.0)
    if not whole and zero / n > 0.5:
        return unknown(f"{said}, as where truncation leaves one token, or where a fallback stands in", value=value)
    return passed(said, value=zero / n, limit=0.5)


@check(
    "transcripts.logprobs_agree",
    when="after",
    question="Does the trainer see the log-probabilities that the sampler drew with?",
    limit="mean absolute difference per token: warn above 0.02 (kernels and precision explain less), fail above 0.1",
)
def logprobs_agree(turns: Sequence[Turn]) -> Verdict:
    """Trainer against sampler; the cause is named where the differences tell it."""
    early, _ = early_and_late(turns)
    rows = [t for t in early or turns if t.logprobs is not None and t.trainer_logprobs is not None]
    unequal = [t for t in rows if len(t.logprobs or ()) != len(t.trainer_logprobs or ())]
    if unequal:
        return fail(
            f"{len(unequal)} of {len(rows)} rows have another number of trainer than of sampler log-probabilities",
            "tokens were dropped or added between them; look at end tokens and at text that is encoded again",
        )
    pairs = [
        (s, t)
        for row in rows
        for s, t in zip(row.logprobs or (), row.trainer_logprobs or (), strict=True)
        if s is not None and t is not None and math.isfinite(s) and math.isfinite(t)
    ]
    if len(pairs) < 32:
        return unknown("fewer than 32 tokens have log-probabilities of both sampler and trainer")
    mean = fmean(abs(s - t) for s, t in pairs)
    said = f"mean |sampler - trainer| {mean:.4f} over {len(pairs)} tokens{_cause(rows, pairs, mean)}"
    advice = "make both use one temperature, no truncation, the same weights and the same tokens"
    if mean > 0.1:
        return fail(said, advice, value=mean, limit=0.1)
    if mean > DIFFERENCE:
        return warn(said, advice, value=mean, limit=DIFFERENCE)
    return passed(said, value=mean, limit=DIFFERENCE)


def _cause(rows: Sequence[Turn], pairs: Sequence[tuple[float, float]], mean: float) -> str:
    """What the differences look like: a shift by one token, truncated sampling, or what `explain` tries."""
    if mean <= DIFFERENCE:
        return ""
    shifted = [
        abs(s - t)
        for row in rows
        for s, t in zip((row.logprobs or ())[1:], row.trainer_logprobs or (), strict=False)
        if s is not None and t is not None and math.isfinite(s - t)
    ]
    if shifted and fmean(shifted) < mean / 4:
        return "; shifted by one token they agree"
    if all(s >= t - DIFFERENCE for s, t in pairs):
        return "; the sampler's is never lower, as where it draws from a part of the vocabulary (top_k, top_p)"
    return f"; {explain([s for s, _ in pairs], [t for _, t in pairs], {})}"
