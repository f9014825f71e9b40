from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from numerics_toys import policy, rows
from trueloop.preflight.numerics.draws import beyond_truncation, drawn, entropies, together
from trueloop.preflight.numerics.sight import Sight, cut_off
from trueloop.records import Sampling

SAMPLING = Sampling(max_tokens=8)


def sight(logits: torch.Tensor, n: int = 400) -> Sight:
    """Tokens drawn from these logits, said to come from the first of them."""
    torch.manual_seed(0)
    base = torch.randn(n, 20)
    ids = torch.multinomial((base + logits).softmax(-1), 1)[:, 0]
    return replace(Sight.of(policy(), rows(1), 1.0), logits_NV=base, ids_N=ids)


def test_a_right_draw_fits_and_a_hotter_or_truncated_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sight, "penalised", lambda self, penalty: self.logits_NV)
    fair = drawn(sight(torch.zeros(20)), SAMPLING)
    assert max(fair.ratios.values()) < 10 and abs(fair.excess) < 4 * math.sqrt(fair.variance) and fair.outside == 0
    seen = sight(torch.zeros(20))
    few = torch.multinomial(cut_off(seen.logits_NV, top_k=3).softmax(-1), 1)[:, 0]
    found = drawn(replace(seen, ids_N=few), SAMPLING)
    assert max(found.ratios, key=lambda words: found.ratios[words]) == "top-k 3" and found.ratios["top-k 3"] > 100
    assert drawn(seen, replace(SAMPLING, top_k=3)).outside > 100


def test_the_probability_that_is_cut_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sight, "penalised", lambda self, penalty: self.logits_NV)
    seen = sight(torch.zeros(20))
    kept = cut_off(seen.logits_NV, top_k=5).softmax(-1) > 0
    expected = 1 - float((seen.logits_NV.softmax(-1) * kept).sum(-1).mean())
    assert abs(drawn(seen, replace(SAMPLING, top_k=5)).cut - expected) < 1e-5


def test_two_lots_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sight, "penalised", lambda self, penalty: self.logits_NV)
    one = drawn(sight(torch.zeros(20)), SAMPLING)
    both = together([one, one])
    assert both.n == 2 * one.n and both.ratios["top-k 3"] == 2 * one.ratios["top-k 3"]
    assert both.variance == 2 * one.variance


def test_entropies_are_those_of_the_logits() -> None:
    seen = replace(sight(torch.zeros(20)), logits_NV=torch.zeros(3, 20))
    assert all(abs(h - math.log(20)) < 1e-5 for h in entropies(seen))


def test_a_token_at_the_edge_of_the_nucleus_is_a_matter_of_rounding() -> None:
    logits = torch.tensor([[0.5, 0.39, 0.1, 0.01]]).log().expand(4, 4)
    ids, sampling = torch.arange(4), replace(SAMPLING, top_p=0.88)
    assert beyond_truncation(logits, ids, sampling).tolist() == [False, False, True, True]
    assert beyond_truncation(logits, ids, sampling, 0.05).tolist() == [False, False, False, True]
    close = torch.tensor([[0.5, 0.26, 0.24]]).log().expand(3, 3)
    assert beyond_truncation(close, torch.arange(3), replace(SAMPLING, top_k=2)).tolist() == [False, False, True]
    assert not beyond_truncation(close, torch.arange(3), replace(SAMPLING, top_k=2), 0.1).any()
