"""Does the schedule train at all, keep what it trains, and fit into the machine: everything that arithmetic can say."""

from __future__ import annotations

import math
from collections.abc import Mapping

from trueloop.checks.base import Verdict, check, fail, passed, unknown, warn

SINGLE = 2.0**-24
"""Relative change that float32 can just hold."""


@check(
    "schedule.learning_rate",
    when="before",
    question="Does the schedule let the run train at its learning rate?",
    limit="the highest rate of the run: warning below half of optim.lr, fail below a tenth (a warm-up that the run "
    "never leaves); steps at 1 % of it: warning from a tenth of the run, fail from a half (a decay that ends early)",
)
def learning_rate(rates: Mapping[int, float], lr: float) -> Verdict:
    """rates: step (from 1) -> its learning rate, for steps spread evenly over the run, the first and last included."""
    steps, highest = max(rates), max(rates.values())
    shown = ", ".join(f"{rates[k]:.2g} at step {k}" for k in _places(rates))
    dead = sum(rate <= 0.01 * lr for step, rate in rates.items()) / len(rates)
    value = {"highest": highest, "lr": lr, "dead_share": dead, "rates": {str(k): rates[k] for k in _places(rates)}}
    said = f"learning rate {shown} (optim.lr {lr:g})"
    if highest < 0.5 * lr:
        advice = (
            f"the warm-up is longer than the run of {steps} steps: lower optim.schedule.warmup, or raise loop.steps"
        )
        return (fail if highest < 0.1 * lr else warn)(said, advice, value=value)
    if dead > 0.1:
        advice = f"{dead:.0%} of the steps train nothing: set optim.schedule's steps and warmup to the run's {steps}"
        return (fail if dead > 0.5 else warn)(said, advice, value=value)
    return passed(said, value=value)


@check(
    "schedule.weight_decay",
    when="before",
    question="Does weight decay leave the model standing?",
    limit="share of a decayed weight that the run's decay alone takes: warning above 10 %, fail above 90 %",
)
def weight_decay(total: float, decay: float) -> Verdict:
    """total: sum of the learning rates of all steps; decay: the decoupled coefficient."""
    taken = 1 - math.exp(-total * decay)
    said = f"weight decay takes {taken:.2g} of each weight over the run"
    if taken > 0.1:
        return (fail if taken > 0.9 else warn)(said, "lower optim.weight_decay: it is not pulled back", value=taken)
    return passed(said, value=taken)


@check(
    "schedule.entropy_bonus",
    when="before",
    question="Does the entropy bonus reward variety, as far as it has a say?",
    limit="its coefficient lies between 0 and 0.1: below 0 it pays for certainty, above it drowns rewards of about 1",
)
def entropy_bonus(coefficient: float) -> Verdict:
    """coefficient: of the mean entropy of a token, in nats."""
    said = f"an entropy bonus of {coefficient:g} a nat"
    if coefficient < 0:
        return warn(
            said, "below 0 it pays for certainty: turn its sign, unless that is what is studied", value=coefficient
        )
    if coefficient > 0.1:
        return warn(said, "lower entropy: it says more than the reward does", value=coefficient)
    return passed(said, value=coefficient)


@check(
    "schedule.travel",
    when="before",
    question="Can the run move its weights by an amount that matters, and not by one that replaces them?",
    limit="sum of the learning rates, which is as far as AdamW moves a weight, over the weights' root mean square: "
    "fail below float32's last bit, warning below 1e-5 and above 100; one step: fail above 1, which replaces them",
)
def travel(total: float, highest: float, weight: float | None) -> Verdict:
    """total, highest: sum and largest of the learning rates of all steps.  weight: root mean square of what trains."""
    if not weight:
        return unknown("what trains is zero or unknown, so there is no size to compare with", value={"total": total})
    far, step = total / weight, highest / weight
    value = {"travel": far, "step": step}
    said = f"a weight can move by {far:.2g} of its size in the whole run, by {step:.2g} in one step"
    if step > 1:
        return fail(said, f"lower optim.lr: to {0.01 * weight:.1g} or below", value=value)
    if far < SINGLE:
        return fail(said, f"raise optim.lr: nothing that float32 can hold is trained at {highest:.1g}", value=value)
    if far < 1e-5:
        return warn(said, "raise optim.lr or loop.steps: the run hardly changes the model", value=value)
    if far > 100:
        return warn(said, "lower optim.lr, or let it decay: the run can replace every weight many times", value=value)
    return passed(said, value=value)


@check(
    "schedule.adapter_scale",
    when="before",
    question="Is the adapter's scale one at which the learning rate means what it usually means?",
    limit="alpha / rank between 1/16 and 64 (a rate copied from another adapter is off by the ratio of the two), "
    "fail beyond 1/1000 and 500",
)
def adapter_scale(scaling: float, lr: float) -> Verdict:
    """scaling: alpha / rank, as the layers apply it."""
    said = f"alpha / rank = {scaling:g}, lr x (alpha / rank) = {scaling * lr:.2g}"
    advice = "compare lr x (alpha / rank) with the run that the learning rate was taken from; set adapter.alpha"
    value = {"scaling": scaling, "lr_times_scaling": scaling * lr}
    if not 1e-3 <= scaling <= 500:
        return fail(said, advice, value=value)
    if not 1 / 16 <= scaling <= 64:
        return warn(said, advice, value=value)
    return passed(said, value=value)


