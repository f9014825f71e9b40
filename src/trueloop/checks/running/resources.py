"""What the run stands on: disk, memory, the age of its last checkpoint, how long verdicts take.

These read the machine, not the run, so a resumed run may be told otherwise; their passes are not written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from trueloop.checks.base import Verdict, check, fail, passed, unknown, warn

MEGA = 1e6


@check(
    "resources.disk",
    when="during",
    question="Is there room for what the run still writes?",
    limit="three checkpoints and the rollouts of the steps between them; less than one checkpoint is a fail",
)
def disk(free: int, checkpoint: int | None, rollouts: float) -> Verdict:
    """free, checkpoint: bytes free and of the latest checkpoint; rollouts: bytes written between two checkpoints."""
    if checkpoint is None:
        return unknown("no checkpoint yet")
    need = checkpoint + rollouts
    shown = f"{free / MEGA:.0f} MB are free; a checkpoint with its rollouts takes {need / MEGA:.0f} MB"
    advice = "free some space; lower retention.checkpoints or retention.rollout_bytes"
    if free < need:
        return fail(shown, advice, value=free, limit=need)
    if free < 3 * need:
        return warn(shown, advice, value=free, limit=3 * need)
    return passed(shown)


@check(
    "resources.memory",
    when="during",
    question="Is there memory left?",
    limit="5 % of the machine's available is a warn, 1 % a fail: the process would be killed without a word",
)
def memory(available: int | None, total: int | None) -> Verdict:
    """Bytes, of the machine or the container's share of it."""
    if not available or not total:
        return unknown("this system does not say how much memory is available")
    share = available / total
    shown = f"{available / MEGA:.0f} of {total / MEGA:.0f} MB of memory are available"
    advice = "lower engine.cache_tokens or batching; look for other processes on this machine"
    if share < 0.01:
        return fail(shown, advice, value=share, limit=0.01)
    if share < 0.05:
        return warn(shown, advice, value=share, limit=0.05)
    return passed(shown)


@check(
    "resources.checkpoint_age",
    when="during",
    question="Is the last good checkpoint as young as was asked?",
    limit="three times loop.checkpoint_every steps",
)
def checkpoint_age(steps: int, last: int | None, every: int) -> Verdict:
    """steps: done so far; last: the step of the newest checkpoint."""
    age = steps - (last or 0)
    shown = f"the last checkpoint is {age} steps old"
    if age > 3 * every:
        advice = "checkpoints wait for a weight transfer: make loop.checkpoint_every a multiple of flow.sync_every"
        return warn(shown, advice, value=age, limit=3 * every)
    return passed(shown)


@check(
    "resources.verifier_seconds",
    when="during",
    question="Do verdicts take as long as at the start?",
    limit="the 95th percentile of a step not 5 times that of the first five and above 0.1 s, in two steps; 50 times "
    "and above 1 s is a fail",
)
def verifier_seconds(began: Sequence[float], recent: Sequence[float]) -> Verdict:
    """began, recent: the 95th percentile of a verdict's seconds, of the first five steps and of the latest two."""
    if len(began) < 5 or len(recent) < 2:
        return unknown("fewer than seven steps with verdicts")
    usual, now = median(began), min(recent)
    shown = f"95 % of the verdicts end within {now:.3g} s, {usual:.3g} s at the start"
    advice = "look at which completions take long (hung workers, long inputs), at verifier_workers and the time limit"
    if now > max(1.0, 50 * usual):
        return fail(shown, advice, value=now, limit=50 * usual)
    if now > max(0.1, 5 * usual):
        return warn(shown, advice, value=now, limit=5 * usual)
    return passed(shown)
