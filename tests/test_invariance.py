"""Every loss that a recipe trains with: its step does not depend on how the rows were laid out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import tiny_policy
from trueloop.models import Policy
from trueloop.recipes.losses import Distillation, ForwardKl, Jsd, ReverseKl, Supervised
from trueloop.recipes.policy import (
    Cispo,
    Clip,
    FixedLength,
    Gspo,
    Kl,
    PolicyLoss,
    Reinforce,
    SequenceMean,
    TokenMean,
    reduction,
)
from trueloop.records import Sample, Teacher
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer

LOSSES: dict[str, Any] = {
    "clip": PolicyLoss(Clip(low=0.2, high=0.28)),
    "reinforce": PolicyLoss(Reinforce()),
    "cispo": PolicyLoss(Cispo(max_ratio=1.5)),
    "gspo": PolicyLoss(Gspo(low=0.05, high=0.05)),
    "kl and entropy": PolicyLoss(Clip(low=0.2, high=0.2), kl=Kl(coefficient=0.3), entropy=0.1),
    "kl k1": PolicyLoss(Reinforce(), kl=Kl(coefficient=0.3, estimator="k1")),
    "kl k2": PolicyLoss(Reinforce(), kl=Kl(coefficient=0.3, estimator="k2")),
    "supervised": Supervised(),
    "forward kl": Distillation(ForwardKl()),
    "reverse kl": Distillation(ReverseKl()),
    "jsd": Distillation(Jsd(beta=0.3)),
}
REDUCTIONS = (TokenMean(), SequenceMean(), FixedLength(length=9))
POLICY = tiny_policy()
K = 3


def sample(k: int, prompt: tuple[int, ...], dice: random.Random) -> Sample:
    """A completion with a gap in its mask now and then, as after a tool's answer; weights are 0 for every third."""
    n = dice.randint(1, 7)
    mask = [False] * len(prompt) + [True] * n
    if n > 3 and dice.random() < 0.5:
        mask[len(prompt) + 1] = False
    weight = 0.0 if k % 3 == 2 else dice.uniform(-2, 2)
    trained = sum(mask)
    rows = [dice.sample(range(40), K) for _ in range(trained)]
    return Sample(
        id=f"s{k}",
        tokens=(*prompt, *(dice.randrange(2, 60) for _ in range(n))),
        loss_mask=tuple(mask),
        weights=tuple(weight * m for m in mask),
        logprobs=tuple(-dice.uniform(1, 5) * m for m in mask),
        ref_logprobs=tuple(-dice.uniform(1, 5) * m for m in mask),
        teacher=Teacher(ids=tuple(map(tuple, rows)), logprobs=((-0.4, -1.6, -2.5),) * trained),
    )


def samples(seed: int) -> list[Sample]:
    dice = random.Random(seed)
    prompts = [tuple(dice.randrange(2, 60) for _ in range(dice.randint(1, 12))) for _ in range(2)]
    return [sample(k, prompts[k % 2], dice) for k in range(7)]


def gradient(rows: Sequence[Sample], loss: Any, reduce: Any, **batching: Any) -> torch.Tensor:
    trainer = Trainer(_policy(), Optim(lr=1.0), Batching(**batching))
    named = trainer.backward([Stream(name="s", samples=rows, loss=loss, reduction=reduction(reduce))])
    return torch.cat([named[name].flatten() for name in sorted(named)])


def _policy() -> Policy:
    return POLICY


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).norm() <= 1e-5 * max(a.norm().item(), b.norm().item(), 1e-3))


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6), budget=st.sampled_from([1, 24, 60]), reduce=st.sampled_from(REDUCTIONS))
def test_the_gradient_does_not_depend_on_the_layout(name: str, seed: int, budget: int, reduce: Any) -> None:
    rows, loss = samples(seed), LOSSES[name]
    whole = gradient(rows, loss, reduce, budget=10_000, shared_prefix=False)
    assert whole.norm() > 0
    shuffled = random.Random(seed).sample(rows, len(rows))
    assert close(whole, gradient(shuffled, loss, reduce, budget=budget, shared_prefix=False))
    assert close(whole, gradient(rows, loss, reduce, budget=budget, shared_prefix=True))


@pytest.mark.parametrize("name", LOSSES)
def test_a_sample_adds_what_it_adds_alone_whatever_its_batch_mates(name: str) -> None:
    """With a constant denominator the gradient is a sum over samples."""
    rows, loss, reduce = samples(3), LOSSES[name], FixedLength(length=9)
    n = len(rows)
    alone = [gradient([row], loss, reduce) / n for row in rows]
    assert close(gradient(rows, loss, reduce), torch.stack(alone).sum(0))


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.silent_at_zero_weight])
def test_a_loss_that_calls_itself_silent_at_zero_weight_is(name: str) -> None:
    rows = [replace(row, weights=(0.0,) * len(row.tokens)) for row in samples(5)]

    class Loud:
        """The same loss, run all the same."""

        needs_entropy, silent_at_zero_weight = LOSSES[name].needs_entropy, False

        def __call__(self, out: Any, batch: Any) -> Any:
            return LOSSES[name](out, batch)

    assert gradient(rows, Loud(), TokenMean()).abs().max() == 0.0
