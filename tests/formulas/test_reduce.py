import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trueloop.errors import DataError
from trueloop.formulas.reduce import fixed_length, row_mean, sequence_mean, token_mean, weighted_sum

RULES = [token_mean, sequence_mean, row_mean, lambda lengths: fixed_length(lengths, 7)]


def batch(rows, scales, width=None):
    """Rows of (loss, trained) pairs as padded tensors; padding holds a number that must not be read."""
    width = width or max(len(row) for row in rows)
    loss = torch.full((len(rows), width), math.nan, dtype=torch.float64)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        loss[i, : len(row)] = torch.tensor([value for value, _ in row], dtype=torch.float64)
        mask[i, : len(row)] = torch.tensor([trained for _, trained in row], dtype=torch.bool)
    return loss, mask, torch.tensor(scales, dtype=torch.float64)


def lengths_of(rows):
    return [sum(trained for _, trained in row) for row in rows]


def test_token_mean_of_ones_and_two_fives_is_two_however_it_is_split():
    rows = [[(1.0, True)]] * 6 + [[(5.0, True)]] * 2
    scales = token_mean(lengths_of(rows))
    whole = weighted_sum(*batch(rows, scales))
    split = weighted_sum(*batch(rows[:6], scales[:6])) + weighted_sum(*batch(rows[6:], scales[6:]))
    assert whole.item() == pytest.approx(2.0)
    assert split.item() == pytest.approx(2.0)


def test_hand_values():
    rows = [[(2.0, True), (9.0, False), (4.0, True)], [(6.0, True)]]
    assert lengths_of(rows) == [2, 1]
    assert weighted_sum(*batch(rows, token_mean([2, 1]))).item() == pytest.approx(12 / 3)
    assert weighted_sum(*batch(rows, sequence_mean([2, 1]))).item() == pytest.approx((3 + 6) / 2)
    assert weighted_sum(*batch(rows, row_mean([2, 1]))).item() == pytest.approx((6 + 6) / 2)
    assert weighted_sum(*batch(rows, fixed_length([2, 1], 10))).item() == pytest.approx(12 / 20)


def test_a_dropped_sample_still_counts_in_the_denominator():
    kept = [[(3.0, True)] * 2]
    assert weighted_sum(*batch(kept, token_mean([2, 4])[:1])).item() == pytest.approx(6 / 6)
    assert weighted_sum(*batch(kept, sequence_mean([2, 4])[:1])).item() == pytest.approx(3 / 2)
    assert weighted_sum(*batch(kept, fixed_length([2, 4], 4)[:1])).item() == pytest.approx(6 / 8)


def test_a_sample_without_trained_tokens_adds_nothing_and_counts_as_a_sample():
    assert sequence_mean([2, 0]) == [0.25, 0.0]
    assert row_mean([2, 0]) == [0.5, 0.5]
    assert fixed_length([2, 0], 4) == [0.125, 0.125]


token = st.tuples(st.floats(-10, 10), st.booleans())
samples = st.lists(st.lists(token, min_size=1, max_size=5), min_size=1, max_size=7).filter(
    lambda rows: sum(lengths_of(rows)) > 0
)


@settings(max_examples=80, deadline=None)
@given(rows=samples, rule=st.sampled_from(RULES), data=st.data())
def test_the_loss_depends_on_neither_split_nor_order_nor_padding(rows, rule, data):
    scales = rule(lengths_of(rows))
    whole = weighted_sum(*batch(rows, scales)).item()
    order = data.draw(st.permutations(range(len(rows))))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rows)), max_size=3)) | {0, len(rows)})
    total = 0.0
    for start, stop in itertools.pairwise(cuts):
        part = order[start:stop]
        width = max(len(rows[i]) for i in part) + data.draw(st.integers(0, 3))
        total += weighted_sum(*batch([rows[i] for i in part], [scales[i] for i in part], width)).item()
    assert total == pytest.approx(whole, abs=1e-9)


@pytest.mark.parametrize("rule", RULES)
def test_masked_columns_get_no_gradient_and_trained_ones_get_their_scale(rule):
    loss = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True, False], [False, True, False]])
    scales = torch.tensor(rule([2, 1]), dtype=torch.float64)
    weighted_sum(loss, mask, scales).backward()
    torch.testing.assert_close(loss.grad, scales[:, None] * mask)


@pytest.mark.parametrize("shape", [(), (3,), (3, 1), (1, 3), (2, 3)])
def test_a_loss_of_another_shape_is_refused_and_not_broadcast(shape):
    mask = torch.ones(3, 3, dtype=torch.bool)
    with pytest.raises(DataError, match=r"expected loss \[B, T\].*\[3, 3\], \[3\]\]"):
        weighted_sum(torch.ones(shape), mask, torch.ones(3))
    with pytest.raises(DataError, match="expected loss"):
        weighted_sum(torch.ones(3, 3), mask, torch.ones(()))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("lengths", [[], [0, 0], [3, -1]])
def test_a_step_without_trained_tokens_is_refused(rule, lengths):
    with pytest.raises(DataError, match="counts of trained tokens"):
        rule(lengths)


def test_a_fixed_length_below_one_is_refused():
    with pytest.raises(DataError, match="C must be at least 1"):
        fixed_length([1], 0)
