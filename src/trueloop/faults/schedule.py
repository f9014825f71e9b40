"""Faults of schedules and resources: runs that train nothing, keep nothing, starve, or do not fit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

from trueloop.faults.base import Fault
from trueloop.preflight import resources


@contextmanager
def _full_disk() -> Iterator[None]:
    """Ten megabytes are left."""
    left = SimpleNamespace(total=10**12, used=10**12 - 10**7, free=10**7)
    with mock.patch.object(shutil, "disk_usage", lambda place: left):
        yield


@contextmanager
def _small_memory() -> Iterator[None]:
    """The device has a hundred megabytes."""
    with mock.patch.object(resources, "device_memory", lambda policy: 10**8):
        yield


RATE, KEEPING, FLOW, FIT = "learning-rate schedule", "keeping", "flow", "resources"
EVERY_GUARD = "guard={every=%d, metric='strict', problems=20%s}"

FAULTS = (
    Fault(
        id="warmup_never_ends",
        mechanism=RATE,
        what="a warm-up of a thousand million steps",
        caught_by=("schedule.learning_rate",),
        recorded=("preference 18",),
        overrides=("optim.schedule={kind='constant', warmup=1000000000}",),
    ),
    Fault(
        id="warmup_longer_than_run",
        mechanism=RATE,
        what="a warm-up of 400 steps in a run of 150",
        caught_by=("schedule.learning_rate",),
        recorded=("preference 18",),
        overrides=("optim.schedule={kind='constant', warmup=400}",),
    ),
    Fault(
        id="decay_ends_early",
        mechanism=RATE,
        what="the learning rate decays to 0 in the first 20 of 150 steps",
        caught_by=("schedule.learning_rate",),
        recorded=("preference 18",),
        overrides=("optim.schedule={kind='cosine', steps=20}",),
    ),
    Fault(
        id="sft_warmup_never_ends",
        mechanism=RATE,
        what="supervised fine-tuning with a warm-up longer than the run",
        caught_by=("schedule.learning_rate",),
        bed="sft",
        overrides=("optim.schedule={kind='constant', warmup=5000}",),
    ),
    Fault(
        id="rate_of_other_adapter",
        mechanism=RATE,
        what="alpha = 512 at rank 4, the learning rate copied from alpha = 4",
        caught_by=("schedule.adapter_scale", "liveness.step_is_sane"),
        recorded=("preference 19",),
        bed="lora",
        overrides=("adapter={kind='lora', rank=4, alpha=512}",),
    ),
    Fault(
        id="checkpoint_after_the_end",
        mechanism=KEEPING,
        what="checkpoints every 1000 steps, in a run of 150 without a guard",
        caught_by=("schedule.checkpoints",),
        recorded=("rlvr 82",),
        bed="sft",
        overrides=("loop.checkpoint_every=1000", EVERY_GUARD % (1000, "")),
    ),
    Fault(
        id="guard_never_looks",
        mechanism=KEEPING,
        what="guard evaluations every 1000 steps, in a run of 150",
        caught_by=("schedule.guard",),
        overrides=(EVERY_GUARD % (1000, ""),),
    ),
    Fault(
        id="target_out_of_reach",
        mechanism=KEEPING,
        what="an early stop at an accuracy of 90, meant as a percentage",
        caught_by=("schedule.guard",),
        overrides=(EVERY_GUARD % (20, ", stop={kind='target', value=90}"),),
    ),
    Fault(
        id="patience_longer_than_run",
        mechanism=KEEPING,
        what="an early stop with a patience of 50 evaluations, of which the run has 5",
        caught_by=("schedule.guard",),
        overrides=(EVERY_GUARD % (20, ", stop={kind='patience', evaluations=50}"),),
    ),
    Fault(
        id="data_ends_first",
        mechanism=FLOW,
        what="one epoch of data for four times as many steps",
        caught_by=("schedule.passes",),
        bed="sft",
        overrides=("epochs=1", "loop.steps=500"),
    ),
    Fault(
        id="data_repeated",
        mechanism=FLOW,
        what="a hundred thousand steps on a few thousand rows",
        caught_by=("schedule.passes",),
        bed="sft",
        overrides=("loop.steps=100000", "loop.checkpoint_every=100"),
    ),
    Fault(
        id="step_larger_than_data",
        mechanism=FLOW,
        what="more problems a step than there are",
        caught_by=("data.fewer_than_a_step",),
        overrides=("flow.problems_per_step=9000",),
    ),
    Fault(
        id="tiny_batch",
        mechanism=FLOW,
        what="two problems with two completions each make a step",
        caught_by=("schedule.batch",),
        overrides=("flow.problems_per_step=2", "flow.samples={kind='fixed', n=2}"),
    ),
    Fault(
        id="group_of_one",
        mechanism=FLOW,
        what="one completion of each problem, so there is nothing to compare",
        recorded=("rlvr 32",),
        refused="draws one completion",
        overrides=("flow.samples={kind='fixed', n=1}",),
    ),
    Fault(
        id="sync_gap_starves",
        mechanism=FLOW,
        what="weights move every 4 steps and groups may be 2 steps old",
        recorded=("rlvr 77", "rlvr 76"),
        refused="would wait for ever",
        overrides=("flow.max_staleness=2", "flow.sync_every=4"),
    ),
    Fault(
        id="buffer_without_bound",
        mechanism=FLOW,
        what="groups may be a thousand steps old, so the sampler runs ahead through all of the data",
        caught_by=("schedule.staleness",),
        recorded=("rlvr 74",),
        overrides=("flow.max_staleness=1000",),
    ),
    Fault(
        id="completions_beyond_context",
        mechanism=FIT,
        what="max_tokens is above the model's context",
        caught_by=("needs.longest_row",),
        recorded=("rlvr 67", "preference 14"),
        overrides=("tasks.parts=[{task={kind='arithmetic', max_tokens=4096}}]",),
    ),
    Fault(
        id="cache_too_small",
        mechanism=FIT,
        what="the engine's cache holds less than one prompt and its completion",
        caught_by=("needs.longest_row",),
        refused="cache",
        recorded=("preference 14",),
        overrides=("engine.cache_tokens=64",),
    ),
    Fault(
        id="memory_too_small",
        mechanism=FIT,
        what="weights, optimizer and cache need more memory than the device has",
        caught_by=("needs.memory",),
        recorded=("preference 14",),
        plant=_small_memory,
    ),
    Fault(
        id="disk_is_full",
        mechanism=FIT,
        what="ten megabytes are left for checkpoints and rollouts",
        caught_by=("needs.disk",),
        recorded=("rlvr 85",),
        plant=_full_disk,
    ),
    Fault(
        id="run_takes_years",
        mechanism=FIT,
        what="a thousand million steps",
        caught_by=("needs.time", "schedule.passes"),
        overrides=("loop.steps=1000000000", "loop.checkpoint_every=100"),
    ),
    Fault(
        id="rollouts_do_not_fit",
        mechanism=FIT,
        what="a megabyte is kept of the rollouts of the run",
        caught_by=("needs.retention",),
        recorded=("rlvr 90",),
        overrides=("retention.rollout_bytes=100000",),
    ),
)
