"""What a configuration reads and grades."""

from trueloop.config import load
from trueloop.recipes import reading, rlvr, sft, wiring
from trueloop.tasks.registry import open_mix

SMALL = "tasks.parts=[{task={kind='arithmetic', lowest=10, highest=29}}]"


def test_a_run_that_samples_has_its_rows_and_its_verdict_asked():
    config = load(rlvr.Config, "arithmetic", [SMALL, "guard.problems=12"]).config
    policy = wiring.build_policy(config.model, None, 0)
    tasks, _ = open_mix(config.tasks, seed=0)
    found = {r.id: r for r in reading.sampled(config, tasks, policy)}
    assert {"data.demonstrations", "data.train_eval_overlap", "task.gold_scores"} <= set(found)
    assert found["data.prompts_too_long"].status == "pass"
    assert "511 tokens (the model's context" in found["data.prompts_too_long"].evidence


def test_a_supervised_run_too():
    config = load(sft.Config, "sft/arithmetic", ["guard.problems=12"]).config
    policy = wiring.build_policy(config.model, None, 0)
    found = {r.id: r.status for r in reading.supervised(config, config.task.build(), policy)}
    assert found["data.demonstrations_right"] == "pass"
    assert "fail" not in found.values()
