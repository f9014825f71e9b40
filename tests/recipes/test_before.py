import pytest

from trueloop.config import load
from trueloop.errors import CheckFailed
from trueloop.preflight.gate import Gate
from trueloop.recipes import before, sft

SMALL = ["loop.steps=12", "loop.checkpoint_every=6", "guard.problems=2", "guard.every=6", "rows_per_step=16"]


def run(tmp_path, overrides=(), **gate):
    resolved = load(sft.Config, "sft/arithmetic", [*SMALL, *overrides])
    checked = Gate(**gate)
    sft.run(resolved.config, resolved, tmp_path / "run", False, checked)
    return checked


@pytest.mark.slow
def test_a_supervised_run_is_rehearsed_and_not_trained(tmp_path):
    gate = run(tmp_path, only=True)
    ids = [r.id for r in gate.results]
    assert {"liveness.demonstrations_rise", "liveness.sampler_follows", "schedule.learning_rate"} <= set(ids)
    assert not before.has_begun(tmp_path / "run") and not gate.refusals()


@pytest.mark.slow
def test_a_run_that_could_not_mean_anything_is_refused(tmp_path):
    with pytest.raises(CheckFailed, match=r"schedule\.learning_rate"):
        run(tmp_path, ["optim.schedule={kind='constant', warmup=100000}"])
    assert not (tmp_path / "run" / "run.json").exists()
