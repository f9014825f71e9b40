import json

import pytest

from trueloop.config import load, resolve
from trueloop.faults.beds import beds
from trueloop.preflight.overfit import ROWS, judged, narrowed, overfit
from trueloop.recipes import rlvr, sft


def test_a_run_that_samples_is_narrowed_to_a_curriculum(tmp_path):
    config = load(rlvr.Config, "arithmetic", ["flow.drop_zero_variance=true"]).config
    few = narrowed(config, tmp_path, 30)
    assert len(json.loads(few.tasks.parts[0].order.read_text())) == ROWS
    assert (few.loop.steps, few.guard, few.flow.problems_per_step) == (30, None, ROWS)
    assert not few.flow.drop_zero_variance and config.flow.drop_zero_variance


def test_a_supervised_run_is_narrowed_to_a_file_of_rows(tmp_path):
    few = narrowed(load(sft.Config, "sft/arithmetic", []).config, tmp_path, 30)
    assert len(sft.demonstrations(few, few.task.build())) == ROWS == few.rows_per_step


class Recorded:
    def __init__(self, path, rows):
        self.path, self.rows = path, rows

    def metrics(self):
        return self.rows


def test_a_loss_is_judged_where_nothing_was_sampled(tmp_path):
    falling = [{"loss": 3.0}] * 5 + [{"loss": 0.01}] * 5
    assert [(r.id, r.status) for r in judged(Recorded(tmp_path, falling))] == [("overfit.loss", "pass")]


@pytest.mark.slow
def test_sft_learns_ten_rows_by_heart():
    config = load(sft.Config, "sft/arithmetic", []).config
    (found,) = overfit("sft", sft.run, config, 60)
    assert (found.id, found.status) == ("overfit.loss", "pass"), found.evidence


@pytest.mark.slow
def test_grpo_gets_far_on_ten_problems(warm_model):
    """Sixty steps triple the reward (0.20 to 0.77); near-full reward takes more than a test may."""
    bed = beds(warm_model)["rlvr"]
    config = resolve(rlvr.Config, bed.source, [*bed.overrides, "optim.lr=3e-4"]).config
    (found,) = overfit("rlvr", rlvr.run, config, 60)
    assert found.id == "overfit.reward" and found.status in ("pass", "warn"), found.evidence
