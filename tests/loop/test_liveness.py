"""The ledger of liveness: its rows, what its checks are told, and that a resumed run writes the same."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers import tiny_policy
from trueloop.formulas.reduce import token_mean
from trueloop.loop.liveness import Liveness, LivenessConfig
from trueloop.models import LoRA, Policy
from trueloop.recipes.losses import Supervised
from trueloop.records import CheckResult, Sample
from trueloop.store.run import Run
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer

SAMPLE = Sample(id="s", tokens=(2, 3, 4, 1), loss_mask=(False, False, True, True), weights=(0.0, 0.0, 1.0, 1.0))


@dataclass
class Engine:
    """Says what it holds."""

    version: int = 0
    checksum: str = "a"
    expected: str = "a"

    def checksum_of(self, source: Any) -> str:
        return self.expected


@dataclass
class Following:
    """A sampler that is what its engine says."""

    policy: Policy
    engine: Any = field(default_factory=Engine)


def stream(weight: float = 1.0) -> list[Stream]:
    sample = Sample(id="s", tokens=SAMPLE.tokens, loss_mask=SAMPLE.loss_mask, weights=(0.0, 0.0, weight, weight))
    return [Stream(name="sft", samples=[sample], loss=Supervised(), reduction=token_mean)]


class Fixture:
    """A ledger over a trainer of a tiny model."""

    def __init__(self, path: Path, *, adapter: LoRA | None = None, lr: float = 1e-2, **config: int) -> None:
        self.policy = tiny_policy(adapter=adapter)
        self.trainer = Trainer(self.policy, Optim(lr=lr), Batching())
        self.run = Run.create(path, recipe="test", config={}, difference={}, seed=0, data={})
        self.sampler = Following(self.policy)
        self.ledger = Liveness(LivenessConfig(**config), self.run, self.trainer, self.sampler, None)
        self.step = 0

    def take(self, weight: float = 1.0) -> dict[str, CheckResult]:
        self.step += 1
        self.ledger.before(self.step)
        report = self.trainer.step(stream(weight))
        self.sampler.engine.version = self.trainer.version
        return {r.id: r for r in asyncio.run(self.ledger.row(self.step, report, in_sync=True))}


@pytest.fixture
def fixture(tmp_path: Path) -> Fixture:
    return Fixture(tmp_path / "run")


def test_a_row_says_what_moved(fixture: Fixture) -> None:
    fixture.take()
    (row,) = fixture.run.liveness()
    count = len(fixture.trainer.trainable)
    assert (row["step"], row["version"], row["tensors"], row["moved"]) == (1, 1, count, count)
    assert row["never"] == {"count": 0, "names": []}
    assert 0 < row["smallest"][1] <= row["update"] <= row["largest"][1]
    assert row["largest"][0] in fixture.trainer.trainable
    assert row["sampler"] == {"version": 1, "checksum": "a", "expected": "a", "agree": True}


def test_a_step_without_gradient_moves_nothing_and_is_not_counted(fixture: Fixture) -> None:
    fixture.take(weight=0.0)
    (row,) = fixture.run.liveness()
    assert (row["moved"], row["update"], row["largest"], row["version"]) == (0, 0.0, None, 0)
    assert fixture.ledger.state()["steps"] == 0


def test_a_tensor_that_is_left_out_is_told_after_three_steps(fixture: Fixture) -> None:
    fixture.take()
    name, left_out = next((n, p) for n, p in fixture.trainer.trainable.items() if p.ndim == 2)
    for group in fixture.trainer._optimizer.param_groups:
        group["params"] = [p for p in group["params"] if p is not left_out]
    said = [fixture.take()["served.tensor_never_moves"] for _ in range(3)]
    assert [r.status for r in said] == ["unknown", "pass", "fail"]
    assert name in said[-1].evidence
    assert fixture.run.liveness()[-1]["still"] == {name: 3}


def test_a_tensor_that_loses_its_gradient_is_told(fixture: Fixture) -> None:
    fixture.take()
    name, frozen = next((n, p) for n, p in fixture.trainer.trainable.items() if p.ndim == 2)
    frozen.requires_grad_(False)
    said = [fixture.take()["served.tensor_never_moves"] for _ in range(3)]
    assert said[-1].status == "warn"
    assert name in said[-1].evidence


def test_an_adapters_first_step_and_a_tiny_learning_rate_raise_nothing(tmp_path: Path) -> None:
    adapter = Fixture(tmp_path / "adapter", adapter=LoRA(rank=2, alpha=4))
    assert [adapter.take()["served.tensor_never_moves"].status for _ in range(4)][2:] == ["pass", "pass"]
    assert adapter.run.liveness()[0]["never"]["count"] > 0
    slow = Fixture(tmp_path / "slow", lr=1e-9)
    assert all(slow.take()["served.tensor_never_moves"].status != "fail" for _ in range(2))


def test_the_sampler_is_asked_when_it_is_due(fixture: Fixture) -> None:
    asked = [step for step in range(1, 21) if "served.sampler_holds_trainer_weights" in fixture.take()]
    assert asked == [1, 2, 10, 20]
    fixture.sampler.engine.checksum = "b"
    for _ in range(9):
        fixture.take()
    assert fixture.take()["served.sampler_holds_trainer_weights"].status == "fail"


def test_an_engine_without_a_checksum_is_unknown(fixture: Fixture) -> None:
    @dataclass
    class Plain:
        version: int = 0

    fixture.sampler.engine = Plain()
    assert fixture.take()["served.sampler_holds_trainer_weights"].status == "unknown"


@pytest.mark.parametrize("every", [1, 2])
def test_a_restored_ledger_writes_the_same_rows(tmp_path: Path, every: int) -> None:
    whole = Fixture(tmp_path / "whole", every=every)
    other = Fixture(tmp_path / "other", every=every)
    for fixture in (whole, other):
        fixture.take()
        fixture.take()
    state = other.ledger.state()
    other.ledger = Liveness(LivenessConfig(every=every), other.run, other.trainer, other.sampler, None)
    other.ledger.restore(state)
    for fixture in (whole, other):
        fixture.take(weight=0.5)
        fixture.take()
    assert whole.run.liveness() == other.run.liveness()
    assert len(whole.run.liveness()) == 4 if every == 1 else [r["step"] for r in whole.run.liveness()] == [1, 2, 4]


def test_weights_are_told_apart_by_their_checksum(fixture: Fixture) -> None:
    fixture.take()
    with torch.no_grad():
        next(iter(fixture.trainer.trainable.values())).view(-1)[0].add_(1e-3)
    fixture.take()
    digests = [row["weights"] for row in fixture.run.liveness()]
    assert len(set(digests)) == 2 and all(len(d) == 16 for d in digests)
