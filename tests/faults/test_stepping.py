import torch
from tests.helpers import tiny_policy

from trueloop.faults import stepping
from trueloop.train import optim
from trueloop.train.batch import Batching
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer


def trainer():
    return Trainer(tiny_policy(), Optim(lr=1e-3), Batching())


def test_half_of_the_layers_can_be_frozen():
    policy = tiny_policy()
    stepping._layers_frozen(0.5)(policy)
    every = list(policy.model.parameters())
    assert len(policy.trainable()) == len(every) - round(0.5 * len(every))


def test_the_rate_reaches_what_it_is_said_to():
    one = trainer()
    with stepping._fixed_rate(1e-7):
        optim.set_learning_rate(one._optimizer, 1.0)
    assert {g["lr"] for g in one._optimizer.param_groups} == {1e-7}
    with stepping._frozen_group():
        optim.set_learning_rate(one._optimizer, 1.0)
    assert [g["lr"] for g in one._optimizer.param_groups] == [1.0, 0.0]


def test_the_optimizer_holds_copies_of_half():
    one = trainer()
    stepping._other_parameters(one)
    held = {id(p) for g in one._optimizer.param_groups for p in g["params"]}
    own = sum(id(p) in held for p in one.trainable.values())
    assert own == len(one.trainable) // 2


def test_lower_layers_are_cut_off():
    policy = tiny_policy()
    stepping._output_detached(policy)
    ids = torch.tensor([[2, 3, 4]])
    policy.base_model(input_ids=ids).logits.sum().backward()
    reached = {n for n, p in policy.model.named_parameters() if p.grad is not None}
    assert not any(".layers.0." in name for name in reached) and "model.norm.weight" in reached
