from dataclasses import replace

import pytest
import torch
from pytest import approx

from trainer_toys import Distill, Dpo, Sft, groups, pairs, rl
from trueloop.errors import DataError
from trueloop.formulas.reduce import row_mean, token_mean
from trueloop.records import Sample, Teacher
from trueloop.train.batch import Pass, Stream, batch, inputs, pair_batch, scatter
from trueloop.train.packing import Row, plain_rows

CPU = torch.device("cpu")


def sample(name, tokens, mask):
    n = len(tokens)
    weights = tuple(float(k) for k in range(n))
    return Sample(id=name, tokens=tokens, loss_mask=mask, weights=weights, logprobs=tuple(-w for w in weights))


A = sample("a", (10, 11, 12, 13), (False, False, True, True))
B = sample("b", (10, 11, 14, 15, 16, 17), (False, False, True, False, True, False))


def work(rows, samples, **changes):
    fields = {"stream": "s", "loss": Sft(), "temperature": 1.0, "rows": rows, "samples": samples, "pairs": ()}
    return Pass(**{**fields, "scales": (1.0,) * len(samples), "seed": 0, **changes})


def test_plain_rows_are_laid_out_by_hand():
    placed = inputs(plain_rows((A, B)), (A, B), CPU)
    assert placed.rows.ids_RS.tolist() == [[10, 11, 12, 0], [10, 11, 14, 15]]
    assert placed.rows.segment_RS.tolist() == [[0, 0, 0, -1], [0, 0, 0, 0]]
    assert placed.rows.position_RS.tolist() == [[0, 1, 2, 0], [0, 1, 2, 3]]
    assert placed.ids_N.tolist() == [12, 13, 14, 16]
    assert placed.predict_N.tolist() == [1, 2, 4 + 1, 4 + 3]
    assert placed.mask_BT.tolist() == [[True, True, False], [True, False, True]]


def test_a_shared_row_is_laid_out_by_hand():
    placed = inputs([Row((1, 0), 2, 5)], (A, B), CPU)
    assert placed.rows.ids_RS.tolist() == [[10, 11, 14, 15, 12]]
    assert placed.rows.segment_RS.tolist() == [[0, 0, 1, 1, 2]]
    assert placed.rows.position_RS.tolist() == [[0, 1, 2, 3, 2]]
    assert placed.ids_N.tolist() == [12, 13, 14, 16]
    assert placed.predict_N.tolist() == [1, 4, 1, 3]  # both first tokens are predicted by the prefix's last position


def test_batch_columns_begin_at_the_first_trained_token():
    made = batch(work(plain_rows((A, B)), (A, B)), inputs(plain_rows((A, B)), (A, B), CPU))
    assert made.ids_BT.tolist() == [[12, 13, 0], [14, 0, 16]]
    assert made.weights_BT.tolist() == [[2, 3, 0], [2, 0, 4]]
    assert made.old_logp_BT.tolist() == [[-2, -3, 0], [-2, 0, -4]]
    assert made.ref_logp_BT is None and made.teacher_ids_BTK is None
    assert made.ids == ("a", "b")


def test_teacher_rows_land_on_their_tokens():
    teacher = Teacher(ids=((3, 4), (5, 6)), logprobs=((-1.0, -2.0), (-3.0, -4.0)))
    taught = replace(B, teacher=teacher)
    made = batch(work(plain_rows((taught,)), (taught,)), inputs(plain_rows((taught,)), (taught,), CPU))
    assert made.teacher_ids_BTK.tolist() == [[[3, 4], [0, 0], [5, 6]]]
    assert made.teacher_logp_BTK.tolist() == [[[-1, -2], [0, 0], [-3, -4]]]


def test_pair_batch_sums_the_reference_over_trained_tokens():
    rows = pairs(1, 3)
    samples = tuple(s for p in rows for s in (p.chosen, p.rejected))
    placed = inputs(plain_rows(samples), samples, CPU)
    made = pair_batch(work(plain_rows(samples), samples, pairs=tuple(rows), scales=(1.0, 2.0, 3.0)), placed)
    expected = [sum(v for v, on in zip(p.chosen.ref_logprobs, p.chosen.loss_mask, strict=True) if on) for p in rows]
    assert made.ref_chosen_logp_B.tolist() == approx(expected, rel=1e-6)
    assert made.rejected_length_B.tolist() == [p.rejected.trained_tokens for p in rows]
    assert made.gap_B is None
    assert made.scale_B.tolist() == [1, 2, 3]


