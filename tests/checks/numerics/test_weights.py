from __future__ import annotations

from trueloop.checks.numerics import weights


def test_master_weights_and_moments_are_float32() -> None:
    assert weights.master_weights({"weights": {"a": "float32"}, "optimizer state": {"a/mean": "float32"}}).status == (
        "pass"
    )
    found = weights.master_weights({"weights": {"a": "float32"}, "optimizer state": {"a/square": "float16"}})
    assert found.status == "fail" and "a/square" in found.evidence
    assert weights.master_weights({"weights": {}}).status == "unknown"


def test_an_update_survives_in_most_entries() -> None:
    assert weights.update_survives(99, 100, lr=1e-5, steps=100.0).status == "pass"
    assert weights.update_survives(70, 100, lr=1e-5, steps=1.0).status == "warn"
    assert weights.update_survives(2, 100, lr=1e-6, steps=0.01).status == "fail"
    assert weights.update_survives(0, 0, lr=1e-6, steps=0.01).status == "unknown"
