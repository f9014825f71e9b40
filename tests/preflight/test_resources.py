from pathlib import Path

import pytest
from tests.helpers import tiny_policy

from trueloop.models.spec import LoRA
from trueloop.preflight import resources
from trueloop.tasks.worlds.arithmetic import Arithmetic
from trueloop.train.optim import Constant, Linear, Optim


def test_rates_hold_the_ends_of_a_schedule():
    found = resources.rates(Optim(lr=1e-3, schedule=Linear(steps=1000)), 1000)
    assert found[1] == 1e-3 and found[1000] == pytest.approx(1e-6) and 2 in found and len(found) <= 202
    assert resources.rates(Optim(lr=1e-3), 1) == {1: 1e-3}


def statuses(optim, steps, policy, scaling=None):
    return {r.id: r.status for r in resources.scheduling(optim, steps, policy, scaling)}


def test_scheduling():
    policy = tiny_policy()
    assert set(statuses(Optim(lr=1e-3), 100, policy).values()) == {"pass"}
    late = Optim(lr=1e-3, schedule=Constant(warmup=10**9))
    assert statuses(late, 100, policy)["schedule.learning_rate"] == "fail"
    assert statuses(Optim(lr=1e6), 100, policy)["schedule.travel"] == "fail"
    assert statuses(Optim(lr=1e-3), 100, policy, 1000.0)["schedule.adapter_scale"] == "fail"


def test_the_size_of_what_trains_leaves_zeros_out():
    assert resources.weight_size(tiny_policy(initializer_range=0.1)) == pytest.approx(0.1, rel=0.1)
    adapted = tiny_policy(adapter=LoRA(rank=2, alpha=4))  # B is zero, A is not
    assert resources.weight_size(adapted) == pytest.approx(0.1, rel=0.5)


def test_the_longest_prompt_is_counted_in_tokens():
    task = Arithmetic(lowest=8, highest=120).build()
    assert resources.longest_prompt(tiny_policy(), [(task, "train")], 0) == len("Q: 100+100=?\nA: ")


def test_the_machine():
    assert resources.device_memory(tiny_policy()) > 10**8
    assert resources.free_disk(Path("not/there/yet")) > 0
    assert resources.speed(tiny_policy()) == resources.CORE
