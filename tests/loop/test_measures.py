"""What is measured of a step: its rollouts by their rows, and a sample of the weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trueloop.formulas.reduce import token_mean
from trueloop.loop.measures import NUMBERS, Weights, loops, of_rollouts
from trueloop.recipes.losses import Supervised
from trueloop.records import Sample
from trueloop.train.batch import Stream


def row(k: int, **changed: Any) -> dict[str, Any]:
    made = {"fate": "used", "id": f"p/{k}", "problem_id": f"p{k // 2}", "epoch": 0, "group_index": k // 2, "read": 1}
    return made | {"version": 3, "text": f"answer {k}", "status": "scored", "reward": float(k % 2)} | changed


def stream(*names: str) -> Stream:
    samples = [Sample(id=n, tokens=(1, 2), loss_mask=(False, True), weights=(0.0, 1.0)) for n in names]
    return Stream(name="policy", samples=samples, loss=Supervised(), reduction=token_mean)


def test_rollouts_are_counted_by_group_age_and_whether_they_train():
    rows = [row(0), row(1), row(2, version=2), row(3, read=2)]
    found = of_rollouts(rows, [stream("p/0", "p/1", "p/2")], version=3)
    assert found["rollouts/used"] == 4.0
    assert found["rollouts/groups"] == 2.0
    assert found["rollouts/lag"] == 1.0
    assert found["rollouts/untrained"] == 0.25
    assert found["rollouts/commonest"] == 0.25
    assert (found["rollouts/scored"], found["rollouts/without_verdict"]) == (4.0, 0.0)


def test_nothing_sampled_is_nothing_measured():
    assert of_rollouts([], [stream("a")], version=3) == {}


def test_filtered_groups_are_counted_by_reason_and_verdicts_that_are_missing():
    bad = {"fate": "filtered:verifier_error", "status": "error", "reward": None}
    rows = [row(0), row(1), row(2, **bad), row(3, **bad), row(4, fate="filtered:too_long"), row(6, status="unscorable")]
    found = of_rollouts(rows, [stream("p/0", "p/1")], version=3)
    assert found["filtered/verifier_error"] == 1.0 and found["filtered/too_long"] == 1.0
    assert (found["rollouts/scored"], found["rollouts/without_verdict"]) == (3.0, 3.0)


def test_an_audit_that_goes_with_the_reward_against_it_or_never_varies():
    audits = [{"truth": float(k % 2), "hack": 1.0 - k % 2, "fixed": 1.0} for k in range(4)]
    found = of_rollouts([row(k, audit=audits[k]) for k in range(4)], [], version=3)
    assert found["agreement/truth"] == pytest.approx(1.0) and found["agreement/hack"] == pytest.approx(-1.0)
    assert "agreement/fixed" not in found


@pytest.mark.parametrize(
    ("text", "looping"),
    [("7" * 200, True), ("the the " * 60, True), ("12+34: 2+4=6, 1+3=4. #### 46", False), ("aaaa", False), ("", False)],
)
def test_loops(text, looping):
    assert loops(text) is looping


def test_a_sample_of_the_weights_tells_how_far_they_moved():
    weights = {"a": torch.zeros(1000), "b": torch.zeros(10)}
    sample = Weights(weights)
    assert sample.of_step(0.1) == {"weights/changed": 0.0}
    weights["a"] += 0.05
    n = len(range(0, 1000, -(-1000 // NUMBERS)))
    assert sample.of_step(0.1) == {
        "weights/changed": pytest.approx(n / (n + 10)),
        "weights/update": pytest.approx(0.5),
    }
    assert sample.of_step(0.1) == {"weights/changed": 0.0}


def test_a_number_that_is_not_finite_is_found_wherever_it_stands():
    weights = {"a": torch.zeros(1000), "b": torch.zeros(10)}
    sample = Weights(weights)
    weights["a"][997] = float("inf")
    assert sample.of_step(0.1)["weights/not_finite"] == 1.0


def test_texts_are_held_against_their_tokens():
    from trueloop.loop.measures import of_rollouts

    decode = "".join
    rows = [
        {"fate": "used", "read": 1, "group_index": 0, "version": 0, "id": "a", "reward": 1.0, "advantage": 1.0,
         "tokens": ("p", "4", "2", "#"), "loss_mask": (False, True, True, True), "text": text, "status": "scored"}
        for text in ("42", "4", "24")
    ]  # fmt: skip
    found = of_rollouts(rows, [], 0, decode)
    assert (found["rollouts/texts_read"], found["rollouts/texts_off"]) == (3.0, 1.0)


def test_rollouts_are_trained_with_their_own_credit():
    from trueloop.loop.measures import _credit, _weights
    from trueloop.records import Sample

    rows = [
        {"id": id, "advantage": a, "reward": r, "group_index": 0}
        for id, a, r in (("a", 1.0, 1.0), ("b", -1.0, 0.0), ("c", 0.0, 0.5))
    ]
    mask = (False, True, True)

    class Given:
        pairs = ()

        def __init__(self, *weights):
            self.samples = [
                Sample(id=id, tokens=(1, 2, 3), loss_mask=mask, weights=(0.0, *w))
                for id, w in zip("abc", weights, strict=True)
            ]

    assert _weights(rows, [Given((1.0, 0.9), (-1.0, -1.0), (0.0, 0.0))]) == {"credit/rows": 3, "credit/misweighted": 0}
    assert _weights(rows, [Given((1.0, 0.0), (1.0, 1.0), (0.1, 0.0))])["credit/misweighted"] == 3
    assert _credit(rows) == {"credit/pairs": 3.0, "credit/ordered": 3.0}
