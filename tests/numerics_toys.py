"""A tiny policy with rows of its own, for the tests that measure losses, gradients and distributions."""

from __future__ import annotations

import functools
import random
from dataclasses import replace
from typing import Any

from helpers import tiny_policy
from trueloop.formulas.reduce import token_mean
from trueloop.models import Policy
from trueloop.models.reference import FrozenCopy, with_reference
from trueloop.recipes.policy import Clip, PolicyLoss
from trueloop.records import Sample
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer

CLIP = PolicyLoss(Clip(low=0.2, high=0.3))


@functools.cache
def policy() -> Policy:
    """One for all tests; none of them leaves it changed."""
    return tiny_policy()


def trainer(**batching: Any) -> Trainer:
    """A trainer of it."""
    return Trainer(policy(), Optim(lr=1e-3, max_grad_norm=1.0), Batching(**batching))


def rows(n: int = 6, *, reference: bool = False) -> list[Sample]:
    """Rows of two prompts with weights of both signs, with the policy's own log-probabilities as the old ones."""
    dice = random.Random(1)
    prompts = [tuple(dice.randrange(2, 60) for _ in range(4)) for _ in range(2)]
    bare = []
    for k in range(n):
        length = 3 + k % 4
        mask = (False,) * 4 + (True,) * length
        tokens = prompts[k % 2] + tuple(dice.randrange(2, 60) for _ in range(length))
        weights = tuple((1.0 if k % 3 else -1.5) * m for m in mask)
        bare.append(Sample(id=f"s{k}", tokens=tokens, loss_mask=mask, weights=weights))
    old = trainer().logprobs(bare)
    found = [replace(s, logprobs=o) for s, o in zip(bare, old, strict=True)]
    return with_reference(found, FrozenCopy(policy())) if reference else found


def stream(loss: Any = CLIP, samples: list[Sample] | None = None, **changes: Any) -> Stream:
    """A stream of these rows."""
    return Stream(name="policy", samples=samples or rows(), loss=loss, **{"reduction": token_mean, **changes})
