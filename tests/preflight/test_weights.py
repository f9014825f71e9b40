import torch

from helpers import tiny_policy
from trueloop.preflight.weights import finite


def test_one_weight_that_is_no_number_is_named():
    policy = tiny_policy()
    assert finite(policy).status == "pass"
    with torch.no_grad():
        policy.base_model.model.layers[1].mlp.up_proj.weight[3, 4] = float("inf")
    found = finite(policy)
    assert (found.status, found.value) == ("fail", 1) and "layers.1.mlp.up_proj" in found.evidence
