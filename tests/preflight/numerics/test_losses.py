from __future__ import annotations

from numerics_toys import CLIP, rows, stream, trainer
from trueloop.faults.formulas import Scaled
from trueloop.preflight.numerics.losses import losses
from trueloop.preflight.numerics.probe import probes
from trueloop.recipes.losses import Supervised


def test_a_healthy_stream_passes_and_a_turned_one_does_not() -> None:
    right = [stream()]
    found = {r.id: r.status for r in losses(right, probes(right, trainer()), {"loss": {"kind": "clip"}})}
    assert set(found.values()) == {"pass"} and "numerics.clip_bounds" in found
    wrong = [stream(Scaled(CLIP, factor=-1.0))]
    found = {r.id: r.status for r in losses(wrong, probes(wrong, trainer()), {})}
    assert found["numerics.loss_follows_weights"] == "fail"


def test_a_supervised_stream_has_no_ratio_to_ask_about() -> None:
    own = [stream(Supervised(), samples=rows())]
    assert "numerics.clip_bounds" not in {r.id for r in losses(own, probes(own, trainer()), {})}
