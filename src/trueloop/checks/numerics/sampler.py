"""Sampler against trainer: the log-probabilities that it claims, the tokens it draws, the weights it holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from trueloop.checks.base import Verdict, check, fail, passed, unknown, warn
from trueloop.checks.limits import at_the_edge
from trueloop.checks.numerics.cause import FLOAT32, beyond, gap

DRAWS = 1e-6
"""Probability of a false alarm of `draws_are_claimed` in one run."""


@check(
    "numerics.sampler_trainer_gap",
    when="before",
    question="Does the trainer give the sampled tokens the log-probabilities that the sampler claims?",
    limit="float32: mean difference 1e-4, largest 1e-3; lower precision: four times what it changes in the trainer's "
    "own log-probabilities",
)
def sampler_trainer_gap(
    claimed: Sequence[float],
    trained: Sequence[float],
    *,
    limits: tuple[float, float] = FLOAT32,
    cause: str | None = None,
) -> Verdict:
    """claimed: `Rollout.policy_logprobs` of sampled tokens; trained: what the trainer says of them at the sampler's
    temperature; limits: of mean and largest difference; cause: what explains the gap, where it was looked for."""
    if not claimed:
        return unknown("no token was sampled")
    found = gap(claimed, trained)
    times = beyond(found, limits)
    value = {"tokens": found.n, "mean": found.mean, "high": found.high, "bias": found.bias, "cause": cause}
    limit = {"mean": limits[0], "high": limits[1]}
    shown = f"mean difference {found.mean:.2g}, largest {found.high:.2g} over {found.n} sampled tokens"
    if times <= 1:
        return passed(shown, value=value, limit=limit)
    advice = (
        "look at what the engine returns (temperature, truncation, processed or raw log-probabilities, precision, "
        "adapter, weights); draw.temperature must be the trainer's, engine.dtype and batching.compute_dtype alike"
    )
    shown += f", sampler minus trainer {found.bias:+.2g} in the mean; cause: {cause}"
    if not math.isfinite(found.high) or times > 3:
        return fail(shown, advice, value=value, limit=limit)
    return warn(shown, advice, value=value, limit=limit)


@check(
    "numerics.trainer_forward",
    when="before",
    question="Does the trainer's packed forward pass give the model's own log-probabilities, twice the same?",
    limit="as for sampler and trainer; twice the same to the bit",
)
def trainer_forward(
    trained: Sequence[float],
    plain: Sequence[float],
    again: Sequence[float],
    *,
    limits: tuple[float, float] = FLOAT32,
    cause: str | None = None,
) -> Verdict:
    """trained, again: two calls of `Trainer.logprobs`; plain: the model's own forward, one softmax over its logits."""
    if not trained:
        return unknown("no token to score")
    found, repeated = gap(trained, plain), gap(trained, again)
    value = {"tokens": found.n, "mean": found.mean, "high": found.high, "repeated": repeated.high, "cause": cause}
    limit = {"mean": limits[0], "high": limits[1]}
    if repeated.high > 0:
        return fail(
            f"scored twice, the same {found.n} tokens differ by up to {repeated.high:.2g}",
            "something random acts while scoring, such as dropout: the policy must be in evaluation mode",
            value=value,
            limit=limit,
        )
    shown = f"trainer against the model's own forward: mean difference {found.mean:.2g}, largest {found.high:.2g}"
    if beyond(found, limits) <= 1:
        return passed(f"{shown} over {found.n} tokens", value=value, limit=limit)
    return fail(
        f"{shown} over {found.n} tokens; cause: {cause}",
        "the trainer's rows, masks, positions or temperature are wrong; try batching.shared_prefix = false",
        value=value,
        limit=limit,
    )


@check(
    "numerics.draws_are_claimed",
    when="before",
    question="Are the sampled tokens what the configured distribution draws?",
    limit="likelihood ratio of the drawn tokens under another distribution that chance exceeds once in a million runs; "
    "six standard errors for their mean log-probability; two tokens or one in a thousand beyond the truncation's edge",
)
def draws_are_claimed(ratios: Mapping[str, float], excess: float, error: float, n: int, outside: int) -> Verdict:
    """Whether other distributions explain the drawn tokens better than the configured one.

    ratios   other distribution in words -> log-likelihood of the drawn tokens under it minus that under the configured
             one; the exponential of each is 1 in expectation where the configured one drew, so chance rarely exceeds it
    excess   sum of (log-probability + entropy) over the tokens, 0 in expectation; error: its standard deviation
    n        tokens looked at;  outside: those that the configured truncation excludes, by more than rounding
    """
    if n == 0:
        return unknown("no token was sampled")
    bound = math.log(max(len(ratios), 1) / DRAWS)
    words, best = max(ratios.items(), key=lambda item: item[1], default=("", 0.0))
    z = excess / error if error > 0 else 0.0
    value = {"tokens": n, "best": words, "log_ratio": best, "z": z, "outside": outside}
    limit = {"log_ratio": bound, "z": 6.0}
    advice = "look at what the engine is asked for: draw.temperature, draw.top_k, draw.top_p, its own defaults"
    if outside > at_the_edge(n):
        return fail(
            f"{outside} of {n} tokens could not have been drawn under the configured truncation", advice, value=value
        )
    if best > bound:
        return fail(
            f"the {n} drawn tokens are e^{best:.0f} times as likely under {words} as under the configured distribution",
            advice,
            value=value,
            limit=limit,
        )
    if abs(z) > 6:
        where = "likelier" if z > 0 else "less likely"
        return fail(
            f"the {n} drawn tokens are {where} than those of the configured distribution by {abs(z):.1f} standard "
            "errors, and no usual setting explains it",
            advice,
            value=value,
            limit=limit,
        )
    return passed(f"{n} drawn tokens fit the configured distribution (z = {z:+.1f})", value=value, limit=limit)


