"""Does a step do what it says: what should move moves, in the right direction, and what samples follows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trueloop.checks.base import Verdict, check, fail, listed, passed, unknown, warn

ROUNDING = 2.0**-25
"""Half of the last bit of a float32, relative to it: a smaller change rounds to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorStep:
    """What the first step did to one trained tensor that had a gradient.

    reached   elements whose gradient is not 0
    changed   of those, how many the step changed
    moved     mean absolute change of those, weight decay taken off
    expected  the mean absolute change that AdamW makes in its first step at the step's learning rate
    along     mean of change times gradient, over the mean of their absolute values: -1 is straight downhill
    weight    root mean square of the tensor before
    """

    name: str
    reached: int
    changed: int
    moved: float
    expected: float
    along: float
    weight: float

    @property
    def rounds_away(self) -> bool:
        """Whether a step of the expected size is lost in the type's rounding."""
        return self.expected < self.weight * ROUNDING

    @property
    def ratio(self) -> float:
        """How many times the expected step was taken."""
        return self.moved / self.expected if self.expected else math.nan


@check(
    "liveness.trained_tensors",
    when="before",
    question="Does the run train the tensors that it is meant to?",
    limit="every weight, or every weight of the adapter and nothing else; frozen: a warning up to half of the weights, "
    "beyond that a fail",
)
def trained_tensors(trained: Mapping[str, int], meant: Mapping[str, int], adapter: bool) -> Verdict:
    """trained, meant: tensor name -> number of weights, as the trainer holds them and as the configuration says."""
    whole = sum(meant.values())
    missing = [name for name in meant if name not in trained]
    extra = [name for name in trained if name not in meant]
    frozen = sum(meant[name] for name in missing) / whole if whole else 1.0
    value = {"trained": sum(trained.values()), "meant": whole, "frozen_share": frozen}
    what = "the adapter's weights" if adapter else "the model's weights"
    advice = "nothing in the configuration freezes weights: look at requires_grad of the model that was loaded"
    if adapter:
        advice = "load the adapter as trainable (PEFT: is_trainable=True), and look at adapter.targets"
    if not trained or not whole:
        return fail(f"nothing is trained: none of {len(meant)} tensors of {what}", advice, value=value)
    if missing:
        said = f"{len(missing)} of {len(meant)} tensors, {frozen:.0%} of {what}, are frozen: {listed(missing)}"
        return (fail if frozen > 0.5 else warn)(said, advice, value=value)
    if extra:
        return warn(
            f"{len(extra)} tensors are trained that do not belong to {what}: {listed(extra)}",
            "look at requires_grad of the base's weights: only the adapter is saved and served",
            value=value,
        )
    return passed(f"{value['trained']:,} weights in {len(trained)} tensors: all of {what}", value=value)


@check(
    "liveness.first_step",
    when="before",
    question="Can a first batch be sampled and a first step be taken?",
    limit="nothing raises on the way",
)
def first_step(error: str | None) -> Verdict:
    """error: the message of what was raised; None for nothing."""
    if error is not None:
        return fail(error, "mend what the message names; what else was asked stands above", value=False)
    return passed("a first batch was sampled and a step taken and taken back", value=True)


@check(
    "liveness.tensors_moved",
    when="before",
    question="Does one optimizer step move the weights that it trains?",
    limit="every trained tensor with a gradient changes: an update that rounds to nothing trains nothing",
)
def tensors_moved(steps: Sequence[TensorStep], unreached: Sequence[str], *, learned: bool = True) -> Verdict:
    """steps: the trained tensors that had a gradient.  unreached: names of those that had none.

    learned  False where a warm start comes first, so that a loss may have nothing to say yet
    """
    still = [s for s in steps if not s.changed]
    value = {"moved": len(steps) - len(still), "still": len(still), "without_gradient": len(unreached)}
    if not steps and not learned:
        return unknown(f"none of {len(unreached)} trained tensors has a gradient yet; a warm start comes first")
    if not steps:
        return fail(
            f"none of {len(unreached)} trained tensors has a gradient",
            "look at the loss: does it depend on the policy's log-probabilities, and are there weights that are not 0?",
            value=value,
        )
    if len(still) == len(steps):
        return fail(
            f"none of {len(still)} trained tensors changed in one optimizer step",
            "look at optim.lr, at what the optimizer holds and whether it steps at all",
            value=value,
        )
    lost = [s for s in still if not s.rounds_away]
    if lost:
        return fail(
            f"{len(lost)} of {len(steps)} trained tensors had a gradient and did not change: "
            f"{listed([s.name for s in lost])}",
            "look at the optimizer's parameter groups: these are in none, or in one with learning rate 0",
            value=value,
        )
    if still:
        return warn(
            f"in {len(still)} of {len(steps)} trained tensors every step rounds to nothing in float32: "
            f"{listed([s.name for s in still])}",
            "raise optim.lr: a step is smaller than the last bit of these weights",
            value=value,
        )
    if unreached:
        return warn(
            f"{len(unreached)} trained tensors get no gradient: {listed(unreached)}",
            "look for parts of the model that the loss cannot reach (a detached output, an unused layer)",
            value=value,
        )
    return passed(f"all {len(steps)} trained tensors changed", value=value)


