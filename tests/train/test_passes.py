"""The loss and its gradient depend on nothing but the samples."""

import random
import re
from dataclasses import replace

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
from trueloop.records import Metric, Sample
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


class Returning(Sft):
    """Supervised, with its return value changed."""

    def __init__(self, change):
        self.change = change

    def __call__(self, out, batch):
        return self.change(*super().__call__(out, batch))


BY_HAND = {
    "a mean": (lambda loss, m: (loss.mean(), m), r"its loss is a tensor \[\]"),
    "a sum per row": (lambda loss, m: (loss.sum(1), m), r"its loss is a tensor \[{n}\]"),
    "a column": (lambda loss, m: (loss.sum(1, keepdim=True), m), r"its loss is a tensor \[{n}, 1\]"),
    "a number": (lambda loss, m: (1.0, m), "its loss is of type float"),
    "no metrics": (lambda loss, m: loss, r"what it returned is a tensor \[{n}, {n}\]"),
    "three things": (lambda loss, m: (loss, m, m), "what it returned is of type tuple"),
    "a list of metrics": (lambda loss, m: (loss, []), "what it returned is of type tuple"),
    "a mean as a metric": (lambda loss, m: (loss, {"kl": loss.mean()}), r"its metric 'kl' is a tensor \[\]"),
    "a float as a metric": (lambda loss, m: (loss, {"kl": 0.5}), "its metric 'kl' is of type float"),
    "a mean over rows": (lambda loss, m: (loss, {"kl": loss.mean(0)[:1]}), r"its metric 'kl' is a tensor \[1\]"),
}


def square(n):
    """n samples of n trained tokens each: B = T, so a value per sample would be broadcast over tokens."""
    mask = (False, *[True] * n)
    return [
        Sample(id=str(k), tokens=(3, *range(4 + k, 4 + k + n)), loss_mask=mask, weights=(1.0,) * (n + 1))
        for k in range(n)
    ]


@pytest.mark.parametrize("name", BY_HAND)
def test_a_loss_of_another_shape_is_refused_and_not_broadcast(policy, name):
    change, message = BY_HAND[name]
    with pytest.raises(TrainingError) as caught:
        measure(policy, [rl(square(3), Returning(change))])
    assert re.search(message.replace("{n}", "3"), str(caught.value)), caught.value
    for part in ("stream 'rl': loss Returning must return", "[B, T] = [3, 3]", "do not average or mask: the reduction"):
        assert part in str(caught.value)


def test_one_sample_may_not_return_its_sum(policy):
    with pytest.raises(TrainingError, match=r"\[B, T\] = \[1, 1\].*its loss is a tensor \[1\]"):
        measure(policy, [rl(square(1), Returning(lambda loss, m: (loss.sum(1), m)))])


class MeanDpo(Dpo):
    def __call__(self, out, batch):
        loss_B, metrics = super().__call__(out, batch)
        return loss_B.mean(), metrics


def test_pairs_return_one_loss_each(policy):
    rows = [replace(pair, weight=1.0) for pair in pairs(1, 3)]
    stream = Stream(name="dpo", loss=MeanDpo(), reduction=row_mean, pairs=rows)
    with pytest.raises(TrainingError, match=r"'dpo': loss MeanDpo .*\(loss \[B\] = \[3\].*loss is a tensor \[\]"):
        measure(policy, [stream], Batching(shared_prefix=False))


def test_summaries_are_exact():
    values_BT = torch.tensor([[1.0, 50.0], [3.0, 5.0]])
    mask_BT = torch.tensor([[True, False], [True, True]])
    found = summarise({"token": values_BT, "row": torch.tensor([2.0, 4.0])}, mask_BT)
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
