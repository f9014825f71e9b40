"""Streams as they are recorded: rebuilt equal, and nothing foreign is ever called."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from trueloop.errors import DataError
from trueloop.formulas.reduce import fixed_length, sequence_mean, token_mean
from trueloop.loop.recording import describe, rebuild, rebuilt, recorded
from trueloop.recipes.losses import Distillation, Jsd, Supervised
from trueloop.recipes.policy import Clip, Gspo, Kl, PolicyLoss
from trueloop.records import Sample
from trueloop.store.batches import Recorded
from trueloop.train.batch import Stream

SAMPLE = Sample(id="a", tokens=(2, 3), loss_mask=(False, True), weights=(0.0, 1.0))
LOSSES = (
    Supervised(),
    PolicyLoss(Clip(low=0.2, high=0.28), Kl(coefficient=0.1, refresh_every=3), 0.01),
    PolicyLoss(Gspo(low=3e-4, high=4e-4)),
    Distillation(Jsd(beta=0.5, support="renormalized")),
)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", [token_mean, sequence_mean, partial(fixed_length, C=32)])
def test_a_stream_is_rebuilt_equal(loss: Any, reduction: Any) -> None:
    stream = Stream(
        name="s", samples=(SAMPLE,), loss=loss, reduction=reduction, coefficient=0.1 + 0.2, temperature=1 / 3
    )
    (found,) = rebuilt(recorded([stream]))
    assert (found.name, found.samples, found.pairs) == ("s", (SAMPLE,), ())
    assert (found.coefficient, found.temperature, found.loss) == (0.1 + 0.2, 1 / 3, loss)
    assert found.reduction([3, 5]) == reduction([3, 5])


class Own:
    """A loss of the user's own."""

    needs_entropy = silent_at_zero_weight = False

    def __call__(self, out: Any, batch: Any) -> Any:
        raise AssertionError


def test_a_loss_of_ones_own_is_recorded_and_named_when_it_is_wanted() -> None:
    batch = recorded([Stream(name="s", samples=(SAMPLE,), loss=Own(), reduction=lambda lengths: [1.0])])
    with pytest.raises(DataError, match="'Own'"):
        rebuilt(batch)


@pytest.mark.parametrize(
    "described",
    [
        {"function": "os:system"},
        {"function": "trueloop.store.artefacts:remove"},
        {"function": "trueloop.formulas.reduce:torch.save"},
        {"function": "trueloop.formulas.reduce:DataError"},
        {"dataclass": "subprocess:Popen", "fields": {}},
        {"dataclass": "trueloop.recipes.losses:Config", "fields": {}},
        {"config": "trueloop.recipes.losses:Supervised", "fields": {}},
        {"partial": {"function": "builtins:eval"}, "keywords": {}},
    ],
)
def test_nothing_else_is_found_by_name(described: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="cannot be built again"):
        rebuild(described)
    with pytest.raises(DataError):
        rebuilt([Recorded(name="s", settings={"loss": described, "reduction": describe(token_mean)})])
