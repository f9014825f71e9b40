"""Where a run starts: the reference is the policy and the ratio is 1, before the first step."""

from __future__ import annotations

from collections.abc import Sequence

from trueloop.checks.base import Verdict, check, fail, passed, unknown, warn
from trueloop.checks.numerics.cause import FLOAT32, beyond, gap


@check(
    "numerics.reference_is_policy",
    when="before",
    question="Does the reference say of each token what the policy says before the first step?",
    limit="as for sampler and trainer: the reference is what the policy starts from",
)
def reference_is_policy(
    reference: Sequence[float],
    trained: Sequence[float],
    *,
    limits: tuple[float, float] = FLOAT32,
    cause: str | None = None,
) -> Verdict:
    """reference, trained: per trained token of real rows; cause: what explains a gap, where it was looked for."""
    if not reference:
        return unknown("no token has a reference")
    found = gap(reference, trained)
    value = {"tokens": found.n, "mean": found.mean, "high": found.high, "kl": -found.bias, "cause": cause}
    limit = {"mean": limits[0], "high": limits[1]}
    shown = (
        f"reference against policy: mean difference {found.mean:.2g}, largest {found.high:.2g} over {found.n} tokens"
    )
    if beyond(found, limits) <= 1:
        return passed(f"{shown}; KL {-found.bias:.1g}", value=value, limit=limit)
    return fail(
        f"{shown}, so the KL starts at {-found.bias:+.2g} nats a token; cause: {cause}",
        "the penalty pulls to another model than the run starts from: look at kl, at the adapter's base and at the "
        "temperature that the reference scores at",
        value=value,
        limit=limit,
    )


@check(
    "numerics.ratio_starts_at_one",
    when="before",
    question="Is the ratio of new to old policy 1 at every trained token before the first step?",
    limit="log-ratios as for sampler and trainer, and a mean ratio within 1 % of 1",
)
def ratio_starts_at_one(
    old: Sequence[float],
    trained: Sequence[float],
    *,
    limits: tuple[float, float] = FLOAT32,
    cause: str | None = None,
) -> Verdict:
    """old: the log-probabilities that a policy loss divides by; trained: the trainer's at the stream's temperature."""
    if not old:
        return unknown("no loss reads the log-probabilities of an old policy")
    found = gap(trained, old)
    value = {"tokens": found.n, "mean": found.mean, "high": found.high, "bias": found.bias, "cause": cause}
    limit = {"mean": limits[0], "high": limits[1]}
    times = beyond(found, limits)
    shown = f"log-ratio: mean size {found.mean:.2g}, largest {found.high:.2g} over {found.n} tokens"
    if times <= 1:
        return passed(shown, value=value, limit=limit)
    advice = (
        "the ratio's old policy must be the one that sampled, at the same temperature and aligned token by token: look "
        "at the samples' logprobs, at the stream's temperature and at engine.dtype"
    )
    shown += f"; new minus old {found.bias:+.2g} in the mean; cause: {cause}"
    return (fail if times > 3 else warn)(shown, advice, value=value, limit=limit)
