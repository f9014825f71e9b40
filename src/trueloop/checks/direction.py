"""Does a step go the right way, and not too far: what was rewarded, demonstrated or taught is likelier after it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trueloop.checks.base import Verdict, check, fail, listed, passed, unknown, warn
from trueloop.checks.limits import share_is_high


@check(
    "liveness.credit_follows_reward",
    when="before",
    question="Does the better rewarded of two completions of a problem get the larger weight?",
    limit="the share of such pairs: 99 % interval above 75 %, warning below 95 % (penalties beside the reward may turn "
    "a few round)",
)
def credit_follows_reward(rewards: Sequence[Sequence[float]], weights: Sequence[Sequence[float]]) -> Verdict:
    """Per problem: each completion's reward, and its mean weight per trained token in what the trainer is given."""
    right = unequal = 0
    for r, w in zip(rewards, weights, strict=True):
        pairs = [(i, j) for i in range(len(r)) for j in range(len(r)) if r[i] > r[j]]
        unequal += len(pairs)
        right += sum(w[i] > w[j] for i, j in pairs)
    return share_is_high(
        right,
        unequal,
        what="pairs of completions in which the better rewarded one has the larger weight",
        advice="look at the credit: its sign, and whether each advantage goes to the rollout it was computed for",
        fail_below=0.75,
        warn_below=0.95,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """What a step of this learning rate does: `gain` is in nats, higher is better; nan where it is not a number."""

    lr: float
    gain: float


def _direction(rungs: Sequence[Rung], what: str, advice: str, alone: float | None = None) -> Verdict:
    """rungs: from the run's first step down to small ones.  alone: the gain of a small step on this stream only."""
    real, value = rungs[0], {"gain": _number(rungs[0].gain), "lr": rungs[0].lr}
    if all(r.gain == 0 for r in rungs):
        return unknown(f"{what}: no change at all", value=value)
    if real.gain > 0:
        return passed(
            f"{what}: +{real.gain:.3g} nats in the first step, at a learning rate of {real.lr:g}", value=value
        )
    better = next((r for r in rungs[1:] if r.gain > 0), None)
    if better is not None:
        return warn(
            f"{what}: {real.gain:+.3g} nats in the first step at a learning rate of {real.lr:g}, "
            f"and {better.gain:+.3g} at {better.lr:g}: the direction is right, the step overshoots",
            f"lower optim.lr towards {better.lr:g}, or warm it up (optim.schedule.warmup)",
            value=value,
        )
    if alone is not None and alone > 0:
        return warn(
            f"{what}: {real.gain:+.3g} nats, though its own gradient alone would raise it: another stream outweighs it",
            "lower the coefficient of the streams beside it",
            value=value,
        )
    gains = ", ".join(f"{r.gain:+.2g} at {r.lr:.2g}" for r in rungs)
    return fail(f"{what}: falls at every learning rate that was tried ({gains})", advice, value=value)


@check(
    "liveness.reward_rises",
    when="before",
    question="Is what was rewarded more likely after one step?",
    limit="the sum over problems of (reward - mean reward) x change of the log-probability is positive in the first "
    "step; if only a smaller step raises it, the learning rate overshoots",
)
def reward_rises(rungs: Sequence[Rung], alone: float | None, invented: bool) -> Verdict:
    """Measured from the rewards themselves, not from the weights that were made of them; where a penalty has a say,
    from the advantages, which `credit_follows_reward` holds against the rewards."""
    what = "log-probability of what was rewarded" + (" (rewards invented: the first batch has no signal)" * invented)
    advice = (
        "a sign is flipped somewhere between reward and optimizer: look at the advantage, at the loss and at the "
        "optimizer; liveness.credit_follows_reward and liveness.downhill say which of them is sound"
    )
    return _direction(rungs, what, advice, alone)


@check(
    "liveness.demonstrations_rise",
    when="before",
    question="Are the demonstrations more likely after one step?",
    limit="their mean log-probability per token rises in the first step; if only a smaller step raises it, the "
    "learning rate overshoots",
)
def demonstrations_rise(rungs: Sequence[Rung], alone: float | None) -> Verdict:
    """Gains are mean log-probabilities per trained token."""
    advice = "look at the sign of the loss and of the rows' weights, and at the optimizer"
    return _direction(rungs, "log-probability of the demonstrations", advice, alone)


@check(
    "liveness.divergence_falls",
    when="before",
    question="Is the student nearer to its teacher after one step?",
    limit="the Jensen-Shannon divergence at the step's own tokens falls in the first step; if only a smaller step "
    "lowers it, the learning rate overshoots",
)
def divergence_falls(rungs: Sequence[Rung], alone: float | None) -> Verdict:
    """Gains are divergences before minus after, per trained token."""
    advice = "look at the sign of the divergence, and whether student and teacher are in each other's place"
    return _direction(rungs, "nearness to the teacher", advice, alone)


@check(
    "liveness.reference_held",
    when="before",
    question="Does what the policy is held against stay where it is while the policy moves?",
    limit="change of the reference's (or a fixed teacher's) log-probabilities over a step, as a share of the policy's: "
    "below 0.01, fail above 0.1",
)
def reference_held(reference: float, policy: float, what: str) -> Verdict:
    """reference, policy: root mean square change of their log-probabilities over a step; what: reference or teacher."""
    if not policy > 1e-5:
        return unknown(f"the step changes the policy's log-probabilities by {policy:.1g}: too little to tell")
    share = reference / policy
    said = f"the {what} moves by {share:.2g} of what the policy moves"
    advice = (
        f"look at what the {what} shares with the policy: weights that were not copied, an adapter not switched off"
    )
    if not share <= 0.1:
        return fail(said, advice, value=_number(share), limit=0.1)
    if share > 0.01:
        return warn(said, advice, value=share, limit=0.01)
    return passed(said, value=share, limit=0.01)


MOST_KL, MUCH_KL = 1.0, 0.2
MOST_RELATIVE, MUCH_RELATIVE = 0.5, 0.25


@check(
    "liveness.step_is_sane",
    when="before",
    question="Is the policy still the same kind of thing after one step?",
    limit=f"KL from the policy before, per token of what was read: fail above {MOST_KL} nat (a policy that forgot what "
    f"it was), warning above {MUCH_KL}; change of the weights against their size: fail above {MOST_RELATIVE}, warning "
    f"above {MUCH_RELATIVE}",
)
def step_is_sane(kl: float | None, relative: float | None, lr: float, sane: float | None) -> Verdict:
    """kl: nats per token, nan for a policy that gives no numbers, None where a policy is to become another one (SFT).

    relative: ||change|| / ||weights|| over matrices that are not 0, None where there are none (a new adapter).
    sane: a learning rate at which both are within their limits, None if none was found.
    """
    shown = [f"KL {kl:.2g} nats per token"] if kl is not None else []
    shown += [f"the weights change by {relative:.2g} of their size"] if relative is not None else []
    value = {"kl": _number(kl), "relative_change": _number(relative), "lr": lr}
    limits = {"kl": MOST_KL, "relative_change": MOST_RELATIVE}
    if not shown:
        return unknown("neither KL nor a change of weights to measure", value=value)
    said = f"the first step, at a learning rate of {lr:g}: {', '.join(shown)}"
    advice = f"lower optim.lr to about {sane:.1g}" if sane is not None else "lower optim.lr by orders of magnitude"
    if _beyond(kl, MOST_KL) or _beyond(relative, MOST_RELATIVE):
        return fail(said, advice, value=value, limit=limits)
    if _beyond(kl, MUCH_KL) or _beyond(relative, MUCH_RELATIVE):
        return warn(said, advice, value=value, limit=limits)
    return passed(said, value=value, limit=limits)


@check(
    "liveness.streams_reach",
    when="before",
    question="Does every stream of the step have a part in the gradient?",
    limit="its gradient's norm against the sum of the streams' norms: fail at 0, warning below one in a thousand",
)
def streams_reach(norms: Mapping[str, float], *, learned: bool = True) -> Verdict:
    """Stream name -> norm of its own gradient, its coefficient included; only streams with rows.

    learned  False where a warm start comes first
    """
    whole = sum(norms.values())
    if whole == 0 and not learned:
        return unknown("no stream has a gradient yet; a warm start comes first", value=dict(norms))
    if not norms or whole == 0:
        return fail("no stream has a gradient", "look at the rows' weights and at the loss", value=dict(norms))
    shares = {name: norm / whole for name, norm in norms.items()}
    shown = ", ".join(f"{name} {share:.2%}" for name, share in shares.items())
    silent = [name for name, norm in norms.items() if norm == 0]
    if silent:
        return fail(
            f"{listed(silent)} adds nothing to the gradient ({shown})",
            "look at its coefficient, its rows' weights and its loss",
            value=shares,
            limit=0,
        )
    swamped = [name for name, share in shares.items() if share < 1e-3]
    if swamped:
        return warn(
            f"{listed(swamped)} is swamped by the other streams ({shown})",
            "raise its coefficient, or lower the others'",
            value=shares,
            limit=1e-3,
        )
    return passed(f"gradient by stream: {shown}", value=shares, limit=1e-3)


def _beyond(value: float | None, limit: float) -> bool:
    return value is not None and not value <= limit


def _number(value: float | None) -> float | None:
    """None for what JSON cannot say."""
    return value if value is not None and math.isfinite(value) else None