def test_margins_stand_under_their_names_whatever_their_order():
    first, second = pairs(1, 2)
    first = replace(first, margins={"length": 1.0, "harm": -2.0}, gap=0.5)
    second = replace(second, margins={"harm": 3.0, "length": 4.0}, gap=-1.5)

    def made(*rows):
        samples = tuple(s for p in rows for s in (p.chosen, p.rejected))
        whole = work(plain_rows(samples), samples, pairs=rows, scales=(1.0,) * len(rows))
        return pair_batch(whole, inputs(plain_rows(samples), samples, CPU))

    for one, sign in ((made(first, second), 1), (made(second, first), -1)):
        assert one.margin_names == ("harm", "length")
        assert one.margins_BM.tolist()[::sign] == [[-2, 1], [3, 4]]
        assert one.gap_B.tolist()[::sign] == [0.5, -1.5]


def test_scatter_carries_gradients_to_the_packed_values():
    values_N = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    mask_BT = torch.tensor([[True, False], [True, True]])
    out_BT = scatter(values_N, mask_BT)
    assert out_BT.tolist() == [[1, 0], [2, 3]]
    (out_BT * torch.tensor([[1.0, 10.0], [100.0, 1000.0]])).sum().backward()
    assert values_N.grad.tolist() == [1, 100, 1000]


def test_a_stream_is_of_one_kind():
    with pytest.raises(DataError, match="1 samples and 2 pairs"):
        Stream(name="x", loss=Dpo(), reduction=token_mean, samples=[A], pairs=pairs(1, 2))


def bare(out, batch):
    return -out.logp_BT, {}


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (bare, r"loss bare lacks needs_entropy \(whether the entropies .*silent_at_zero_weight and __call__"),
        (
            type("Half", (), {"needs_entropy": False, "__call__": bare})(),
            r"loss Half lacks silent_at_zero_weight \(whether a",
        ),
        (Dpo(), "loss Dpo lacks needs_entropy"),
        (Sft, "loss Sft must be an instance"),
        ("sft", "loss str must be an instance"),
    ],
)
def test_a_loss_without_what_a_loss_has_is_refused_when_the_stream_is_made(loss, message):
    with pytest.raises(DataError, match=f"stream 'rl': its {message}"):
        rl([A], loss)


def test_a_loss_over_pairs_is_any_instance_that_can_be_called():
    Stream(name="x", loss=Dpo(), reduction=row_mean, pairs=pairs(1, 2))
    with pytest.raises(DataError, match="loss Dpo must be an instance"):
        Stream(name="x", loss=Dpo, reduction=row_mean, pairs=pairs(1, 2))


def test_half_a_column_is_refused():
    with pytest.raises(DataError, match="'rl': trained rows 'a' and 'b' disagree about logprobs"):
        rl([A, replace(B, logprobs=None)])


def test_pairs_of_different_objectives_are_refused_and_both_are_named():
    one, other = (replace(p, margins=m) for p, m in zip(pairs(1, 2), ({"length": 1.0}, {"harm": 1.0}), strict=True))
    with pytest.raises(DataError, match=r"'p0' and 'p1' disagree about .* margins \(\('length',\) and \('harm',\)\)"):
        Stream(name="x", loss=Dpo(), reduction=row_mean, pairs=[one, other])
    with pytest.raises(DataError, match=r"'p0' and 'p1' disagree about a gap \(False and True\)"):
        Stream(name="x", loss=Dpo(), reduction=row_mean, pairs=[one, replace(other, margins=one.margins, gap=0.0)])


def test_rows_without_a_trained_token_need_no_columns():
    untrained = Sample(id="u", tokens=(1, 2), loss_mask=(False, False), weights=(0.0, 0.0))
    assert rl([*groups(1, [2]), untrained]).rows()[-1] is untrained


def test_teachers_have_one_width():
    def taught(*widths):
        ids = tuple(tuple(range(w)) for w in widths)
        return replace(A, teacher=Teacher(ids=ids, logprobs=tuple(tuple(map(float, row)) for row in ids)))

    with pytest.raises(DataError, match=r"'a': its teacher rows have \[2, 3\] entries"):
        rl([taught(2, 3)], Distill())
    with pytest.raises(DataError, match="a teacher of this K"):
        rl([taught(2, 2), taught(3, 3)], Distill())
