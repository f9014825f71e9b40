"""Two processes: the same step as one, and no process left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from pytest import approx

from helpers import tiny_policy
from trainer_toys import (
    ClippedWithEntropyAndKl,
    CrashInWorker,
    Dpo,
    Halve,
    Sft,
    difference,
    groups,
    measure,
    pairs,
    rl,
)
from trueloop.errors import ConfigError, TrainingError
from trueloop.formulas.reduce import token_mean
from trueloop.models.spec import LoRA
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Optim
from trueloop.train.parallel import Workers
from trueloop.train.step import Trainer

TOLERANCE = 3e-5  # of the gradient's norm: the order of float32 sums
ADAPTER = LoRA(rank=2, alpha=4, dropout=0.2)


@pytest.fixture(scope="module")
def shared():
    policy = tiny_policy()
    with Workers(policy, processes=2) as workers:
        yield policy, workers


def streams():
    return [
        rl(groups(1, [4, 3, 2]), ClippedWithEntropyAndKl()),
        rl(groups(2, [1, 1, 1]), Sft(), name="sft", coefficient=0.3),
        Stream(name="dpo", loss=Dpo(), reduction=token_mean, pairs=pairs(3, 4)),
    ]


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("interventions", [(), (Halve("model.layers.0.mlp", only="rl"),)], ids=["bare", "hooked"])
def test_two_processes_take_the_step_of_one(shared, share, interventions):
    policy, workers = shared
    batching = Batching(shared_prefix=share)
    one, g_one = measure(policy, streams(), batching, interventions=interventions)
    two, g_two = measure(policy, streams(), batching, interventions=interventions, workers=workers)
    again, g_again = measure(policy, streams(), batching, interventions=interventions, workers=workers)
    assert difference(g_one, g_two) < TOLERANCE
    assert two.loss == approx(one.loss, rel=1e-5) and two.denominator == one.denominator
    assert two.metrics["passes"].total > one.metrics["passes"].total
    assert two.metrics.keys() == one.metrics.keys()
    for name in one.metrics.keys() - {"passes", "positions", "padding"}:
        x, y = one.metrics[name], two.metrics[name]
        assert y.count == x.count
        assert (y.total, y.low, y.high) == approx((x.total, x.low, x.high), rel=1e-4, abs=1e-5)
    assert all(torch.equal(g_again[name], g) for name, g in g_two.items()) and again.loss == two.loss


def test_workers_see_every_change_of_the_weights(shared):
    policy, workers = shared
    alone = tiny_policy()
    with torch.no_grad():
        for name, p in alone.trainable().items():
            p.copy_(policy.trainable()[name])
    two = Trainer(policy, Optim(lr=0.01), Batching(), workers=workers)
    one = Trainer(alone, Optim(lr=0.01), Batching())
    for k in range(4):
        samples = [rl(groups(k, [3, 3]))]
        assert two.step(samples).loss == approx(one.step(samples).loss, rel=1e-4)
    samples = groups(9, [3, 2])
    for a, b in zip(two.logprobs(samples), one.logprobs(samples), strict=True):
        assert a == approx(b, abs=1e-3)


def test_one_pass_leaves_the_other_process_idle(shared):
    policy, workers = shared
    (_, one), (_, two) = (measure(policy, [rl(groups(1, [1]))], workers=w) for w in (None, workers))
    assert difference(one, two) < TOLERANCE


def test_a_loss_that_cannot_be_sent_is_refused_and_the_workers_live_on(shared):
    policy, workers = shared
    local = type("Local", (Sft,), {})()
    with pytest.raises(ConfigError, match="a loss cannot be sent to worker processes"):
        measure(policy, [rl(groups(1, [2, 2]), local)], workers=workers)
    assert measure(policy, [rl(groups(1, [2, 2]))], workers=workers)[0].version == 1


def test_too_few_processes_are_refused():
    with pytest.raises(ConfigError, match="at least 2 processes, got 1"):
        Workers(tiny_policy(), processes=1)


def test_too_little_shared_memory_is_said_before_it_crashes(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(ConfigError, match=r"MiB of shared memory .*--shm-size"):
        Workers(tiny_policy(), processes=2)


@pytest.mark.slow
def test_a_bug_in_a_worker_comes_with_its_traceback():
    policy = tiny_policy(adapter=ADAPTER)
    with Workers(policy, processes=2) as workers:
        dropped = [measure(policy, [rl(groups(1, [3, 3]))], workers=workers)[1] for _ in range(2)]
        assert difference(*dropped) == 0.0
        with pytest.raises(TrainingError, match=r"(?s)Traceback.*trainer_toys.*KeyError: 'a bug in a loss'"):
            measure(policy, [rl(groups(1, [2, 2]), CrashInWorker())], workers=workers)
        with pytest.raises(TrainingError, match="have ended"):
            measure(policy, [rl(groups(1, [2, 2]))], workers=workers)


@pytest.mark.slow
def test_a_killed_worker_is_an_error_and_not_a_hang():
    policy = tiny_policy()
    with Workers(policy, processes=2) as workers:
        workers._workers[0][0].kill()
        with pytest.raises(TrainingError, match=r"training process 2 of 2 died with exit code -9"):
            measure(policy, [rl(groups(1, [2, 2]))], workers=workers)


DRIVER = """
import sys
sys.path[:0] = sys.argv[1:]
import psutil
from helpers import tiny_policy
from trainer_toys import groups, rl
from trueloop.train.batch import Batching
from trueloop.train.optim import Optim
from trueloop.train.parallel import Workers
from trueloop.train.step import Trainer
if __name__ == "__main__":
    policy = tiny_policy()
    with Workers(policy, processes=2) as workers:
        trainer = Trainer(policy, Optim(lr=1e-4), Batching(), workers=workers)
        print(*[child.pid for child in psutil.Process().children()], flush=True)
        while True:
            trainer.step([rl(groups(1, [4] * 8))])
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill -9", "Ctrl-C"])
def test_no_worker_outlives_the_driver(tmp_path, how):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    command = [sys.executable, str(script), str(Path(__file__).parents[1])]
    driver = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    children = [psutil.Process(int(pid)) for pid in driver.stdout.readline().split()]
    assert children
    time.sleep(0.3)
    if how == "kill -9":
        driver.kill()
    else:
        os.killpg(driver.pid, signal.SIGINT)
    _, errors = driver.communicate(timeout=30)
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive
    if how == "Ctrl-C":
        assert errors.rstrip().endswith("KeyboardInterrupt") and errors.count("Traceback") == 1, errors


@pytest.mark.slow
def test_a_signal_to_the_whole_group_leaves_the_workers_to_the_driver(tmp_path):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    command = [sys.executable, str(script), str(Path(__file__).parents[1])]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    children = [psutil.Process(int(pid)) for pid in driver.stdout.readline().split()]
    time.sleep(0.3)
    for child in children:
        child.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert children and all(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    driver.kill()
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive
    driver.communicate()
