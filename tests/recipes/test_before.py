import json

import pytest

from trueloop.config import load
from trueloop.errors import CheckFailed
from trueloop.preflight.gate import Gate
from trueloop.recipes import before, rlvr, sft, wiring
from trueloop.tasks.registry import open_mix

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


def test_the_prompts_of_every_task_are_looked_at_before_anything_is_sampled(tmp_path):
    rows = [{"prompt": f"Say {k}.", "answer": f"{k} it is. #### {k}"} for k in range(40)]
    (tmp_path / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    judged = "completion='answer', verifier={kind='numbers'}"
    own = f"{{kind='own', path='{tmp_path}', stops=['it is'], max_tokens=16, {judged}}}"
    parts = f"tasks={{kind='weighted', parts=[{{task={{kind='arithmetic'}}}}, {{task={own}}}]}}"
    resolved = load(rlvr.Config, "arithmetic", [parts])
    tasks, _ = open_mix(resolved.config.tasks, seed=0)
    policy = wiring.build_policy(resolved.config.model, None, 0)
    found = [r for r in before.static(resolved.config, tasks, policy, tmp_path) if r.id == "prompt.stops_spare_answers"]
    assert [(r.status, r.evidence.split(":")[0]) for r in found] == [("pass", "arithmetic"), ("fail", "own")]