@check(
    "numerics.drawn_logprobs",
    when="before",
    question="Is the claimed log-probability of drawing a token that of the policy, renormalised over what truncation "
    "keeps?",
    limit="as for sampler and trainer",
)
def drawn_logprobs(
    drawn: Sequence[float], expected: Sequence[float], *, truncated: bool, limits: tuple[float, float] = FLOAT32
) -> Verdict:
    """drawn: `Rollout.logprobs`; expected: the claimed policy log-probabilities minus the log of the mass kept."""
    if not drawn:
        return unknown("no token was sampled")
    found = gap(drawn, expected)
    value = {"tokens": found.n, "mean": found.mean, "high": found.high, "bias": found.bias}
    limit = {"mean": limits[0], "high": limits[1]}
    shown = f"mean difference {found.mean:.2g}, largest {found.high:.2g} over {found.n} tokens"
    if beyond(found, limits) <= 1:
        return passed(shown, value=value, limit=limit)
    how = "with the configured truncation" if truncated else "without truncation"
    return fail(
        f"{shown} {how}; claimed minus expected {found.bias:+.2g} in the mean",
        "the engine returns log-probabilities of another distribution than it draws from; importance weights and "
        "ratios read them; look at draw.top_k, draw.top_p and the engine's own defaults",
        value=value,
        limit=limit,
    )


@check(
    "numerics.truncation_corrected",
    when="before",
    question="Does the trainer account for probability that truncated sampling cuts off?",
    limit="1 % of the probability cut in the mean: below it the bias is smaller than that of any clipped ratio",
)
def truncation_corrected(cut: float, corrected: bool, settings: str) -> Verdict:
    """cut: mean probability outside of what is kept; corrected: whether importance weights correct for it."""
    value = {"cut": cut, "corrected": corrected}
    if cut <= 0.01:
        return passed(f"{settings} cuts {cut:.2%} of the probability", value=value, limit=0.01)
    if corrected:
        return passed(f"{settings} cuts {cut:.1%} of the probability; importance weights correct", value=value)
    return warn(
        f"{settings} cuts {cut:.1%} of the probability in the mean, and the trainer scores the whole softmax",
        "set draw.top_k = 0 and draw.top_p = 1, or importance_cap",
        value=value,
        limit=0.01,
    )


@check(
    "numerics.sampler_weights",
    when="before",
    question="Does the sampler hold the policy's weights, bit by bit?",
    limit="equal checksums",
)
def sampler_weights(held: str | None, expected: str | None) -> Verdict:
    """Checksums of the engine's weights and of the policy's as the engine would hold them; None if it has none."""
    if held is None or expected is None:
        return unknown("this engine gives no checksum of its weights")
    if held == expected:
        return passed(f"checksum {held}", value=held, limit=expected)
    return fail(
        f"the engine's weights have checksum {held}, the policy's {expected}",
        "the weights that sample are stale or others: look at the engine's load_weights and at what it is given",
        value=held,
        limit=expected,
    )


@check(
    "numerics.untrained_weights",
    when="before",
    question="Does the policy know anything, or are its weights random?",
    limit="mean entropy of the next token below 90 % of that of a uniform guess",
)
def untrained_weights(entropies: Sequence[float], vocabulary: int) -> Verdict:
    """Entropies of the policy at sampled positions, in nats."""
    if len(entropies) < 20:
        return unknown(f"{len(entropies)} positions are too few")
    share = sum(entropies) / len(entropies) / math.log(vocabulary)
    shown = f"mean entropy {share:.1%} of a uniform guess among {vocabulary} tokens"
    if share < 0.9:
        return passed(shown, value=share, limit=0.9)
    return fail(
        f"{shown}: the weights look freshly drawn",
        "the checkpoint was not loaded: look at model.path, and at what the model warns of on loading",
        value=share,
        limit=0.9,
    )
