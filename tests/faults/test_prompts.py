import pytest

from trueloop.faults import prompts
from trueloop.recipes import wiring
from trueloop.tasks.worlds.arithmetic import Arithmetic


def test_prompts_and_settings_of_every_task_are_changed_inside_only():
    with prompts.prompts(lambda said, problem: said.upper() + problem.split), prompts.settings(stops=("x",)):
        task = Arithmetic(highest=12).build()
        problem = task.problems("train")[0]
        assert task.prompt(problem) == problem.prompt.upper() + "train"
        assert task.stops == ("x",)
    assert Arithmetic(highest=12).build().stops == ("\n",)


def test_an_encoding_is_changed_on_the_way():
    policy = wiring.build_policy(wiring.Tiny(), None, seed=0)
    with prompts.encoding(wiring, "encode_prompt", lambda ids: ids[-2:]):
        assert wiring.encode_prompt(policy.tokenizer, "Q: 1", "none") == tuple(policy.tokenizer.encode(" 1"))


@pytest.mark.parametrize("fault", prompts.FAULTS, ids=lambda f: f.id)
def test_each_fault_names_what_catches_it(fault):
    assert fault.caught_by
    assert all(name.startswith("prompt.") for name in fault.caught_by)
