"""Whether an update survives in the numbers that hold the weights, and leaves a policy."""

from __future__ import annotations

from collections.abc import Mapping

from trueloop.checks.base import Verdict, check, fail, listed, passed, unknown, warn


@check(
    "numerics.master_weights",
    when="before",
    question="Are trained weights, gradients and optimizer state float32?",
    limit="all of them: halves lose updates below one part in 256 of a weight, and squared gradients below 1e-8",
)
def master_weights(types: Mapping[str, Mapping[str, str]]) -> Verdict:
    """types: weights / gradients / optimizer state -> name of a tensor -> its type."""
    wrong = [f"{name} ({kind}): {t}" for kind, own in types.items() for name, t in own.items() if t != "float32"]
    counted = {kind: len(own) for kind, own in types.items()}
    if not any(counted.values()):
        return unknown("no trained tensor was seen")
    if wrong:
        return fail(
            f"{len(wrong)} tensors are not float32: {listed(wrong)}",
            "load the policy in float32 and choose bfloat16 as batching.compute_dtype",
            value=counted,
        )
    return passed(f"all float32: {counted}", value=counted)


@check(
    "numerics.update_survives",
    when="before",
    question="Does one update change the weights that it should?",
    limit="90 % of the entries with a gradient change; below half the run trains something else than it says",
)
def update_survives(changed: int, reached: int, *, lr: float, steps: float) -> Verdict:
    """changed, reached: entries with a gradient, and those of them whose value changed in one step; lr: of that step;
    steps: median size of lr in units of the weights' last digit."""
    if reached == 0:
        return unknown("no entry has a gradient")
    share = changed / reached
    value = {"changed": share, "lr": lr, "ulps": steps}
    shown = f"{share:.1%} of {reached} entries with a gradient changed at a learning rate of {lr:.2g}"
    shown += f", which is {steps:.2g} times the last digit of the median weight"
    advice = "look at optim.lr and at the type of the weights: the update is rounded away"
    if share < 0.5:
        return fail(shown, advice, value=value, limit=0.9)
    if share < 0.9:
        return warn(shown, advice, value=value, limit=0.9)
    return passed(shown, value=value, limit=0.9)
