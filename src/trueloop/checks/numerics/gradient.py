"""The gradient and what is reported of a step: independent of the layout, the slope of the loss, of a sane size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trueloop.checks.base import Verdict, check, fail, listed, passed, unknown, warn


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way to run the same rows: the gradient's relative distance from that of the run's own layout, the ratio of
    their norms, and the reported loss and denominators."""

    words: str
    distance: float
    norm_ratio: float
    loss: float
    denominators: Mapping[str, float]


@check(
    "numerics.layout_invariant",
    when="before",
    question="Is the step the same whatever the micro-batches, the padding, the shared prefixes and the order of rows?",
    limit="relative distance of gradients 1e-3 in float32 and 0.1 in bfloat16; equal denominators",
)
def layout_invariant(
    own: Layout | None, others: Sequence[Layout], *, limit: float = 1e-3, scale: float = 1.0
) -> Verdict:
    """own: the run's layout; others: the same rows otherwise; scale: size of the loss's terms, for its rounding."""
    if own is None or not others:
        return unknown("no row to lay out")
    value = {o.words: o.distance for o in others}
    wrong = [o for o in others if not o.distance <= limit]
    if wrong:
        worst = max(wrong, key=lambda o: o.distance)
        return fail(
            f"with {worst.words} the gradient is {worst.distance:.2g} of its norm away and {worst.norm_ratio:.3g} "
            "times as long",
            "something averages inside a micro-batch, reads padding, or mixes rows: the denominator is counted once "
            "over the whole step; try batching.shared_prefix = false",
            value=value,
            limit=limit,
        )
    counts = [o for o in others if dict(o.denominators) != dict(own.denominators)]
    losses = [o for o in others if abs(o.loss - own.loss) > limit * max(abs(own.loss), scale)]
    if counts or losses:
        odd = (counts or losses)[0]
        return fail(
            f"with {odd.words} the step reports loss {odd.loss:.6g} and denominators {dict(odd.denominators)}, "
            f"else {own.loss:.6g} and {dict(own.denominators)}",
            "the reported loss is not that of the whole step",
            value=value,
            limit=limit,
        )
    return passed(
        f"gradients of {len(others)} other layouts agree to {max(value.values()):.1g}", value=value, limit=limit
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A number of the step's report beside the same computed again."""

    name: str
    reported: float
    recomputed: float
    scale: float = 0.0


@check(
    "numerics.report_is_true",
    when="before",
    question="Are the loss, the gradient norm, the denominators and the counts that a step reports those of its rows?",
    limit="1e-3 of the value or of its terms in float32, 0.05 in bfloat16; counts exactly",
)
def report_is_true(rows: Sequence[Reported], odd: Sequence[str] = (), *, limit: float = 1e-3) -> Verdict:
    """rows: pairs of numbers; odd: metrics that cannot be right, each in words."""
    if not rows:
        return unknown("no step was reported")
    wrong = [r for r in rows if not abs(r.reported - r.recomputed) <= limit * max(abs(r.recomputed), r.scale)]
    value = {r.name: [r.reported, r.recomputed] for r in rows}
    if wrong:
        return fail(
            listed([f"{r.name} is reported as {r.reported:.6g} and is {r.recomputed:.6g}" for r in wrong]),
            "the loss is scaled or summed over other tokens than it says: look at the masks, the reduction, the "
            "coefficients and what is added up over micro-batches",
            value=value,
            limit=limit,
        )
    if odd:
        return warn(listed(odd), "a metric that was not computed must be absent", value=value, limit=limit)
    return passed(f"{len(rows)} reported numbers agree with what was computed again", value=value, limit=limit)


@check(
    "numerics.gradient_is_slope",
    when="before",
    question="Is the gradient the slope of what is optimised?",
    limit="the slope along the gradient within 20 % of its norm (30 % in bfloat16), by a central difference",
)
def gradient_is_slope(norm: float, slope: float, *, limit: float = 0.2) -> Verdict:
    """norm: of the gradient; slope: change of the objective per unit of distance along it, measured."""
    if norm == 0 or not math.isfinite(slope):
        return unknown("there is no gradient to follow")
    ratio = slope / norm
    shown = f"gradient norm {norm:.4g}, measured slope along it {slope:.4g}"
    if abs(ratio - 1) <= limit:
        return passed(shown, value=ratio, limit=limit)
    return fail(
        f"{shown}: {ratio:.3g} of it",
        "what is differentiated is not what is computed: a detached part, a hook or a factor on the gradient, "
        "micro-batches that overwrite each other, a turned sign",
        value=ratio,
        limit=limit,
    )


@check(
    "numerics.gradient_size",
    when="before",
    question="Is the first gradient finite, not zero, and of a size that clipping and Adam can work with?",
    limit="norm between 1e-6 and 1e3; clipped to no less than 1/1000 of it; Adam's eps below the median gradient",
)
def gradient_size(norm: float, *, max_norm: float | None, median: float, eps: float, mean_weight: float) -> Verdict:
    """norm: before clipping; median: of |g| over entries that are not 0, after clipping; eps: Adam's; mean_weight: of
    the rows, in size, so that the scale of the rewards shows."""
    value = {"norm": norm, "median": median, "eps": eps, "max_norm": max_norm, "weights": mean_weight}
    if not math.isfinite(norm):
        return fail(f"the gradient norm is {norm}", "look at ratios and exponentials in the loss", value=value)
    if norm == 0.0:
        return unknown("the gradient is 0: no row has a weight", value=value)
    if not 1e-6 <= norm <= 1e3:
        return warn(
            f"the gradient norm is {norm:.2g} with weights of {mean_weight:.2g} in the mean",
            "look at the scale of rewards and advantages, the reduction and the coefficients",
            value=value,
        )
    if max_norm is not None and norm > 1000 * max_norm:
        return warn(
            f"the gradient of norm {norm:.2g} is cut to {max_norm:.2g}",
            "every step is clipped to nothing but its direction: raise optim.max_grad_norm",
            value=value,
            limit=max_norm,
        )
    if median < eps:
        return warn(
            f"half of the gradient's entries are below {median:.1g}, Adam's eps is {eps:.1g}",
            "their updates are far smaller than optim.lr says: lower optim.eps, or raise optim.max_grad_norm",
            value=value,
            limit=eps,
        )
    return passed(f"norm {norm:.3g}, median entry {median:.1g}, Adam's eps {eps:.0g}", value=value)
