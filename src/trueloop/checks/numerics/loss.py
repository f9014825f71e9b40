"""What a loss does with a token: probed at made-up log-probabilities, ratios, weights and references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trueloop.checks.base import Verdict, check, fail, passed, unknown, warn


@check(
    "numerics.loss_follows_weights",
    when="before",
    question="Does the loss raise a token in proportion to its weight, and lower it where the weight is negative?",
    limit="derivative by the log-probability at ratio 1: minus the weight, as for any policy gradient and imitation",
)
def loss_follows_weights(up: Sequence[float], down: Sequence[float], *, signed: bool = True) -> Verdict:
    """up, down: minus the derivative by a token's log-probability at weight 1 and at weight -1, less that at weight 0;
    one value per token.  signed: whether rows of this stream may have negative weights."""
    if not up:
        return unknown("the loss does not read the tokens' own log-probabilities")
    pushes = [*up, *([-d for d in down] if signed else [])]
    low, high = min(pushes), max(pushes)
    value = {"low": low, "high": high}
    shown = f"a weight of 1 pushes a token's log-probability by {low:.3g} to {high:.3g} at ratio 1"
    if not low > 0:
        wrong = sum(not p > 0 for p in pushes)
        return fail(
            f"{shown}: {wrong} of {len(pushes)} pushes have the wrong sign or are 0",
            "a sign is turned, a ratio is detached or clipped at 1: look at the loss term and its bounds",
            value=value,
            limit=1.0,
        )
    if high > 1.001 or low < 0.999:
        return warn(
            f"{shown}, not by 1",
            "the loss is scaled, capped below 1 (a cap on the ratio is 1 + epsilon) or of another shape than a policy "
            "gradient; learning rates do not carry over",
            value=value,
            limit=1.0,
        )
    return passed(shown, value=value, limit=1.0)


@check(
    "numerics.clip_bounds",
    when="before",
    question="Do the clip bounds let the first step through and still act before the policy is another one?",
    limit="at most 1 % of the weighted tokens without gradient before the first step; a bound between ratios 1 and 5",
)
def clip_bounds(
    lost: int, weighted: int, above: float | None, below: float | None, *, spread: float, asked: bool = True
) -> Verdict:
    """Where a policy loss stops to act.

    lost, weighted  tokens with a weight, and those of them without gradient, in the run's own first batch
    above, below    the first ratio above 1 without gradient at a positive weight, and below 1 at a negative one;
                    None where there is none between 1/20 and 20
    spread          largest |ratio - 1| of the first batch
    asked           whether the loss clips at all
    """
    if weighted == 0:
        return unknown("no token has a weight")
    share = lost / weighted
    value = {"lost": share, "above": above, "below": below, "spread": spread}
    shown = f"gradient vanishes above ratio {_bound(above)} and below {_bound(below)}"
    tight = [b for b in (above, below) if b is not None and abs(b - 1) < 1e-4]
    if share > 0.01 or tight:
        return fail(
            f"{lost} of {weighted} weighted tokens have no gradient before the first step; {shown}; ratios are within "
            f"{spread:.1g} of 1",
            "the clip bounds are narrower than the rounding between sampler and trainer: see loss.low and loss.high",
            value=value,
            limit=0.01,
        )
    wide = asked and ((above or 20.0) > 5 or (below or 0.05) < 0.2)
    if wide:
        return warn(
            f"{shown}: a bound that is never reached clips nothing",
            "set loss.low and loss.high between 0.0001 (sequence ratios) and 0.5 (token ratios)",
            value=value,
        )
    return passed(f"{shown}; {lost} of {weighted} weighted tokens have no gradient before the first step", value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Penalty:
    """A loss as a function of how far the policy is from the reference, probed with all weights 0.

    values     log pi - log ref -> penalty, for distances on both sides of 0
    slopes     log pi - log ref -> its derivative by log pi
    expected   per toy pair of categorical distributions: exact KL(pi || ref), mean of the penalty under pi
    pull       per pair: mean under pi of slope x score, projected on the KL's own gradient and relative to it
    """

    values: dict[float, float]
    slopes: dict[float, float]
    expected: Sequence[tuple[float, float]]
    pull: Sequence[float]


@check(
    "numerics.kl_penalty",
    when="before",
    question="Does the KL penalty grow in both directions, pull back to the reference, and stay bounded?",
    limit="values not negative; gradient at 7 nats above the reference at most 8 times the coefficient, where the k3 "
    "estimator has 1 and k2 has 7, and k3 with its sign turned 1,096",
)
def kl_penalty(penalty: Penalty | None, coefficient: float | None = None) -> Verdict:
    """penalty: None where rows have a reference and the loss does not react to it; coefficient: as configured."""
    if penalty is None:
        return fail(
            "the rows have log-probabilities of a reference, and the loss does not react to them",
            "the KL penalty is not in the loss: look at kl.coefficient and at the loss that the recipe builds",
        )
    strength = _strength(penalty)
    value = {"coefficient": strength, "values": _keys(penalty.values), "slopes": _keys(penalty.slopes)}
    negative = {d: v for d, v in penalty.values.items() if v < -1e-9}
    far = penalty.slopes[max(penalty.slopes)]
    advice = "look at the estimator and its sign: k3 is exp(d) - d - 1 with d = log ref - log pi, added to the loss"
    if _linear(penalty):
        return warn(
            "the penalty is linear in log pi - log ref (k1): as a loss it has no gradient in expectation",
            'set kl.estimator = "k3" or "k2", or kl.where = "reward"',
            value=value,
        )
    if negative or min(penalty.pull) <= 0:
        return fail(
            f"moving away from the reference lowers the loss: {_shown(negative or penalty.values)}; "
            f"pull towards it {min(penalty.pull):+.2g} times the KL's",
            advice,
            value=value,
        )
    if far > 8 * strength:
        return fail(
            f"7 nats above the reference the penalty's gradient is {far / strength:.0f} times its coefficient, "
            "so that one token can throw the policy out",
            advice,
            value=value,
            limit=8.0,
        )
    if coefficient is not None and not 0.5 <= strength / coefficient <= 2:
        return fail(
            f"the loss penalises the KL with {strength:.3g}, configured is {coefficient:.3g}",
            "look at what the recipe makes of kl.coefficient",
            value=value,
            limit=coefficient,
        )
    return passed(f"penalty of {strength:.3g} times the KL, gradient at 7 nats {far / strength:.2g} of it", value=value)


@check(
    "numerics.samples_are_apart",
    when="before",
    question="Is a sample's loss its own: does it change with neither its batch mates nor the padding?",
    limit="no derivative by another sample's log-probabilities, and no change with what stands at padding",
)
def samples_are_apart(foreign: float, own: float, padding: float) -> Verdict:
    """foreign, own: size of the derivative of one sample's loss by the others' and by its own log-probabilities;
    padding: largest change of the loss at trained tokens when what stands at padding changes."""
    value = {"foreign": foreign, "own": own, "padding": padding}
    if foreign > 1e-6 * max(own, 1e-6) or padding > 1e-6:
        return fail(
            f"the derivative of a sample's loss by the others' log-probabilities is {foreign:.2g} (by its own "
            f"{own:.2g}); padding changes the loss by {padding:.2g}",
            "a loss over tokens neither averages nor masks: the reduction does, once for the whole step",
            value=value,
            limit=0.0,
        )
    return passed("a sample's loss depends on its own tokens alone", value=value, limit=0.0)


def _strength(penalty: Penalty) -> float:
    """The curvature at the reference, from the smallest probed distance on either side."""
    near = min(abs(d) for d in penalty.values if d)
    around = [v for d, v in penalty.values.items() if abs(d) == near]
    return max(2 * sum(around) / len(around) / near**2, 1e-12)


def _linear(penalty: Penalty) -> bool:
    slopes = list(penalty.slopes.values())
    return max(slopes) - min(slopes) < 1e-3 * max(abs(s) for s in slopes)


def _bound(value: float | None) -> str:
    return "nowhere" if value is None else f"{value:.4g}"


def _shown(values: dict[float, float]) -> str:
    return ", ".join(f"{v:+.2g} at {d:+g} nats" for d, v in list(values.items())[:3])


def _keys(values: dict[float, float]) -> dict[str, float]:
    return {f"{d:+g}": v for d, v in values.items()}
