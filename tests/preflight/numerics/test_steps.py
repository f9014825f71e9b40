from __future__ import annotations

from typing import Any

import pytest

from numerics_toys import CLIP, policy, rows, stream, trainer
from trueloop.faults.formulas import MicroBatchMean
from trueloop.preflight.numerics.steps import (
    laid_out,
    layouts,
    measured_slope,
    only_logprobs,
    random,
    recomputed,
    steps,
    take,
)
from trueloop.recipes.losses import Supervised
from trueloop.recipes.policy import Cispo, PolicyLoss


def test_a_healthy_step_passes_and_leaves_no_trace() -> None:
    before, own = policy().fingerprint(), trainer()
    found = {r.id: r for r in steps(own, [stream()])}
    assert {r.status for r in found.values()} == {"pass"}, [r for r in found.values() if r.status != "pass"]
    assert set(found) == {
        f"numerics.{name}"
        for name in (
            "master_weights",
            "update_survives",
            "gradient_size",
            "layout_invariant",
            "report_is_true",
            "gradient_is_slope",
        )
    }
    assert policy().fingerprint() == before and own.version == 0


def test_a_loss_that_averages_its_micro_batch_depends_on_the_layout() -> None:
    own, wrong = trainer(), [stream(MicroBatchMean(CLIP))]
    assert layouts(own, wrong, take(own, wrong), limit=1e-3).status == "fail"


@pytest.mark.parametrize("loss", [CLIP, PolicyLoss(Cispo(max_ratio=2.0)), Supervised()])
def test_the_slope_is_that_of_the_gradient(loss: Any) -> None:
    own, streams = trainer(), [stream(loss)]
    taken = take(own, streams)
    assert measured_slope(own, streams, taken) == pytest.approx(taken.norm, rel=0.05)


def test_the_loss_is_computed_again() -> None:
    own, one = trainer(), stream(coefficient=0.5)
    assert recomputed(own, one) == pytest.approx(take(own, [one]).report.loss, rel=1e-4)
    assert only_logprobs(one) and not random(own)


def test_another_budget_is_only_inside() -> None:
    own = trainer(budget=512)
    with laid_out(own, 1):
        assert own.batching.budget == 1
    assert own.batching.budget == 512


def test_entries_that_changed_are_counted() -> None:
    taken = take(trainer(), [stream(samples=rows())])
    assert taken.changed > 0.99 * sum(int((g != 0).sum()) for g in taken.gradient.values())
