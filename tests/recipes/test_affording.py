from pathlib import Path

import pytest

from trueloop.config import load
from trueloop.recipes import affording, distill, rlvr, sft, wiring
from trueloop.tasks.registry import open_mix


def statuses(recipe, preset, overrides=()):
    config = load(recipe.Config, preset, list(overrides)).config
    policy = wiring.build_policy(config.model, config.adapter, config.seed)
    if recipe is sft:
        return [(r.id, r.status) for r in affording.supervised(config, config.task.build(), policy, Path("run"))]
    tasks, _ = open_mix(config.tasks, seed=config.seed)
    return [(r.id, r.status) for r in affording.sampled(config, tasks, policy, Path("run"))]


@pytest.mark.parametrize(
    ("recipe", "preset"), [(rlvr, "arithmetic"), (distill, "distill/arithmetic"), (sft, "sft/arithmetic")]
)
def test_the_presets_have_sound_schedules(recipe, preset):
    found = statuses(recipe, preset)
    assert {"schedule.learning_rate", "schedule.passes", "needs.memory", "needs.time"} <= {id for id, _ in found}
    assert {status for _, status in found} == {"pass"}


def test_a_warm_start_s_schedule_counts_too():
    late = ["warm_start.optim.schedule={kind='constant', warmup=100000}"]
    assert ("schedule.learning_rate", "fail") in statuses(rlvr, "arithmetic", late)


def test_completions_of_a_problem_are_compared_in_rlvr_alone():
    two = ["flow.samples={kind='fixed', n=2}"]
    assert ("schedule.batch", "warn") in statuses(rlvr, "arithmetic", two)
    assert ("schedule.batch", "pass") in statuses(distill, "distill/arithmetic", two)
