"""Does what samples follow what is trained, and is what is saved what was trained."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trueloop.checks.base import Verdict, check, fail, passed, unknown, warn

CLOSE, FAR = 0.1, 0.3
"""What may be left of a change of the weights that was not followed, as a share of it: rounding is far below the one,
half of the tensors far above the other."""


@check(
    "liveness.sampler_follows",
    when="before",
    question="Does the engine sample with the weights that were just trained?",
    limit=f"log-probabilities of given tokens change in the engine as in the trainer: what is left over is below "
    f"{CLOSE} of the change (root mean square), fail above {FAR}",
)
def sampler_follows(
    trained: Sequence[float] | None, sampled: Sequence[float] | None, noise: float, version: int, expected: int
) -> Verdict:
    """trained, sampled: per token, the change of its log-probability over a step in the trainer and in the engine.

    noise: root mean square of what the two differed by before the step.  version, expected: of the weights in the
    engine after they were given to it.
    """
    if trained is None or sampled is None or not trained:
        return unknown("no step changes the log-probabilities visibly")
    size, left = _rms(trained), _rms([s - t for s, t in zip(sampled, trained, strict=True)])
    slope = math.fsum(s * t for s, t in zip(sampled, trained, strict=True)) / math.fsum(t * t for t in trained)
    value = {"left_over": _finite(left / size), "slope": _finite(slope), "tokens": len(trained)}
    said = f"{slope:.3g} of the trained change reaches the engine, {left / size:.2g} of it is left over"
    advice = "look at how weights reach the engine (load_weights, adapters merged, names) and at its caches"
    if noise > size * FAR:
        return unknown(f"{said}, but the two differed by as much before the step", value=value)
    if not left <= FAR * size:
        return fail(said, advice, value=value, limit=FAR)
    if version != expected:
        return fail(
            f"the engine has the new weights and says that they are of version {version}, not {expected}",
            "the version that load_weights is given must become engine.version: staleness is counted by it",
            value=value,
        )
    if left > max(CLOSE * size, 3 * noise):
        return warn(said, advice, value=value, limit=CLOSE)
    return passed(f"{said} ({len(trained)} tokens)", value=value, limit=CLOSE)


@check(
    "liveness.sampler_draws_from_new",
    when="before",
    question="Are tokens drawn from the new weights too, and not from something kept of the old ones?",
    limit=f"of completions drawn after new weights came: what the engine says of their tokens is off from the trainer "
    f"by less than {CLOSE} of what the two weights differ by, fail above {FAR}",
)
def sampler_draws_from_new(drawn: Sequence[float], new: Sequence[float], old: Sequence[float]) -> Verdict:
    """Per drawn token its log-probability: as the engine reported it, and in the trainer with new and old weights."""
    if not drawn:
        return unknown("the probe gave no token")
    size = _rms([n - o for n, o in zip(new, old, strict=True)])
    off = _rms([d - n for d, n in zip(drawn, new, strict=True)])
    if not size > 0.01:
        return unknown(f"new and old weights say the same of the {len(drawn)} tokens that were drawn ({size:.1g} nats)")
    said = f"of {len(drawn)} drawn tokens the engine is off by {off / size:.2g} of what new and old weights differ by"
    advice = "look at what the engine keeps between weights: prefix cache, compiled graphs, a second copy"
    if not off <= FAR * size:
        return fail(said, advice, value=_finite(off / size), limit=FAR)
    if off > CLOSE * size:
        return warn(said, advice, value=_finite(off / size), limit=CLOSE)
    return passed(said, value=_finite(off / size), limit=CLOSE)


@check(
    "liveness.unknown_adapter_refused",
    when="before",
    question="Does the engine refuse an adapter that it does not have?",
    limit="a request that names no known adapter fails: an engine that answers with the base instead hides a lost one",
)
def unknown_adapter_refused(answered: bool) -> Verdict:
    """answered: whether a request for a made-up adapter was answered."""
    if answered:
        return fail(
            "the engine answers requests for an adapter that does not exist",
            "an adapter that is not loaded must be an error: look at how the engine finds adapters by name",
            value=answered,
        )
    return passed("a made-up adapter is refused", value=answered)


@check(
    "liveness.checkpoint_loads",
    when="before",
    question="Is a checkpoint the model that was trained, for whoever loads it and for a resume?",
    limit=f"log-probabilities of the loaded model differ from the trainer's by less than {CLOSE} of what a step "
    f"changed, fail above {FAR}; the trainer gets its weights back bit by bit",
)
def checkpoint_loads(
    trained: Sequence[float] | None, missed: Sequence[float] | None, lost: int, *, why: str = ""
) -> Verdict:
    """trained: per token, the change of its log-probability over a step; missed: what the loaded model is off by.

    lost: tensors that a resume did not bring back.  None where no checkpoint was written, and why.
    """
    if trained is None or missed is None:
        return unknown(f"no checkpoint was written before the run: {why}", "load its first checkpoint while it runs")
    share = _rms(missed) / _rms(trained)
    value = {"off": _finite(share), "tensors_lost": lost}
    advice = "look at what is saved: the weights of now, the adapter and its base, the names that load"
    said = f"the loaded model is off by {share:.2g} of what a step changes"
    if not share <= FAR:
        return fail(f"{said}: it is not the one that was saved", advice, value=value, limit=FAR)
    if lost:
        return fail(f"{lost} tensors are not what they were after going back to a checkpoint", advice, value=value)
    if share > CLOSE:
        return warn(said, advice, value=value, limit=CLOSE)
    return passed(said, value=value, limit=CLOSE)


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(math.fsum(v * v for v in values) / len(values))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
