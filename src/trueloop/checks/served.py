"""While it runs: does the sampler serve the weights that are trained, and does every trained tensor go on moving?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trueloop.checks.base import Verdict, check, excerpt, fail, listed, passed, unknown, warn

STILL = 3
"""Steps that a tensor may stand still, having moved before."""

NEVER = 10
"""Steps after which a tensor that has not moved once is named."""

ROUNDING = {"float32": 1e-4, "bfloat16": 0.03}
"""How far apart two computations of one token's log-probability are in these types, at most and on the mean."""

GAP = 10.0
"""Times the rounding that a mean gap must reach to be a fault."""

FOLLOWS = 0.1
"""Share of the trainer's own movement that the sampler's must reach."""


@check(
    "served.sampler_holds_trainer_weights",
    when="during",
    question="After weights were moved to the sampler, does it hold exactly the trainer's?",
    limit="checksums over every bit of every weight are equal, and so are the versions",
)
def sampler_holds_trainer_weights(
    *, version: int, held_version: int, expected: str | None, held: str | None, before: str | None
) -> Verdict:
    """version, held_version: of the trainer and as the sampler says; expected, held: checksums of the trainer's weights
    as the sampler would hold them, and of those in use; before: of those in use when it was last asked.

    None where the engine has no checksum, or was not asked before.
    """
    value = {"version": version, "sampler": held_version, "expected": expected, "held": held}
    advice = "look at load_weights of the engine, at flow.sync_every, and at what the policy hands over (merged, tied?)"
    if held_version != version:
        return fail(
            f"the trainer is at version {version} and the sampler says {held_version} after weights were moved",
            advice,
            value=value,
        )
    if expected is None or held is None:
        return unknown("the engine has no checksum of its weights; the probe is compared instead", value=value)
    if held != expected:
        stuck = ", the same that it held when it was last asked" if held == before else ""
        return fail(
            f"the sampler says version {held_version} and holds other weights than the trainer ({held}{stuck}, "
            f"expected {expected}): rollouts come from another policy than the one that is trained",
            advice,
            value=value,
        )
    return passed(f"the sampler holds the trainer's weights of version {version}, bit by bit", value=value)


@check(
    "served.probe_gap",
    when="during",
    question="Do trainer and sampler agree about the probe's tokens?",
    limit=f"a mean gap of {GAP:g} times the rounding of the wider type: {ROUNDING['float32']:g} in float32, "
    f"{ROUNDING['bfloat16']:g} in bfloat16; healthy gaps are far below the rounding itself",
)
def probe_gap(*, gaps: Sequence[float], dtype: str, text: str = "") -> Verdict:
    """gaps: absolute differences of log-probabilities, one per token of the greedy probes, at equal versions;
    dtype: the less exact of the two; text: of the probe with the largest."""
    limit = GAP * ROUNDING.get(dtype, ROUNDING["bfloat16"])
    if not gaps:
        return unknown("no probe was answered by the weights that the trainer has now", limit=limit)
    mean, most = sum(gaps) / len(gaps), max(gaps)
    shown = f"{len(gaps)} probe tokens: log-probabilities differ by {mean:.2g} on the mean, {most:.2g} at most"
    advice = "the sampler does not compute the policy: stale or partial weights, a missing adapter, another precision"
    if mean > limit:
        return fail(f"{shown}, largest in {excerpt(text)}", advice, value=mean, limit=limit)
    if most > 10 * limit:
        return warn(f"{shown}, largest in {excerpt(text)}", advice, value=mean, limit=limit)
    return passed(shown, value=mean, limit=limit)


@check(
    "served.probe_follows",
    when="during",
    question="When the trainer's opinion of the probe moved, did the sampler's move with it?",
    limit=f"at least {FOLLOWS:.0%} of the trainer's own movement on the same tokens, where that exceeds rounding",
)
def probe_follows(*, trainer: float | None, sampler: float | None, versions: tuple[int, int], dtype: str) -> Verdict:
    """trainer, sampler: largest change of a log-probability since the probe before, on the tokens that both answers
    begin with; None where they have none in common.  versions: that the sampler said at the two probes."""
    value, rounding = {"trainer": trainer, "sampler": sampler}, ROUNDING.get(dtype, ROUNDING["bfloat16"])
    if trainer is None or sampler is None or versions[0] == versions[1]:
        return unknown("there is no earlier probe of other weights to compare with", value=value)
    shown = (
        f"from version {versions[0]} to {versions[1]} the probe's log-probabilities moved by {trainer:.2g} in the "
        f"trainer and by {sampler:.2g} in the sampler"
    )
    frozen = sampler == 0.0 and trainer > rounding
    if frozen or (trainer > GAP * rounding and sampler < FOLLOWS * trainer):
        return fail(
            f"{shown}: the sampler does not follow",
            "look at load_weights of the engine and at flow.sync_every: it may take a version without its weights",
            value=value,
            limit=FOLLOWS,
        )
    if trainer <= rounding:
        return unknown(f"{shown}: too little to tell from rounding", value=value, limit=FOLLOWS)
    return passed(shown, value=value, limit=FOLLOWS)


@check(
    "served.tensor_never_moves",
    when="during",
    question="Does every trained tensor go on moving, and get a gradient?",
    limit=f"none that moved before stands still for {STILL} steps that the learning rate could move it in; without a "
    f"gradient for {STILL} steps, or without a single move in {NEVER}, it is named",
)
def tensor_never_moves(
    *, trained: int, steps: int, never: Sequence[str], still: Mapping[str, int], silent: Mapping[str, int]
) -> Verdict:
    """trained: tensors; steps: that changed the weights; never: names that have not moved in any of them;
    still, silent: name -> steps in a row without a move, or without a gradient, of those that had one before."""
    value = {"trained": trained, "steps": steps, "never": len(never)}
    stopped = [name for name, n in still.items() if n >= STILL]
    if stopped or (steps >= STILL and len(never) == trained):
        names = stopped or list(never)
        return fail(
            f"{len(names)} of {trained} trained tensors stand still for {STILL} steps or more: {listed(names)}",
            "look for what froze them: requires_grad, the optimizer's parameters, an intervention, optim.schedule",
            value=value,
        )
    mute = [name for name, n in silent.items() if n >= STILL]
    if mute:
        return warn(
            f"{len(mute)} of {trained} trained tensors have had no gradient for {STILL} steps or more, having had one "
            f"before: {listed(mute)}",
            "look for what cut them off: requires_grad, a detached or skipped layer, an expert that nothing reaches",
            value=value,
        )
    if steps >= NEVER and never:
        return warn(
            f"{len(never)} of {trained} trained tensors have not moved in {steps} steps: {listed(never)}",
            "look at the adapter's targets, at layers that the forward pass does not use, and at optim.lr",
            value=value,
        )
    if steps < STILL:
        return unknown(f"{steps} steps have changed weights, fewer than {STILL}", value=value)
    return passed(f"all {trained} trained tensors that can move have moved within {STILL} steps", value=value)
