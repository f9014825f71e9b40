"""Measures what the numerics checks ask, on the rehearsal's own completions and a few of its rows."""

from __future__ import annotations

from collections.abc import AsyncIterator

from trueloop.preflight.invented import with_signal
from trueloop.preflight.numerics.credits import credits
from trueloop.preflight.numerics.losses import losses
from trueloop.preflight.numerics.probe import probes
from trueloop.preflight.numerics.sampler import held_weights, sampler, starting_points
from trueloop.preflight.numerics.steps import steps
from trueloop.preflight.numerics.teacher import teacher
from trueloop.preflight.rehearsal import Rehearsal
from trueloop.preflight.stepping import first_rows
from trueloop.records import CheckResult


async def numerics(rehearsal: Rehearsal) -> AsyncIterator[CheckResult]:
    """The numerics checks; what changes weights or trainer is taken back."""
    trainer = rehearsal.trainer
    yield held_weights(rehearsal)
    async for result in sampler(rehearsal):
        yield result
    groups, streams = with_signal(rehearsal)
    streams = [s for s in (*streams, *rehearsal.beside) if s.rows()]
    found = probes(streams, trainer)
    if groups:
        for result in credits(rehearsal, streams, groups):
            yield result
    for result in losses(streams, found, rehearsal.configured):
        yield result
    old = [probe is not None and probe.reads_old() for probe in found]
    for result in starting_points(rehearsal, streams, old):
        yield result
    if taught := [sample for s in streams for sample in s.samples if sample.teacher is not None]:
        yield teacher(taught, len(rehearsal.policy.tokenizer), learned=rehearsal.learned)
    few = first_rows(rehearsal).all
    if few:
        for result in steps(trainer, few):
            yield result
