"""Can the recipe learn ten problems by heart: what fails here fails everywhere."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from trueloop.checks.base import Verdict, check, fail, passed, unknown, warn

LAST = 5
"""Steps whose mean is a curve's end; as many begin it."""


@check(
    "overfit.reward",
    when="before",
    question="Does the recipe reach near-full reward on a few problems?",
    limit="mean reward of the last five steps: 0.9 of the best reward that a completion got; fail where it has not "
    "come a quarter of the way",
)
def reward(rewards: Sequence[float], best: float, problems: int) -> Verdict:
    """rewards: mean reward of each step.  best: the highest reward of a completion in the run."""
    if len(rewards) < 2 * LAST:
        return unknown(f"{len(rewards)} steps are too few to see a rise", "ask for more steps")
    first, last = statistics.fmean(rewards[:LAST]), statistics.fmean(rewards[-LAST:])
    value = {"first": first, "last": last, "best": best, "steps": len(rewards)}
    said = f"reward on {problems} problems: {first:.3g} -> {last:.3g} in {len(rewards)} steps (best so far {best:.3g})"
    advice = "look at the liveness checks, at optim.lr, and at which of the problems no completion ever solves"
    if best <= first and last <= first:
        return unknown(f"{said}: nothing is left to gain", "take harder problems", value=value)
    if last >= 0.9 * best:
        return passed(said, value=value, limit=0.9)
    if last - first < 0.25 * (best - first):
        return fail(f"{said}: it does not learn them", advice, value=value, limit=0.9)
    return warn(f"{said}: on its way, not there", f"ask for more steps, or {advice}", value=value, limit=0.9)


@check(
    "overfit.loss",
    when="before",
    question="Does the training loss on a few rows come near its floor?",
    limit="mean loss of the last five steps: below 0.1 nats per token, or a tenth of the first five's; fail where less "
    "than half of it is gone",
)
def loss(losses: Sequence[float], rows: int) -> Verdict:
    """losses: mean negative log-probability per token of each step."""
    if len(losses) < 2 * LAST:
        return unknown(f"{len(losses)} steps are too few to see a fall", "ask for more steps")
    first, last = statistics.fmean(losses[:LAST]), statistics.fmean(losses[-LAST:])
    value = {"first": first, "last": last, "steps": len(losses)}
    said = f"loss on {rows} rows: {first:.3g} -> {last:.3g} nats per token in {len(losses)} steps"
    advice = "look at the liveness checks and at optim.lr"
    if last <= max(0.1, 0.1 * first):
        return passed(said, value=value, limit=0.1)
    if not last <= 0.5 * first:
        return fail(f"{said}: it does not learn them", advice, value=value, limit=0.5)
    return warn(f"{said}: on its way, not there", f"ask for more steps, or {advice}", value=value, limit=0.1)
