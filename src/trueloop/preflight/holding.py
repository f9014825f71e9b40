"""Whether what the policy is held against, a reference or a teacher, stays where it is while the policy moves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from trueloop.checks import direction as checks
from trueloop.preflight.rehearsal import Rehearsal
from trueloop.preflight.trial import Trial
from trueloop.records import CheckResult, Group, Sample
from trueloop.train.batch import Stream


def holding(
    rehearsal: Rehearsal, trial: Trial, groups: Sequence[Group], streams: Sequence[Stream]
) -> Iterator[CheckResult]:
    """Make the streams of the same groups again after the tried step, and compare what came with them."""
    rows = [s for stream in streams for s in stream.samples]
    reference = any(s.ref_logprobs is not None for s in rows)
    teacher = any(s.teacher is not None for s in rows) and not rehearsal.drifting
    if not groups or not (reference or teacher):
        return
    temperature = streams[0].temperature
    trial.go(0.0)
    old = trial.trainer.logprobs(rows, temperature)
    trial.go(trial.lr)
    trial.trainer.refresh(2)
    _, again = rehearsal.credit([replace(g, advantages=None) for g in groups])
    later = {s.id: s for stream in again for s in stream.samples}
    pairs = [(s, later[s.id]) for s in rows if s.id in later]
    new = trial.trainer.logprobs(rows, temperature)
    moved = _rms([n - o for a, b in zip(new, old, strict=True) for n, o in zip(a, b, strict=True)])
    if reference:
        yield checks.reference_held(_rms([x for a, b in pairs for x in _of_reference(a, b)]), moved, "reference")
    if teacher:
        yield checks.reference_held(_rms([x for a, b in pairs for x in _of_teacher(a, b)]), moved, "teacher")


def _of_reference(before: Sample, after: Sample) -> list[float]:
    assert before.ref_logprobs is not None and after.ref_logprobs is not None
    return [a - b for b, a in zip(before.ref_logprobs, after.ref_logprobs, strict=True)]


def _of_teacher(before: Sample, after: Sample) -> list[float]:
    """Changes of the log-probabilities of the tokens that were the likeliest before."""
    if before.teacher is None or after.teacher is None:
        return []
    found = []
    for ids, logps, new_ids, new in zip(
        before.teacher.ids, before.teacher.logprobs, after.teacher.ids, after.teacher.logprobs, strict=True
    ):
        known = dict(zip(new_ids, new, strict=True))
        best = max(range(len(ids)), key=lambda k: logps[k])
        found.append(known.get(ids[best], min(new)) - logps[best])
    return found


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(math.fsum(v * v for v in values) / len(values)) if values else 0.0
