"""Recorded batches: read back as they were, bounded, never half-written."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from trueloop.errors import StoreError
from trueloop.records import Sample, SamplePair, Teacher
from trueloop.store.batches import Recent, Recorded


def sample(id: str, weight: float = 0.1, **columns: object) -> Sample:
    fields = {"tokens": (3, 70000, 5), "loss_mask": (False, True, True), "weights": (0.0, weight, -1 / 3)}
    return Sample(id=id, **{**fields, **columns})  # type: ignore[arg-type]


TAUGHT = sample(
    "taught",
    logprobs=(0.0, -1e-9, -0.25),
    ref_logprobs=(0.0, -1.5, -2.5),
    teacher=Teacher(ids=((1, 2), (3, 4)), logprobs=((-0.1, -2.0), (-0.5, -1.0))),
)
STREAMS = [
    Recorded(name="policy", settings={"coefficient": 0.1}, samples=(sample("a"), TAUGHT, sample("c", 1e300))),
    Recorded(
        name="pairs",
        settings={},
        pairs=(
            SamplePair(id="p", chosen=sample("x"), rejected=TAUGHT, margins={"short": 0.3}, gap=1.25, weight=0.5),
            SamplePair(id="q", chosen=sample("y"), rejected=sample("z")),
        ),
    ),
    Recorded(name="empty", settings={"loss": None}),
]


def test_what_was_recorded_is_read_back_exactly(tmp_path: Path) -> None:
    recent = Recent(tmp_path / "recent", 10**6)
    assert recent.write(7, STREAMS) == tmp_path / "recent/step-000007.npz"
    assert Recent(tmp_path / "recent", None).read(7) == STREAMS
    assert [p.name for p in (tmp_path / "recent").iterdir()] == ["step-000007.npz"]


def test_infinities_and_nan_stay(tmp_path: Path) -> None:
    recent = Recent(tmp_path, 10**6)
    recent.write(1, [Recorded(name="s", settings={}, samples=(sample("a", math.inf), sample("b", math.nan)))])
    (stream,) = recent.read(1)
    assert stream.samples[0].weights[1] == math.inf
    assert math.isnan(stream.samples[1].weights[1])


def test_beyond_the_limit_nothing_is_recorded_unless_it_must_be(tmp_path: Path) -> None:
    recent = Recent(tmp_path, 10_000)
    many = [Recorded(name="s", settings={}, samples=tuple(sample(str(k)) for k in range(60)))]
    assert recent.write(1, many) is not None
    assert recent.write(2, many) is None
    assert recent.write(2, many, room=False) is not None
    recent.drop(until=1)
    assert list(recent.steps()) == [2]


def test_steps_are_dropped_at_both_ends(tmp_path: Path) -> None:
    recent = Recent(tmp_path, 10**6)
    for step in (1, 2, 3, 4, 5):
        recent.write(step, STREAMS[:1])
    recent.drop(until=2)
    recent.drop(after=4)
    assert list(recent.steps()) == [3, 4]


def test_a_torn_or_absent_step_and_a_reader_that_writes_are_refused(tmp_path: Path) -> None:
    recent = Recent(tmp_path, 10**6)
    path = recent.write(1, STREAMS)
    assert path is not None
    path.write_bytes(path.read_bytes()[:200])
    for step in (1, 2):
        with pytest.raises(StoreError, match="cannot be read"):
            recent.read(step)
    with pytest.raises(StoreError, match="opened for reading"):
        Recent(tmp_path, None).write(1, STREAMS)
