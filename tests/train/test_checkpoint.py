import errno
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pytest import approx
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from helpers import tiny_policy
from trainer_toys import groups, rl
from trueloop.errors import StoreError, TrainingError
from trueloop.models.policy import Policy
from trueloop.models.spec import LoRA
from trueloop.train import checkpoint
from trueloop.train.batch import Batching
from trueloop.train.optim import Cosine, Optim
from trueloop.train.step import Trainer

OPTIM = Optim(lr=0.02, weight_decay=0.01, max_grad_norm=0.5, schedule=Cosine(steps=6, warmup=2))
ADAPTER = LoRA(rank=2, alpha=4, dropout=0.3)


def train(trainer, steps):
    """Steps whose rows depend on the step alone."""
    return [trainer.step([rl(groups(k, [2, 2]))]).loss for k in steps]


def trainer_of(policy):
    return Trainer(policy, OPTIM, Batching(), seed=3)


def everything(trainer):
    state = trainer.state_dict()
    return {**state["moments"], **trainer.trainable, "counters": torch.tensor([state["version"], state["steps"]])}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("adapter", [None, ADAPTER], ids=["whole", "adapter"])
def test_three_steps_a_checkpoint_and_three_more_are_six(tmp_path, adapter):
    straight = trainer_of(tiny_policy(adapter=adapter))
    losses = train(straight, range(6))
    first = trainer_of(tiny_policy(adapter=adapter))
    assert train(first, range(3)) == losses[:3]
    checkpoint.write(tmp_path, first)
    torch.manual_seed(12345)
    second = trainer_of(tiny_policy(adapter=adapter, seed=9 if adapter is None else 0))
    checkpoint.read(tmp_path, second)
    assert same(everything(first), everything(second))
    assert train(second, range(3, 6)) == losses[3:]
    assert same(everything(straight), everything(second))


class Average:
    """Keeps a running mean of the gradient and uses it."""

    def __init__(self):
        self.mean = {}

    def gradients(self, gradients, backward):
        self.mean = {n: 0.5 * self.mean.get(n, 0.0) + g for n, g in gradients.items()}
        return {n: m.clone() for n, m in self.mean.items()}

    def state(self):
        return self.mean

    def restore(self, state):
        self.mean = state


def test_interventions_go_on_from_what_they_held(tmp_path):
    def averaged():
        return Trainer(tiny_policy(), OPTIM, Batching(), interventions=[Average()])

    straight, first, second = averaged(), averaged(), averaged()
    train(straight, range(4))
    train(first, range(2))
    checkpoint.write(tmp_path, first)
    checkpoint.read(tmp_path, second)
    train(second, range(2, 4))
    assert same(everything(straight), everything(second))
    with pytest.raises(TrainingError, match="this run has 0"):
        checkpoint.read(tmp_path, trainer_of(tiny_policy()))


RESUME = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
import torch
torch.set_num_threads(1)
from helpers import tiny_policy
from test_checkpoint import train, trainer_of
from trueloop.train import checkpoint
directory = Path(sys.argv[1])
trainer = trainer_of(tiny_policy())
checkpoint.read(directory / "three", trainer)
train(trainer, range(3, 6))
checkpoint.write(directory / "six", trainer)
"""


@pytest.mark.slow
def test_another_process_resumes_bit_by_bit(tmp_path):
    (tmp_path / "three").mkdir()
    (tmp_path / "six").mkdir()
    straight = trainer_of(tiny_policy())
    train(straight, range(3))
    checkpoint.write(tmp_path / "three", straight)
    train(straight, range(3, 6))
    here = Path(__file__).parent
    subprocess.run([sys.executable, "-c", RESUME, str(tmp_path), str(here), str(here.parent)], check=True)
    (tmp_path / "here").mkdir()
    checkpoint.write(tmp_path / "here", straight)
    assert same(load_file(tmp_path / "here" / checkpoint.TENSORS), load_file(tmp_path / "six" / checkpoint.TENSORS))


def test_transformers_loads_the_same_weights(tmp_path):
    trainer = trainer_of(tiny_policy())
    train(trainer, range(2))
    checkpoint.write(tmp_path, trainer)
    loaded = dict(AutoModelForCausalLM.from_pretrained(tmp_path / "model").named_parameters())
    assert same(loaded, trainer.trainable)


def test_the_adapter_is_loaded_by_policy(tmp_path):
    trainer = trainer_of(tiny_policy(adapter=ADAPTER))
    train(trainer, range(2))
    checkpoint.write(tmp_path, trainer)
    loaded = Policy.load(tmp_path / "model", if_adapter="continue")
    assert same(loaded.trainable(), trainer.trainable)


def test_before_the_first_step(tmp_path):
    trainer = trainer_of(tiny_policy())
    checkpoint.write(tmp_path, trainer)
    train(trainer, range(2))
    checkpoint.read(tmp_path, trainer)
    fresh = trainer_of(tiny_policy())
    assert same(everything(trainer), everything(fresh))
    assert train(trainer, range(3)) == train(fresh, range(3))


def test_silent_steps_count_for_the_schedule_after_a_resume(tmp_path):
    trainer = trainer_of(tiny_policy())
    silent = [type(s)(id=s.id, tokens=s.tokens, loss_mask=s.loss_mask, weights=(0.0,) * len(s.tokens),
                      logprobs=s.logprobs) for s in groups(1, [2])]  # fmt: skip
    trainer.step([rl(silent)])
    checkpoint.write(tmp_path, trainer)
    again = trainer_of(tiny_policy())
    checkpoint.read(tmp_path, again)
    assert (again.version, again.steps) == (0, 1)
    assert again.step([rl(groups(2, [2]))]).lr == approx(0.02 * 2 / 3)


def test_another_model_is_refused_with_the_difference(tmp_path):
    checkpoint.write(tmp_path, trainer_of(tiny_policy()))
    wider = trainer_of(tiny_policy(intermediate_size=64))
    with pytest.raises(StoreError, match=r"6 parameters do not fit.*\(\(32, 48\) there, \(32, 64\)"):
        checkpoint.read(tmp_path, wider)
    with pytest.raises(StoreError, match="absent"):
        checkpoint.read(tmp_path, trainer_of(tiny_policy(adapter=ADAPTER)))


def test_an_incomplete_checkpoint_is_refused(tmp_path):
    trainer = trainer_of(tiny_policy())
    with pytest.raises(StoreError, match="no complete training checkpoint"):
        checkpoint.read(tmp_path, trainer)
    checkpoint.write(tmp_path, trainer)
    whole = (tmp_path / checkpoint.TENSORS).read_bytes()
    (tmp_path / checkpoint.TENSORS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="no complete training checkpoint"):
        checkpoint.read(tmp_path, trainer)


def test_a_full_disk_is_an_os_error_that_names_the_place(tmp_path, monkeypatch):
    def refuses(*args, **kwargs):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", refuses)
    with pytest.raises(OSError, match="No space left") as caught:
        checkpoint.write(tmp_path, Trainer(tiny_policy(), OPTIM, Batching()))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))