@check(
    "schedule.checkpoints",
    when="before",
    question="Is there something to go back to before much is lost?",
    limit="the first checkpoint after the start comes within half of the run (runs of 10 steps and more): a collapse "
    "or a crash before it leaves nothing",
)
def checkpoints(steps: int, every: int, sync_every: int, guard_every: int | None) -> Verdict:
    """every: steps between checkpoints, taken only where the sampler is in sync; a guard evaluation saves one too."""
    apart = math.lcm(every, sync_every)
    first = min([apart] if guard_every is None else [apart, guard_every])
    value = {"first": first, "steps": steps}
    said = f"the first checkpoint after the start comes at step {first} of {steps}"
    if first > steps:
        said = f"no checkpoint before the end: every {apart} steps, of {steps}"
    if first > steps / 2 and steps >= 10:
        return warn(
            said, "lower loop.checkpoint_every (a multiple of flow.sync_every), to a tenth of the run", value=value
        )
    return passed(said, value=value)


@check(
    "schedule.guard",
    when="before",
    question="Can the guard see the run, and stop it where it is told to?",
    limit="evaluations between start and end; an early stop that can come true: as many evaluations as its patience "
    "counts, a target within what the metric can reach",
)
def guard(steps: int, every: int | None, patience: int | None, target: float | None) -> Verdict:
    """every: steps between evaluations, None without a guard.  patience, target: of its early stop, if it has one."""
    if every is None:
        return unknown("no guard is configured: nothing independent of the reward watches the run", "set guard")
    between = (steps - 1) // every
    value = {"between": between, "every": every}
    if patience is not None and 1 + -(-steps // every) <= patience:
        return warn(
            f"the early stop counts {patience} evaluations, and the run has {1 + -(-steps // every)}",
            "lower guard.every or guard.stop.evaluations",
            value=value,
        )
    if target is not None and target > 1:
        return warn(
            f"the early stop waits for {target:g}, and no share of right answers is above 1",
            "lower guard.stop.value",
            value=value,
        )
    if between == 0 and steps >= 10:
        return warn(
            f"evaluations every {every} steps, of {steps}: none between the start and the end",
            "lower guard.every: a run that falls and a run that rises look alike until then",
            value=value,
        )
    return passed(f"{between} evaluations between the start and the end", value=value)


@check(
    "schedule.passes",
    when="before",
    question="Do the steps and the data fit each other?",
    limit="passes over the data: warning above 100; "
    "data that ends before 90 % of the steps: warning, since schedules count the steps that were asked for",
)
def passes(rows: int, per_step: int, steps: int, epochs: int | None) -> Verdict:
    """rows: problems or demonstrations; per_step: of one step; epochs: how often each may come, None: without end."""
    possible = steps if epochs is None else -(-epochs * rows // per_step)
    times = min(steps, possible) * per_step / rows
    value = {"passes": times, "rows": rows, "possible_steps": possible}
    said = f"{per_step} of {rows} rows a step, {times:.2g} passes over the data in {min(steps, possible)} steps"
    if possible < 0.9 * steps:
        advice = "raise the epochs, or lower loop.steps: schedules are counted in the steps that were asked for"
        shown = f"the data ends after {possible} of {steps} steps"
        return warn(shown, advice, value=value)
    if times > 100:
        return warn(
            said, "find more data, or lower loop.steps: what is read a hundred times is learned by heart", value=value
        )
    return passed(said, value=value)


@check(
    "schedule.batch",
    when="before",
    question="Is a step large enough to say more than noise?",
    limit="completions (or rows) of a step: warning below 16; completions of a problem that are compared: below 4",
)
def batch(problems: int, samples: int, compared: bool) -> Verdict:
    """problems, samples: of one step, and of one problem.  compared: whether completions of a problem are compared."""
    value = {"problems": problems, "samples": samples}
    said = f"{problems} x {samples} = {problems * samples} rows a step"
    advice = "raise flow.problems_per_step or flow.samples (rows_per_step where nothing is sampled)"
    if compared and samples < 2:
        return fail(f"{said}: one completion of a problem has nothing to be compared with", advice, value=value)
    if problems * samples < 16 or (compared and samples < 4):
        return warn(said, advice, value=value)
    return passed(said, value=value)


@check(
    "schedule.staleness",
    when="before",
    question="Is the sampler near enough to the trainer, and what waits between them bounded?",
    limit="groups at most 8 steps old, and no more of them open than there are problems",
)
def staleness(max_staleness: int, capacity: int, problems: int) -> Verdict:
    """capacity: groups that may be open at once."""
    value = {"max_staleness": max_staleness, "capacity": capacity}
    said = f"groups up to {max_staleness} steps old, at most {capacity} of {problems} problems open at once"
    advice = "lower flow.max_staleness: what is trained on was drawn by another policy"
    return warn(said, advice, value=value) if max_staleness > 8 or capacity > problems else passed(said, value=value)


@check(
    "needs.memory",
    when="before",
    question="Does the run fit into memory?",
    limit="weights, gradients, moments, engine and cache, without activations: warning above 80 % of the device's "
    "memory, fail above all of it",
)
def memory(needed: int, there: int | None) -> Verdict:
    """Bytes: at least needed, and what the device has in all (None where that is not known)."""
    return _fits(needed, there, "memory", "lower engine.cache_tokens, train an adapter, or take a smaller model", 0.8)


@check(
    "needs.disk",
    when="before",
    question="Does what the run writes fit onto the disk?",
    limit="checkpoints that are kept, and rollouts up to their budget: warning above half of what is free, then fail",
)
def disk(needed: int, free: int | None) -> Verdict:
    """Bytes: at most needed, and free where the run is written."""
    return _fits(
        needed, free, "disk", "lower retention.rollout_bytes or retention.checkpoints, or write elsewhere", 0.5
    )


@check(
    "needs.time",
    when="before",
    question="Can the run end within a time that somebody waits?",
    limit="matrix products at 100 GFLOP/s a core (1e14 FLOP/s on a GPU), prompts not counted: warning above 30 days",
)
def time(flop: float, speed: float) -> Verdict:
    """flop: floating-point operations of the longest path; speed: of them a second."""
    days = flop / speed / 86400
    value = {"flop": flop}
    said = f"{flop:.2g} floating-point operations, {_duration(flop / speed)} at {speed:.0e} a second"
    if days > 30:
        return warn(said, "lower loop.steps, the completions' length or the model", value=value, limit=30)
    return passed(said, value=value, limit=30)


@check(
    "needs.longest_row",
    when="before",
    question="Can the longest prompt and the longest completion be served and trained?",
    limit="max_tokens below the model's context and the engine's cache: fail; longest prompt + max_tokens within both: "
    "warning beyond",
)
def longest_row(prompt: int, max_tokens: int, context: int | None, cache: int) -> Verdict:
    """Tokens: of the longest prompt, of a completion at most, of the model's context, and of the engine's cache."""
    room = min(cache, context if context is not None else cache)
    whose = "engine.cache_tokens" if context is None or cache < context else "the model's context"
    value = {"prompt": prompt, "max_tokens": max_tokens, "room": room}
    said = f"prompts of up to {prompt} tokens and {max_tokens} of a completion, in {room} ({whose})"
    advice = "lower the task's max_tokens, raise engine.cache_tokens, or take a model with more context"
    if max_tokens >= room or prompt >= room:
        return fail(said, advice, value=value, limit=room)
    if prompt + max_tokens > room:
        return warn(
            f"{said}: completions of the longest prompts are cut before their limit", advice, value=value, limit=room
        )
    return passed(said, value=value, limit=room)


@check(
    "needs.retention",
    when="before",
    question="Does the run keep what is needed to look into it afterwards?",
    limit="rollouts that are expected, against retention.rollout_bytes: warning above it, since the oldest then go",
)
def retention(expected: int, budget: int) -> Verdict:
    """Bytes of rollouts: at most expected, and kept at most."""
    value = {"expected": expected, "budget": budget}
    said = f"up to {_bytes(expected)} of rollouts, of which {_bytes(budget)} are kept"
    if expected > budget:
        return warn(
            said, "raise retention.rollout_bytes, or expect rollouts to be thinned out", value=value, limit=budget
        )
    return passed(said, value=value, limit=budget)


def _fits(needed: int, there: int | None, what: str, advice: str, much: float) -> Verdict:
    """Without what is there in the healthy answer: it differs from run to run."""
    value = {"needed": needed}
    if there is None:
        return unknown(f"{_bytes(needed)} of {what} are needed; how much there is is not known", value=value)
    if needed > there:
        return fail(f"{_bytes(needed)} of {what} are needed, and there are {_bytes(there)}", advice, value=value)
    if needed > much * there:
        return warn(f"{_bytes(needed)} of the {_bytes(there)} of {what} are needed", advice, value=value)
    return passed(f"{_bytes(needed)} of {what} are needed, and are there", value=value)


def _places(rates: Mapping[int, float]) -> list[int]:
    """The steps to show: the first two, that at a tenth of the run, and the last."""
    steps = sorted(rates)
    tenth = next((k for k in steps if k >= steps[-1] / 10), steps[-1])
    return sorted({steps[0], *steps[1:2], tenth, steps[-1]})


def _bytes(n: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def _duration(seconds: float) -> str:
    hours = seconds / 3600
    return "under an hour" if hours < 1 else f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} days"
