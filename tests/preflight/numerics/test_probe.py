from __future__ import annotations

from typing import Any

import pytest

from numerics_toys import CLIP, rows, stream, trainer
from trueloop.faults.formulas import Detached, MicroBatchMean, PaddedMean, Scaled, WithKl
from trueloop.preflight.numerics.probe import Probe, probes
from trueloop.recipes.losses import Supervised
from trueloop.recipes.policy import Cispo, Clip, Gspo, Kl, PolicyLoss, Reinforce

TERMS = [Clip(low=0.2, high=0.3), Reinforce(), Cispo(max_ratio=2.0), Gspo(low=0.01, high=0.02)]


def probe(loss: Any, **changes: Any) -> Probe:
    found = Probe.of(stream(loss, **changes), trainer())
    assert found is not None
    return found


@pytest.mark.parametrize("loss", [*map(PolicyLoss, TERMS), Supervised()])
def test_every_right_loss_pushes_by_the_weight(loss: Any) -> None:
    found = probe(loss)
    assert all(abs(p - 1) < 1e-4 for p in found.pushes(1.0)) and all(abs(p + 1) < 1e-4 for p in found.pushes(-1.0))
    assert found.reads_own() and found.reads_old() == isinstance(loss, PolicyLoss)
    foreign, own, padding = found.apart()
    assert foreign == 0.0 < own and padding == 0.0


def test_clip_bounds_are_found() -> None:
    found = probe(CLIP)
    assert found.bound(1.0) == pytest.approx(1.3, abs=1e-3) and found.bound(-1.0) == pytest.approx(0.8, abs=1e-3)
    assert probe(PolicyLoss(Reinforce())).bound(1.0) is None
    lost, weighted = found.lost()
    assert lost == 0 and weighted == sum(s.trained_tokens for s in rows())


@pytest.mark.parametrize(("estimator", "far"), [("k3", 1.0), ("k2", 7.0)])
def test_a_kl_penalty_is_measured(estimator: Any, far: float) -> None:
    penalty = probe(
        PolicyLoss(Clip(low=0.2, high=0.2), kl=Kl(coefficient=0.5, estimator=estimator)), samples=rows(reference=True)
    ).penalty()
    assert penalty is not None and min(penalty.values.values()) > 0
    assert penalty.slopes[7.0] == pytest.approx(0.5 * far, rel=1e-2) and min(penalty.pull) > 0
    if estimator == "k3":
        assert all(value == pytest.approx(0.5 * kl, rel=1e-3) for kl, value in penalty.expected)


def test_a_loss_without_penalty_has_none() -> None:
    assert probe(CLIP, samples=rows(reference=True)).penalty() is None


def test_wrong_losses_look_wrong() -> None:
    assert probe(Scaled(CLIP, factor=-1.0)).pushes(1.0)[0] == pytest.approx(-1.0)
    assert not probe(Detached(CLIP)).reads_own()
    assert probe(PaddedMean(CLIP)).apart()[2] > 0
    assert probe(MicroBatchMean(CLIP)).pushes(1.0)[0] != pytest.approx(1.0)
    kl = PolicyLoss(Clip(low=0.2, high=0.2), kl=Kl(coefficient=0.1))
    reversed_k3 = probe(WithKl(kl, kind="reversed"), samples=rows(reference=True)).penalty()
    assert reversed_k3 is not None and reversed_k3.slopes[7.0] > 100


def test_a_stream_without_rows_has_no_probe() -> None:
    assert probes([stream(samples=None)], trainer())[0] is not None