@check(
    "liveness.frozen_tensors",
    when="before",
    question="Does everything that is not trained stay as it was?",
    limit="bit by bit, over one optimizer step",
)
def frozen_tensors(changed: Sequence[str], held: int) -> Verdict:
    """changed: names of tensors outside of what is trained that a step changed; held: how many there are."""
    if changed:
        return fail(
            f"{len(changed)} of {held} tensors that are not trained changed in one optimizer step: {listed(changed)}",
            "look at what the optimizer was given, and at buffers that a forward pass updates (batch statistics)",
            value=len(changed),
            limit=0,
        )
    return passed(f"none of {held} tensors that are not trained changed", value=0, limit=0)


@check(
    "liveness.update_size",
    when="before",
    question="Is the step as large as the learning rate says?",
    limit="AdamW's first step is lr per weight with a gradient, whatever the gradient's size: within a factor of 1.5 "
    "in each tensor (float32 rounding taken into account), and 90 % of those weights change",
)
def update_size(steps: Sequence[TensorStep], lr: float, scaling: float | None, altered: bool) -> Verdict:
    """lr: of the step; scaling: alpha / rank of an adapter; altered: interventions change gradients or updates."""
    measurable = [s for s in steps if s.changed and s.expected > s.weight * ROUNDING * 8]
    also = "" if scaling is None else f"; lr x (alpha / rank) = {lr * scaling:.2g}"
    if not measurable:
        return unknown(f"no trained tensor moved measurably at a learning rate of {lr:g}{also}", "raise optim.lr")
    reached, changed = sum(s.reached for s in measurable), sum(s.changed for s in measurable)
    overall = sum(s.moved * s.reached for s in measurable) / sum(s.expected * s.reached for s in measurable)
    odd = sorted((s for s in measurable if not 1 / 1.5 < s.ratio < 1.5), key=lambda s: s.ratio)
    value = {"lr": lr, "times_expected": overall, "odd_tensors": len(odd), "changed_share": changed / reached}
    if scaling is not None:
        value["lr_times_scaling"] = lr * scaling
    said = f"the mean change is {overall:.3g} times what AdamW's first step makes at a learning rate of {lr:g}{also}"
    if altered:
        return unknown(f"{said}; interventions change the update, so there is no size to expect", value=value)
    if odd:
        names = [f"{s.name} ({s.ratio:.2g} times)" for s in (odd[0], odd[-1])[: len(odd)]]
        return fail(
            f"{said}; {len(odd)} of {len(measurable)} tensors are off: {listed(names)}",
            "look at the optimizer's parameter groups and at optim.lr: what is configured is not what is used",
            value=value,
        )
    if changed < 0.9 * reached:
        return warn(
            f"only {changed / reached:.0%} of the weights with a gradient changed: the rest rounds away",
            "raise optim.lr, or keep master weights in float32",
            value=value,
        )
    return passed(f"{said}; {changed / reached:.1%} of the weights with a gradient changed", value=value)


@check(
    "liveness.downhill",
    when="before",
    question="Does the optimizer step against the gradient of the loss?",
    limit="change times gradient is negative in the sum over all weights; AdamW's first step gives -1",
)
def downhill(steps: Sequence[TensorStep]) -> Verdict:
    """steps: the trained tensors that had a gradient."""
    moved = [s for s in steps if s.changed]
    if not moved:
        return unknown("no tensor moved")
    along = sum(s.along * s.reached for s in moved) / sum(s.reached for s in moved)
    said = f"change and gradient agree to {along:+.2f} (-1: straight against the gradient)"
    if along > 0:
        advice = "look for a flipped sign: an optimizer that maximizes, an intervention that negates"
        return fail(said, advice, value=along, limit=0)
    if along > -0.5:
        return warn(said, "look at what is done to the gradient or the update after the loss", value=along, limit=-0.5)
    return passed(said, value=along, limit=-0.5)
