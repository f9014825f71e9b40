"""Does a step do what it says: what should move moves, in the right direction, and what samples follows."""

from __future__ import annotations

from collections.abc import Sequence

from trueloop.checks.base import Verdict, check, fail, listed, passed


@check(
    "liveness.tensors_moved",
    when="before",
    question="Does one optimizer step move the weights that it trains?",
    limit="every trained tensor with a gradient changes: an update that rounds to nothing trains nothing",
)
def tensors_moved(moved: Sequence[str], still: Sequence[str]) -> Verdict:
    """moved, still: names of the trained tensors that had a gradient, by whether the step changed them."""
    value = {"moved": len(moved), "still": len(still)}
    if not moved:
        return fail(
            f"none of {len(still)} trained tensors changed in one optimizer step",
            "look at optim.lr, at the adapter's targets and whether it is trainable, and at the reward",
            value=value,
        )
    if still:
        return fail(
            f"{len(still)} of {len(moved) + len(still)} trained tensors had a gradient and did not change: "
            f"{listed(still)}",
            "look at the update's size against the weights' type (master weights are float32) and at optim.lr",
            value=value,
        )
    return passed(f"all {len(moved)} trained tensors with a gradient changed", value=value)
