import random

import torch

from helpers import tiny_policy
from trueloop.engines.decoder import disagreement, pad, survivors
from trueloop.engines.dense import DenseDecoder
from trueloop.engines.lora import Adapters

CPU = torch.device("cpu")


def test_survivors_move_as_few_rows_as_possible():
    assert survivors(6, (1, 4)) == [0, 5, 2, 3]
    assert survivors(3, (0, 1, 2)) == []
    rng = random.Random(0)
    for _ in range(200):
        n = rng.randrange(1, 20)
        gone = rng.sample(range(n), rng.randrange(n + 1))
        order = survivors(n, gone)
        assert sorted(order) == sorted(set(range(n)) - set(gone))
        assert all(old == new or old >= len(order) for new, old in enumerate(order))


def test_pad_cuts_columns_out_of_ragged_sequences():
    assert pad([(5, 6, 7), (8,)], 0, 3, CPU).tolist() == [[5, 6, 7], [8, 0, 0]]
    assert pad([(5, 6, 7, 9)], 1, 3, CPU).tolist() == [[6, 7]]


@torch.inference_mode()
def test_the_probe_sees_a_wrong_weight_a_wrong_rotation_and_a_wrong_row():
    model = tiny_policy("qwen3").model
    none = Adapters({}, dtype=torch.float32, device=CPU)
    assert disagreement(DenseDecoder(model, none, dtype=torch.float32), model) < 1e-5
    wrong = DenseDecoder(model, none, dtype=torch.float32)
    wrong.slots["model.layers.1.self_attn.k_proj.weight"][0] *= 1.1
    assert disagreement(wrong, model) > 1e-4
    wrong = DenseDecoder(model, none, dtype=torch.float32)
    wrong._frequency *= 1.05
    assert disagreement(wrong, model) > 1e-4
    wrong = DenseDecoder(model, none, dtype=torch.float32)
    wrong._grid.retire = lambda gone: wrong._grid.lengths.pop() and [0]
    assert disagreement(wrong, model) > 1e-4
