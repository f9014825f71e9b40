"""Each check on a fault of its kind, on a healthy measurement, and on too little."""

from __future__ import annotations

import pytest

from trueloop.checks import served


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "pass"),
        ({"held": "b"}, "fail"),
        ({"held": "b", "before": "b"}, "fail"),
        ({"held_version": 6}, "fail"),
        ({"held_version": 6, "held": None, "expected": None}, "fail"),
        ({"held": None, "expected": None}, "unknown"),
    ],
)
def test_sampler_holds_trainer_weights(change, status):
    healthy = {"version": 7, "held_version": 7, "expected": "a", "held": "a", "before": "0"}
    found = served.sampler_holds_trainer_weights(**{**healthy, **change})
    assert found.status == status
    assert ("the same that it held" in found.evidence) == (change.get("before") == "b")


@pytest.mark.parametrize(
    ("gaps", "dtype", "status"),
    [
        ([1e-6, 2e-5], "float32", "pass"),
        ([5e-3, 1e-2], "float32", "fail"),
        ([0.0] * 99 + [0.05], "float32", "warn"),
        ([0.01, 0.02], "bfloat16", "pass"),
        ([0.5, 0.4], "bfloat16", "fail"),
        ([], "float32", "unknown"),
    ],
)
def test_probe_gap(gaps, dtype, status):
    found = served.probe_gap(gaps=gaps, dtype=dtype, text="1+1=2")
    assert found.status == status
    assert ("1+1=2" in found.evidence) == (status in ("fail", "warn"))


@pytest.mark.parametrize(
    ("trainer", "sampler", "versions", "dtype", "status"),
    [
        (0.02, 0.02, (0, 5), "float32", "pass"),
        (5e-4, 0.0, (0, 5), "float32", "fail"),
        (0.02, 1e-5, (0, 5), "float32", "fail"),
        (0.02, 0.0, (0, 0), "float32", "unknown"),
        (1e-5, 0.0, (0, 5), "float32", "unknown"),
        (0.02, 0.01, (0, 5), "bfloat16", "unknown"),
        (0.2, 0.0, (0, 5), "bfloat16", "fail"),
        (None, None, (0, 5), "float32", "unknown"),
    ],
)
def test_probe_follows(trainer, sampler, versions, dtype, status):
    assert served.probe_follows(trainer=trainer, sampler=sampler, versions=versions, dtype=dtype).status == status


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "pass"),
        ({"still": {"a": 3}}, "fail"),
        ({"still": {"a": 2}}, "pass"),
        ({"silent": {"a": 3}}, "warn"),
        ({"silent": {"a": 2}}, "pass"),
        ({"never": ["a"]}, "warn"),
        ({"never": ["a"], "steps": 9}, "pass"),
        ({"never": ["a", "b"], "steps": 3}, "fail"),
        ({"never": ["a", "b"], "steps": 2}, "unknown"),
        ({"steps": 1}, "unknown"),
    ],
)
def test_tensor_never_moves(change, status):
    healthy = {"trained": 2, "steps": 20, "never": [], "still": {}, "silent": {}}
    found = served.tensor_never_moves(**{**healthy, **change})
    assert found.status == status
    assert ("a" in found.evidence.split(": ")[-1].split(", ")) == (status in ("fail", "warn"))
