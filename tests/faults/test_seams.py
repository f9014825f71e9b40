import torch

from trueloop.config import read, resolve
from trueloop.faults import seams
from trueloop.recipes import rlvr, wiring
from trueloop.records import Score
from trueloop.tasks.worlds.arithmetic import Arithmetic
from trueloop.verify.base import Verifier


class No(Verifier):
    """Always no."""

    def __call__(self, target, text, leniency=0.0):
        return Score(status="scored", reward=0.0, passed=False)


def test_a_task_is_changed_wherever_it_is_built_and_only_inside():
    def shorten(task):
        task.max_tokens = 3

    with seams.task(shorten):
        assert Arithmetic().build().max_tokens == 3
    assert Arithmetic().build().max_tokens == 64


def test_a_verifier_is_given_the_right_one():
    given = []

    def change(verifier):
        given.append(type(verifier).__name__)
        return No()

    with seams.verifier(change):
        task = Arithmetic().build()
        assert task.grade(task.first("test", 1)[0], "The answer is 1.").passed is False
    assert given == ["Numbers"] and type(Arithmetic().build().verifier).__name__ == "Numbers"


def test_a_policy_is_changed_once_it_is_loaded():
    config = resolve(rlvr.Config, read("arithmetic"), []).config

    def silence(policy):
        with torch.no_grad():
            policy.base_model.lm_head.weight.zero_()

    with seams.policy(silence):
        assert not wiring.build_policy(config.model, None, 0).base_model.lm_head.weight.any()
    assert wiring.build_policy(config.model, None, 0).base_model.lm_head.weight.any()


def test_a_trainer_and_an_engine_are_changed_once_they_are_made():
    config = resolve(rlvr.Config, read("arithmetic"), []).config
    policy = wiring.build_policy(config.model, None, 0)

    def late(trainer):
        trainer.version = 7

    with seams.trainer(late), wiring.open_trainer(config, policy) as trainer:
        assert trainer.version == 7
    with seams.engine(lambda engine: ("in the place of", type(engine).__name__)):
        assert wiring.open_engine(config.engine, policy) == ("in the place of", "LocalEngine")


def test_credit_and_streams_are_changed_in_the_recipes_hands():
    from online_toys import make
    from trueloop.loop.flow import Fixed, Flow

    flow = Flow(problems_per_step=2, samples=Fixed(n=2))
    with seams.credit(lambda groups: [*groups, "more"]), seams.streams(lambda streams: [*streams, "another"]):
        online = make(flow)
        assert online.seams.credit([]) == ["more"] and online.seams.streams([], 1) == ["another"]
    assert make(flow).seams.credit([]) == []
