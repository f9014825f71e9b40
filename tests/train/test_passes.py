"""The loss and its gradient depend on nothing but the samples."""

import random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest import approx

from helpers import tiny_policy
from trainer_toys import (
    ClippedWithEntropyAndKl,
    Distill,
    Dpo,
    SequenceRatio,
    Sft,
    difference,
    groups,
    measure,
    pairs,
    rl,
)
from trueloop.errors import TrainingError
from trueloop.formulas.reduce import fixed_length, row_mean, sequence_mean, token_mean
from trueloop.records import Metric
from trueloop.train.batch import Batching, Stream
from trueloop.train.passes import flat_buffer, merge, summarise

TOKEN_LOSSES = [Sft(), ClippedWithEntropyAndKl(), SequenceRatio(), Distill()]
EXACT = 3e-5  # of the gradient's norm: the order of float32 sums
quick = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def policy():
    return tiny_policy()


def same(a, b):
    """Two measurements with equal loss, gradient and metrics of the values (not of the packing)."""
    (report_a, gradient_a), (report_b, gradient_b) = a, b
    assert report_b.loss == approx(report_a.loss, rel=1e-5, abs=1e-6)
    assert difference(gradient_a, gradient_b) < EXACT
    for name in report_a.metrics.keys() - {"positions", "padding", "passes"}:
        x, y = report_a.metrics[name], report_b.metrics[name]
        assert y.count == x.count
        assert (y.total, y.low, y.high) == approx((x.total, x.low, x.high), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("loss", TOKEN_LOSSES, ids=lambda loss: type(loss).__name__)
@quick
@given(
    seed=st.integers(0, 1000),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    budget=st.integers(1, 80),
    share=st.booleans(),
    gaps=st.booleans(),
    reduction=st.sampled_from([token_mean, sequence_mean, lambda lengths: fixed_length(lengths, 11)]),
)
def test_split_padding_order_and_sharing_change_nothing(policy, loss, seed, sizes, budget, share, gaps, reduction):
    samples = groups(seed, sizes, gaps=gaps)
    if not any(s.trained_tokens for s in samples):
        return
    one_pass = measure(policy, [rl(samples, loss, reduction=reduction)], Batching(budget=10**9, shared_prefix=False))
    shuffled = random.Random(seed).sample(samples, len(samples))
    other = measure(policy, [rl(shuffled, loss, reduction=reduction)], Batching(budget=budget, shared_prefix=share))
    same(one_pass, other)


@quick
@given(seed=st.integers(0, 1000), count=st.integers(1, 5), budget=st.integers(1, 60), share=st.booleans())
def test_pairs_too(policy, seed, count, budget, share):
    rows = pairs(seed, count)
    if not any(pair.weight for pair in rows):
        return

    def stream(rows):
        return Stream(name="dpo", loss=Dpo(), reduction=row_mean, pairs=rows)

    one_pass = measure(policy, [stream(rows)], Batching(budget=10**9, shared_prefix=False))
    same(one_pass, measure(policy, [stream(rows[::-1])], Batching(budget=budget, shared_prefix=share)))


@pytest.mark.parametrize("loss", [Sft(), SequenceRatio()], ids=lambda loss: type(loss).__name__)
def test_batch_mates_add_up(policy, loss):
    """The gradient of two samples together is the sum of theirs alone at the same scale."""
    samples = groups(3, [1, 1])
    together = measure(policy, [rl(samples, loss, reduction=lambda lengths: [0.1] * len(lengths))])
    alone = [measure(policy, [rl([s], loss, reduction=lambda lengths: [0.1])]) for s in samples]
    summed = {name: alone[0][1][name] + alone[1][1][name] for name in together[1]}
    assert difference(together[1], summed) < EXACT
    assert together[0].loss == approx(sum(report.loss for report, _ in alone), rel=1e-5)


def test_loss_equals_hand_value(policy):
    """SFT by the model's own logits, without the library's scoring."""
    samples = groups(5, [2, 1], gaps=True)
    report, _ = measure(policy, [rl(samples, Sft())])
    total = 0.0
    for s in samples:
        with torch.no_grad():
            logp_TV = policy.model(input_ids=torch.tensor([s.tokens])).logits[0].log_softmax(-1)
        total += sum(
            -float(logp_TV[t - 1, s.tokens[t]]) * s.weights[t] for t, trained in enumerate(s.loss_mask) if trained
        )
    assert report.loss == approx(total / sum(s.trained_tokens for s in samples), rel=1e-4)


def test_temperature_divides_the_logits(policy):
    (s,) = groups(5, [1])
    weights = tuple(1.0 for _ in s.tokens)
    s = type(s)(id="s", tokens=s.tokens, loss_mask=s.loss_mask, weights=weights)
    report, _ = measure(policy, [rl([s], Sft(), temperature=2.0)])
    with torch.no_grad():
        logp_TV = (policy.model(input_ids=torch.tensor([s.tokens])).logits[0] / 2.0).log_softmax(-1)
    trained = [t for t, on in enumerate(s.loss_mask) if on]
    assert report.loss == approx(-sum(float(logp_TV[t - 1, s.tokens[t]]) for t in trained) / len(trained), rel=1e-4)


def test_summaries_are_exact_and_skip_what_was_not_computed():
    values_BT = torch.tensor([[1.0, 50.0], [3.0, 5.0]])
    mask_BT = torch.tensor([[True, False], [True, True]])
    found = summarise({"token": values_BT, "row": torch.tensor([2.0, 4.0]), "none": torch.zeros(0)}, mask_BT)
    assert found == {
        "token": Metric(total=9.0, count=3, low=1.0, high=5.0),
        "row": Metric(total=6.0, count=2, low=2.0, high=4.0),
    }


def test_pairs_values_count_by_their_weights():
    found = summarise({"logit": torch.tensor([2.0, -4.0])}, weight_B=[0.75, 0.25])
    assert found == {"logit": Metric(total=0.5, count=1.0, low=-4.0, high=2.0)}


def test_merge_keeps_extremes():
    a, b = Metric(total=3, count=2, low=1, high=2), Metric(total=9, count=1, low=9, high=9)
    assert merge([{"x": a}, {"x": b, "y": a}]) == {"x": Metric(total=12, count=3, low=1, high=9), "y": a}


def test_nothing_to_train_is_an_error():
    with pytest.raises(TrainingError, match="0 devices"):
        flat_buffer({})
