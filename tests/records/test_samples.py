import math

import pytest

from trueloop.errors import DataError
from trueloop.records import Sample, SamplePair, Teacher


def test_a_sample_needs_one_entry_per_token_and_a_context() -> None:
    good = {"id": "a", "tokens": (1, 2), "loss_mask": (False, True), "weights": (0.0, 1.0)}
    assert Sample(**good).trained_tokens == 1  # type: ignore[arg-type]
    for bad, message in (
        ({"weights": (1.0,)}, "weights must have one entry per token, got 1 for 2 tokens"),
        ({"ref_logprobs": (0.0,) * 3}, "ref_logprobs must have one entry per token"),
        ({"loss_mask": (True, True)}, "the first token cannot be trained"),
        ({"teacher": Teacher(ids=((1,), (2,)), logprobs=((0.0,), (0.0,)))}, "2 teacher rows for 1 trained tokens"),
    ):
        with pytest.raises(DataError, match=message):
            Sample(**(good | bad))  # type: ignore[arg-type]


@pytest.mark.parametrize("weight", [-0.5, math.nan, math.inf])
def test_a_pair_cannot_weigh_less_than_nothing(weight: float) -> None:
    sample = Sample(id="a", tokens=(1, 2), loss_mask=(False, True), weights=(0.0, 1.0))
    assert SamplePair(id="p", chosen=sample, rejected=sample, weight=0.0).gap is None
    with pytest.raises(DataError, match="pair 'p': its weight must be 0 or positive"):
        SamplePair(id="p", chosen=sample, rejected=sample, weight=weight)
