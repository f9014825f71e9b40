"""What faults that begin under way do: nothing before, what they say from then on."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace

import pytest

from helpers import tiny_policy
from trueloop.faults import under_way
from trueloop.formulas.reduce import token_mean
from trueloop.recipes.losses import Supervised
from trueloop.records import Request, Sample, Sampling, Score
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer
from trueloop.verify.base import Verifier


@dataclass(frozen=True)
class Right(Verifier):
    """The target and nothing else."""

    def __call__(self, target: str, text: str, leniency: float = 0.0) -> Score:
        right = float(text == target)
        return Score(status="scored", reward=right, passed=right == 1, parts={"strict": right, "lenient": right})


def stream(*weights: float) -> Stream:
    samples = [
        Sample(id=f"s{k}", tokens=(2, 3), loss_mask=(False, True), weights=(0.0, w)) for k, w in enumerate(weights)
    ]
    return Stream(name="policy", samples=samples, loss=Supervised(), reduction=token_mean)


def test_a_verdict_changes_once_the_fault_has_begun_and_keeps_its_name():
    steps = [0]
    changed = under_way.Changed(Right(), lambda: steps[0], under_way.always(1.0))
    assert changed("7", "8").reward == 0.0
    steps[0] = 1
    assert changed("7", "8").reward == 1.0 and changed("7", "8").passed
    assert changed.id == Right().id
    assert pickle.loads(pickle.dumps(changed)) == Right()


def test_verdicts():
    score = Right()("7", "7")
    assert under_way.sloppy(score, 1).parts == {"strict": 0.0, "lenient": 1.0}
    kept = [under_way.hardly(Score(status="scored", reward=1.0, passed=True, answer=str(k)), 1) for k in range(400)]
    assert 5 < sum(s.reward or 0 for s in kept) < 60
    with pytest.raises(RuntimeError):
        under_way.raising(score, 1)


def test_requests():
    request = Request(id="a", prompt=(1,), sampling=Sampling(max_tokens=9, seed=3))
    assert under_way.one_seed(request).sampling.seed == 7
    assert under_way.shorter(request).sampling.max_tokens == 3
    assert under_way.warmer(request).sampling.temperature == 1.3


def test_streams_that_grow_shrink_or_come_again():
    streams = [stream(1.0, -1.0, 1.0, 1.0, 1.0, 1.0)]
    assert [s.weights[1] for s in under_way.louder(10.0)(streams, 2)[0].samples[:2]] == [100.0, -100.0]
    assert [s.id for s in under_way.fewer(streams, 1)[0].samples] == ["s1", "s2", "s3", "s4"]
    again = under_way.Again()
    assert again(streams, 1) is streams and again([stream(2.0)], 2) is streams


def test_an_optimizer_that_skips_or_forgets():
    trainer = Trainer(tiny_policy(), Optim(lr=1e-2), Batching())
    weights = [next(iter(trainer.trainable.values())).detach().clone()]
    for n in (1, 2, 3):
        under_way.skipping(2)(trainer, n)
        trainer.step([stream(1.0)])
        weights.append(next(iter(trainer.trainable.values())).detach().clone())
    assert [not a.equal(b) for a, b in pairwise(weights)] == [True, False, True]
    before = trainer._optimizer
    under_way.forgetting(trainer, 2)
    assert trainer._optimizer is before
    under_way.forgetting(trainer, 1)
    assert trainer._optimizer is not before and not trainer._optimizer.state


def test_a_weight_that_is_lost_and_weights_that_drift():
    trainer = SimpleNamespace(trainable=tiny_policy().trainable(), steps=3)
    first = next(iter(trainer.trainable.values()))
    before = first.detach().clone()
    under_way.noise(trainer)  # type: ignore[arg-type]
    assert 1e-3 < float((first.detach() - before).std()) < 1e-2
    under_way.nan_weight(trainer)  # type: ignore[arg-type]
    assert int(first.isnan().sum()) == 1
