"""The optimizer while it runs: finite numbers, gradients, updates, and weights that move."""

from __future__ import annotations

import math
import statistics

from trueloop.checks.base import Verdict, check, fail, listed, passed, unknown, warn
from trueloop.checks.running.seen import FIRST, Seen, number, numbers, streak

SPIKE = 10.0
"""Times its running median beyond which a gradient norm is a spike: the limit of every collapse on record."""

EXPLODED = 100.0
STILL = 3
FLAT_OUT = 0.9
"""Share of the learning rate by which weights move at the root mean square when Adam has no memory: every number moves
by the whole of it.  With its moments filled a step moves them by a fraction."""


@check(
    "optimizer.finite",
    when="during",
    question="Is every number of the step finite?",
    limit="none is nan or infinite: weights, losses, gradients and metrics",
)
def finite(seen: Seen) -> Verdict:
    """Every number of the row, the sample of the weights among them."""
    wrong = [f"{name} = {value}" for name, value in numbers(seen.row) if not math.isfinite(value)]
    if broken := seen.now("weights/not_finite"):
        wrong.insert(0, f"{broken:g} tensors of the weights")
    if wrong:
        return fail(
            f"not finite: {listed(wrong)}",
            "replay the saved batch from the last checkpoint (failures/); lower optim.lr, set optim.max_grad_norm",
            value=wrong[:8],
        )
    return passed("every number of the step is finite")


@check(
    "optimizer.gradient_spike",
    when="during",
    question="Is the gradient as large as it usually is?",
    limit=f"{SPIKE:g} times the running median is a spike; two in three steps, or {EXPLODED:g} times it, an explosion",
)
def gradient_spike(seen: Seen) -> Verdict:
    """The norm before clipping against the median of the steps that had a gradient, and whose groups had signal."""
    now = seen.now("grad_norm")
    known = [x for row in seen.with_signal() if (x := number(row.get("grad_norm")))]
    if now is None or len(known) < FIRST:
        return unknown(f"fewer than {FIRST} steps with signal to compare it with")
    usual = statistics.median(known)
    shown = f"gradient norm {now:.3g}, {now / usual:.3g} times the median {usual:.3g} of the steps before"
    advice = "look at the step's rollouts; lower optim.lr, set optim.max_grad_norm, check the ratios and the KL"
    recent = [x > SPIKE * usual for x in (seen.last("grad_norm", 3) or [])]
    if now > EXPLODED * usual or (now > SPIKE * usual and sum(recent) >= 2):
        return fail(shown, advice, value=now / usual, limit=SPIKE)
    if now > SPIKE * usual:
        return warn(shown, advice, value=now / usual, limit=SPIKE)
    return passed(shown, value=now / usual, limit=SPIKE)


@check(
    "optimizer.gradient_trend",
    when="during",
    question="Does the gradient stay at the size that it began with?",
    limit="the median of eight steps below 8 times that of the first eight; 30 times is a fail; a thousandth is a warn",
)
def gradient_trend(seen: Seen) -> Verdict:
    """A rise that is too slow for a spike: it moves the running median along."""
    began = [
        x for row in seen.beginning if number(row.get("groups/flat")) != 1.0 and (x := number(row.get("grad_norm")))
    ]
    recent = [x for row in seen.with_signal()[-FIRST:] if (x := number(row.get("grad_norm")))]
    if len(began) < FIRST // 2 or len(recent) < FIRST or seen.steps < 2 * FIRST:
        return unknown(f"fewer than {2 * FIRST} steps with signal, or none at the start")
    times = statistics.median(recent) / statistics.median(began)
    shown = f"the gradient's median over {FIRST} steps is {times:.3g} times that of the first {FIRST}"
    advice = "the policy drifts or the objective sharpens: lower optim.lr, add a KL penalty, look at entropy and length"
    if times > 30:
        return fail(shown, advice, value=times, limit=30.0)
    if times > 8:
        return warn(shown, advice, value=times, limit=8.0)
    if times < 1e-3:
        return warn(f"{shown}: it vanishes", "look at advantages, masks and the loss's scale", value=times, limit=1e-3)
    return passed(shown, value=times, limit=8.0)


@check(
    "optimizer.gradient_vanished",
    when="during",
    question="Is there a gradient where there is signal?",
    limit=f"no {STILL} steps in a row without one although rows carried weight",
)
def gradient_vanished(seen: Seen) -> Verdict:
    """Steps of norm 0 in which some stream had a row whose weights were not all zero."""
    norms = seen.last("grad_norm", STILL)
    if norms is None:
        return unknown(f"fewer than {STILL} steps")
    weighty = all(any((number(row.get(k)) or 0) < 1 for k in seen.named("/silent")) for row in list(seen.rows)[-STILL:])
    if not any(norms) and weighty:
        return fail(
            f"the gradient was exactly 0 in {STILL} steps in a row, although rows carried weight",
            "something cuts the gradient off: look at masks, clipping bounds, detached tensors and frozen parameters",
            value=STILL,
        )
    return passed("steps with signal have a gradient")


