from __future__ import annotations

import torch

from helpers import tiny_policy
from numerics_toys import policy, rows, trainer
from trueloop.checks.numerics.cause import explain
from trueloop.models import LoRA
from trueloop.preflight.numerics.sight import (
    Sight,
    cut,
    cut_off,
    min_p,
    other_prompt,
    own_logits,
    picked,
    seen_before,
    spread,
)


def sight(temperature: float = 1.0) -> Sight:
    return Sight.of(policy(), rows(), temperature)


def test_the_model_s_own_forward_agrees_with_the_trainer() -> None:
    samples, seen = rows(), sight(0.7)
    trained = seen.of_rows(trainer().logprobs(samples, 0.7))
    assert max(abs(a - b) for a, b in zip(seen.plain(), trained, strict=True)) < 1e-4
    assert len(own_logits(policy(), samples)) == len(trained)


def test_every_fitted_cause_is_found_again() -> None:
    seen = sight()
    plain, z = seen.plain(), seen.logits_NV
    wrongs = {
        "temperature 0.6": seen.scored(z / 0.6),
        "repetition penalty of 1.3": seen.scored(seen.penalised(1.3)),
        "shifted by +1": [v for row in seen._by_row(plain) for v in (row[-1:] + row[:-1])],
        "summed over": [v for row in seen._by_row(plain) for v in torch.tensor(row).cumsum(0).tolist()],
    }
    for words, claimed in wrongs.items():
        assert words in explain(claimed, plain, seen.candidates(claimed)), words


def test_another_prompt_and_a_missing_adapter_are_found_again() -> None:
    adapted = tiny_policy(adapter=LoRA(rank=2, alpha=4))
    with torch.no_grad():
        for name, p in adapted.trainable().items():
            if "lora_B" in name:
                p.copy_(0.3 * torch.ones_like(p))
    seen = Sight.of(adapted, rows(), 1.0)
    found = seen.candidates(seen.plain())
    assert explain(found["scored without the adapter"], seen.plain(), found) == "scored without the adapter"
    first = found["after a prompt without its first token"]
    assert explain(first, seen.plain(), found) == "after a prompt without its first token"


def test_half_precision_widens_the_limits() -> None:
    seen = sight()
    assert seen.limits(["float32"]) == (1e-4, 1e-3)
    mean, high = seen.limits(["float32", "bfloat16"])
    assert mean > 1e-3 and high > mean


def test_rows_are_cut_and_their_prompts_changed() -> None:
    sample = rows()[3]
    assert sum(cut(sample, 2).loss_mask) == 2 and cut(sample, 99).tokens == sample.tokens
    shorter = other_prompt(sample, lambda p: p[1:])
    assert (
        shorter is not None and shorter.tokens == sample.tokens[1:] and sum(shorter.loss_mask) == sample.trained_tokens
    )
    assert other_prompt(sample, lambda p: ()) is None


def test_truncations_keep_what_they_say() -> None:
    z = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    assert torch.isfinite(cut_off(z, top_k=2)).sum() == 2
    assert torch.isfinite(min_p(z, 0.2)).sum() == 2
    assert picked(z, torch.tensor([1])) == [2.0]


def test_what_was_read_before_each_token_is_seen() -> None:
    sample = rows()[0]
    seen = seen_before([sample], 64, torch.device("cpu"))
    assert seen[0].nonzero()[:, 0].tolist() == sorted(set(sample.tokens[:4]))
    assert seen[1, sample.tokens[4]]


def test_rows_are_taken_in_turn_from_every_group_once() -> None:
    a, b, c = rows(3)
    assert [s.id for s in spread({"x": [a, a, b], "y": [c]}, 3)] == ["s0", "s2", "s1"]
