"""The weights that a run starts from, as numbers."""

from __future__ import annotations

from collections.abc import Sequence

from trueloop.checks.base import Verdict, check, fail, listed, passed, unknown


@check(
    "weights.finite",
    when="before",
    question="Is every weight of the policy a finite number?",
    limit="exact: one weight that is not makes every log-probability behind it nan",
)
def finite(broken: Sequence[str], n: int) -> Verdict:
    """Names of the tensors, of `n`, that hold a value that is not finite."""
    if not n:
        return unknown("the model has no weights")
    if broken:
        return fail(
            f"{len(broken)} of {n} weight tensors hold nan or inf: {listed(broken)}",
            "look at the checkpoint, at the type that it was saved in, and at the steps before it",
            value=len(broken),
        )
    return passed(f"all {n} weight tensors are finite", value=0)
