from __future__ import annotations

import math

import torch

from trueloop.faults import claims
from trueloop.records import Completion, Request, Sampling

DONE = Completion(
    tokens=(3, 4), logprobs=(-1.0, -2.0), policy_logprobs=(-1.5, -2.5), finish="length", stop=None, version=0, text="ab"
)


def test_values_are_changed_as_their_names_say() -> None:
    assert claims.shifted((1.0, 2.0, 3.0)) == (3.0, 1.0, 2.0)
    assert claims.summed((1.0, 2.0, 3.0)) == [1.0, 3.0, 6.0]
    assert claims.some_missing((-1.0,) * 5)[3] == -100.0
    noisy = claims.noisy((-1.0,) * 50)
    assert noisy == claims.noisy((-1.0,) * 50) and 0.01 < math.sqrt(sum((v + 1) ** 2 for v in noisy) / 50) < 0.1


def test_a_claim_changes_both_log_probabilities() -> None:
    found = claims.claiming(lambda values: [2 * v for v in values])(DONE)
    assert found.logprobs == (-2.0, -4.0) and found.policy_logprobs == (-3.0, -5.0)


def test_each_completion_gets_those_of_the_one_before() -> None:
    claim = claims.another_s()
    assert claim(DONE).logprobs == (-1.5, -2.5)
    other = Completion(
        tokens=(3,), logprobs=(-9.0,), policy_logprobs=(-9.0,), finish="length", stop=None, version=0, text="a"
    )
    assert claim(other).logprobs == (-1.5,)


def test_a_request_is_asked_otherwise() -> None:
    request = Request(id="r", prompt=(1,), sampling=Sampling(max_tokens=2))
    assert claims.sampling(top_k=3)(request).sampling.top_k == 3


def test_weights_are_perturbed_in_part_or_rounded() -> None:
    weights = {"head": torch.full((4,), 1.01), "body": torch.ones(4)}
    found = claims.perturbed(weights, part="head")
    assert found["body"] is weights["body"] and 0 < float((found["head"] - 1.01).abs().max()) < 0.2
    assert claims.rounded(weights)["head"].tolist() == [1.0078125] * 4


def test_a_penalty_lowers_what_was_read() -> None:
    logits = torch.tensor([[2.0, -2.0, 1.0]])
    assert claims.penalising(logits, [(0, 1)], penalty=2.0).tolist() == [[1.0, -4.0, 1.0]]
