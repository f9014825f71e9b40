import math
from itertools import islice

import numpy
import pytest
import torch
from scipy.stats import chisquare
from transformers import TopKLogitsWarper, TopPLogitsWarper

from trueloop.engines.sampling import Knobs, draw, inverse_cdf, truncate, uniforms
from trueloop.records import Sampling

CPU = torch.device("cpu")
LOGITS = torch.tensor([1.0, -0.5, 2.0, 0.3, -3.0, 1.7])


def enumerated(logits: list[float], temperature: float, top_k: int, top_p: float) -> list[float]:
    """The distribution by definition, in plain Python: temperature, then top-k, then the nucleus of the rest."""
    weights = [math.exp(x / temperature) for x in logits]
    order = sorted(range(len(weights)), key=lambda i: -weights[i])[: top_k or len(weights)]
    total, kept, mass = sum(weights[i] for i in order), [], 0.0
    for i in order:
        if mass < top_p:
            kept.append(i)
        mass += weights[i] / total
    total = sum(weights[i] for i in kept)
    return [weights[i] / total if i in kept else 0.0 for i in range(len(weights))]


SETTINGS = [(1.0, 0, 1.0), (0.7, 0, 1.0), (1.3, 3, 1.0), (1.0, 0, 0.8), (0.6, 4, 0.7), (2.0, 1, 1.0), (1.0, 99, 0.01)]


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), SETTINGS)
def test_draw_follows_the_enumerated_distribution_and_reports_its_logprobs(temperature, top_k, top_p):
    want = enumerated(LOGITS.tolist(), temperature, top_k, top_p)
    N = 4000
    knobs = Knobs.of([Sampling(max_tokens=1, temperature=temperature, top_k=top_k, top_p=top_p)] * N, CPU)
    u = (torch.arange(N, dtype=torch.float64) + 0.5) / N
    got = draw(LOGITS.expand(N, -1), knobs, u)
    share = torch.bincount(got.tokens_R, minlength=len(want)) / N
    assert share.tolist() == pytest.approx(want, abs=1 / N)
    assert got.logprobs_R.tolist() == pytest.approx([math.log(want[t]) for t in got.tokens_R], abs=1e-6)
    untruncated = enumerated(LOGITS.tolist(), temperature, 0, 1.0)
    assert got.scores_R.tolist() == pytest.approx([math.log(untruncated[t]) for t in got.tokens_R], abs=1e-6)
    assert got.valid_R.all()


def test_philox_uniforms_give_the_distribution_across_seeds():
    N = 3000
    u = torch.tensor([next(uniforms(seed)) for seed in range(N)], dtype=torch.float64)
    got = draw(LOGITS.expand(N, -1), Knobs.of([Sampling(max_tokens=1)] * N, CPU), u)
    counts = torch.bincount(got.tokens_R, minlength=6)
    assert chisquare(counts, LOGITS.double().softmax(-1) * N).pvalue > 1e-3


def test_uniforms_are_a_function_of_the_seed():
    def first(count, seed):
        return list(islice(uniforms(seed), count))

    assert first(100, 7) == numpy.random.Generator(numpy.random.Philox(key=7)).random(100).tolist()
    assert first(40, 7) != first(40, 8)
    assert first(3, -1) == first(3, 2**128 - 1)
    assert 0.49 < sum(first(10000, 3)) / 10000 < 0.51


def test_greedy_takes_the_argmax_and_scores_it_untruncated_at_temperature_one():
    knobs = Knobs.of([Sampling(max_tokens=1, temperature=0, top_k=1, top_p=0.1)], CPU)
    got = draw(LOGITS[None], knobs, torch.tensor([0.999]))
    want = LOGITS.log_softmax(-1)[2].item()
    assert (got.tokens_R.item(), got.logprobs_R.item(), got.scores_R.item()) == (
        2,
        *[pytest.approx(want, abs=1e-6)] * 2,
    )


def test_rows_of_one_batch_keep_their_own_settings():
    rows = [Sampling(max_tokens=1, temperature=t or 1.0, top_k=k, top_p=p) for t, k, p in SETTINGS]
    rows.append(Sampling(max_tokens=1, temperature=0))
    u = torch.full((len(rows),), 0.77, dtype=torch.float64)
    together = draw(LOGITS.expand(len(rows), -1), Knobs.of(rows, CPU), u)
    for i, row in enumerate(rows):
        alone = draw(LOGITS[None], Knobs.of([row], CPU), u[:1])
        assert together.tokens_R[i] == alone.tokens_R[0]
        assert together.logprobs_R[i].item() == pytest.approx(alone.logprobs_R[0].item(), abs=1e-6)


def test_truncate_agrees_with_transformers():
    logits = torch.randn(50, 40, generator=torch.Generator().manual_seed(0)) * 2
    for k, p in [(5, 1.0), (0, 0.9), (7, 0.6), (40, 0.3), (1, 0.5)]:
        want = TopKLogitsWarper(k)(None, logits) if k else logits
        want = TopPLogitsWarper(p)(None, want) if p < 1 else want
        got = truncate(logits, torch.full((50,), k), torch.full((50,), p, dtype=torch.float64))
        assert torch.equal(got, want)


def test_ties_at_the_edge_are_all_kept():
    flat = torch.zeros(2, 6)
    got = truncate(flat, torch.tensor([2, 0]), torch.tensor([1.0, 0.5], dtype=torch.float64))
    assert torch.equal(got, flat)


def test_inverse_cdf_never_returns_an_impossible_token():
    probs = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]])
    for u, want in [(0.0, 1), (0.4999, 1), (0.5, 3), (1 - 2**-53, 3)]:
        assert inverse_cdf(probs, torch.tensor([u], dtype=torch.float64)).item() == want


def test_logits_that_are_not_finite_are_reported():
    logits = torch.stack((LOGITS, LOGITS, LOGITS, LOGITS))
    logits[1, 3], logits[2, 3], logits[3, 3] = torch.nan, torch.inf, -torch.inf
    got = draw(logits, Knobs.of([Sampling(max_tokens=1)] * 4, CPU), torch.full((4,), 0.5, dtype=torch.float64))
    assert got.valid_R.tolist() == [True, False, False, True]