@check(
    "optimizer.weights_moved",
    when="during",
    question="Do the weights move with every step that has a gradient?",
    limit=f"no {STILL} such steps among the latest 16 that changed none of a sample of the weights",
)
def weights_moved(seen: Seen) -> Verdict:
    """A step that counts as taken and changed nothing; the sample has numbers of every trained tensor."""
    rows = [r for r in list(seen.rows)[-16:] if number(r.get("weights/changed")) is not None]
    due = [r for r in rows if (number(r.get("grad_norm")) or 0) > 0 and (number(r.get("lr")) or 0) > 0]
    still = [r["step"] for r in due if number(r.get("weights/changed")) == 0]
    if len(still) >= STILL:
        return fail(
            f"{len(still)} of the latest {len(due)} steps with a gradient changed no weight (steps {listed(still, 5)})",
            "the optimizer skips steps, holds other parameters, or optim.lr is too small for the weights' precision",
            value=len(still),
            limit=STILL,
        )
    if not due:
        return unknown("no step with a gradient yet")
    return passed(f"{len(due) - len(still)} of the latest {len(due)} steps with a gradient moved the weights")


@check(
    "optimizer.update_size",
    when="during",
    question="Do the weights move as far as the learning rate says?",
    limit="AdamW moves a weight by at most a few learning rates: at the root mean square 10, and 10 times the median",
)
def update_size(seen: Seen) -> Verdict:
    """The sample's root mean square change over the learning rate of the row."""
    now, usual = seen.now("weights/update"), seen.usual("weights/update")
    if now is None:
        return unknown("no step that moved the weights")
    shown = f"weights moved by {now:.3g} learning rates at the root mean square"
    advice = "the optimizer does not use the learning rate of the schedule, or something else writes into the weights"
    if now > 10:
        return fail(shown, advice, value=now, limit=10.0)
    if usual is not None and now > SPIKE * usual:
        return warn(f"{shown}, {now / usual:.3g} times the median", advice, value=now, limit=SPIKE * usual)
    return passed(shown, value=now, limit=10.0)


@check(
    "optimizer.memory",
    when="during",
    question="Does the optimizer keep its moments from step to step?",
    limit=f"after a history well below it, no step moves the weights by {FLAT_OUT:g} learning rates again",
)
def memory(seen: Seen) -> Verdict:
    """Adam's first step moves every weight by the whole learning rate; a later one that does has lost its moments."""
    now, recent = seen.now("weights/update"), seen.before("weights/update")[-FIRST:]
    if now is None or len(recent) < FIRST // 2:
        return unknown("too few steps that moved the weights")
    usual = statistics.median(recent)
    shown = f"weights moved by {now:.3g} learning rates, usually by {usual:.3g}"
    if now >= FLAT_OUT and usual < 0.6 * now:
        return warn(
            f"{shown}: as in Adam's first step",
            "the optimizer was made anew or its moments were lost: look at what resumes or rebuilds it",
            value=now,
            limit=FLAT_OUT,
        )
    return passed(shown, value=now, limit=FLAT_OUT)


@check(
    "optimizer.learning_rate",
    when="during",
    question="Is the learning rate the one that was asked for?",
    limit="never above optim.lr; not 0 for ten steps before the last tenth of the run",
)
def learning_rate(seen: Seen) -> Verdict:
    """The rate that the step says it used."""
    now, most = seen.now("lr"), seen.setup.lr
    if now is None:
        return unknown("the step does not say its learning rate")
    if now > most * (1 + 1e-6):
        return fail(
            f"the step used a learning rate of {now:.3g}, above optim.lr = {most:.3g}",
            "look at optim.schedule and at whatever else sets the rate",
            value=now,
            limit=most,
        )
    last = seen.last("lr", 10)
    if last is not None and not any(last) and seen.steps < 0.9 * seen.setup.steps:
        return fail(
            "the learning rate was 0 in ten steps in a row",
            "look at optim.schedule: its end is before the run's, or its warm-up does not rise",
            value=0.0,
        )
    return passed(f"learning rate {now:.3g}", value=now, limit=most)


@check(
    "optimizer.trained",
    when="during",
    question="Has any step changed the weights?",
    limit="some step of the first 10, and of the whole run; a run without one has trained nothing",
)
def trained(seen: Seen, *, ended: bool = False) -> Verdict:
    """ended: the run is over, so that no later step can change anything."""
    still = streak([r["version"] == b["version"] for b, r in zip(list(seen.rows), list(seen.rows)[1:], strict=False)])
    advice = (
        "look at the rollouts and their scores in the trace and at the reward; make the problems or the verdict milder "
        "(leniency, few-shot examples, a warm start), or draw more samples per problem (flow.samples)"
    )
    value = {"steps": seen.steps, "moved": seen.moved}
    if not seen.moved and seen.steps and (ended or seen.steps >= 10):
        return fail(f"none of {seen.steps} steps changed a weight: {why_still(seen)}", advice, value=value)
    if (not seen.moved and seen.steps >= 5) or still >= 10:
        shown = f"the latest {max(still, 0 if seen.moved else seen.steps)} steps changed nothing: {why_still(seen)}"
        return warn(shown, advice, value=value)
    if not seen.moved:
        return unknown("no step has changed a weight yet")
    return passed(f"{seen.moved} of {seen.steps} steps changed the weights", value=value)


def why_still(seen: Seen) -> str:
    """Why the latest steps changed nothing, as far as their rows tell."""
    flat = all(row.get("groups/flat") == 1.0 for row in list(seen.rows)[-5:])
    return "in all their groups all rewards agree" if flat else "their gradient was zero"
