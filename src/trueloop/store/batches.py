"""What the optimizer steps since the last checkpoints trained on, so that each of them can be taken again.

    recent/step-000042.npz     streams of samples or pairs as plain arrays, and a header in JSON; nothing is pickled

A file appears whole or not at all.  It is not flushed to the disk: a killed process loses nothing, a power cut may lose
the last ones, and a resumed run makes them again.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from trueloop.errors import StoreError
from trueloop.records import Json, Sample, SamplePair, Teacher
from trueloop.store.artefacts import Writing, remove, temporary

Arrays = dict[str, Any]
COLUMNS = ("weights", "logprobs", "ref_logprobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A stream's rows.  settings: whatever else it needs, as JSON; the writer knows what it means."""

    name: str
    settings: Mapping[str, Json]
    samples: tuple[Sample, ...] = ()
    pairs: tuple[SamplePair, ...] = ()


class Recent:
    """The recorded steps of a run.  limit: bytes that they may take together; None opens them for reading only."""

    def __init__(self, directory: Path, limit: int | None) -> None:
        self.directory, self.limit = directory, limit

    def write(self, step: int, streams: Sequence[Recorded], *, room: bool = True) -> Path | None:
        """Record a step; None where that would exceed the limit, unless `room` is False and nobody asks."""
        if self.limit is None:
            raise StoreError(f"{self.directory}: opened for reading; resume the run to write to it")
        arrays = _arrays(streams)
        size = sum(a.nbytes for a in arrays.values())
        if room and size + sum(p.stat().st_size for p in self.steps().values()) > self.limit:
            return None
        path = self.directory / f"step-{step:06d}.npz"
        partial = temporary(path)
        with Writing(path, f"the batch of step {step}", partial=partial):
            self.directory.mkdir(exist_ok=True)
            with partial.open("wb") as file:
                np.savez(file, **arrays)
            partial.replace(path)
        return path

    def read(self, step: int) -> list[Recorded]:
        """The streams of a step.  Raises `StoreError` where it is not there or damaged."""
        path = self.directory / f"step-{step:06d}.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return _streams(arrays)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise StoreError(f"{path}: this step's batch cannot be read ({error}); repeat another step") from error

    def steps(self) -> dict[int, Path]:
        """Recorded steps, the oldest first."""
        names = ((re.fullmatch(r"step-(\d{6,})\.npz", path.name), path) for path in self.directory.glob("step-*.npz"))
        return dict(sorted((int(match[1]), path) for match, path in names if match))

    def drop(self, *, until: int | None = None, after: int | None = None) -> None:
        """Forget the steps up to and with `until`, and those after `after`."""
        for step, path in self.steps().items():
            if (until is not None and step <= until) or (after is not None and step > after):
                remove(path)


def _arrays(streams: Sequence[Recorded]) -> Arrays:
    header: list[Json] = []
    arrays: Arrays = {}
    for k, stream in enumerate(streams):
        rows = list(stream.samples) or [s for p in stream.pairs for s in (p.chosen, p.rejected)]
        pairs = [{"id": p.id, "margins": dict(p.margins), "gap": p.gap, "weight": p.weight} for p in stream.pairs]
        header.append(
            {"name": stream.name, "settings": dict(stream.settings), "ids": [s.id for s in rows], "pairs": pairs}
        )
        arrays |= {f"{k}/{name}": array for name, array in _columns(rows).items() if array.size}
    return {"header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8), **arrays}


def _columns(rows: Sequence[Sample]) -> Arrays:
    found = {
        "lengths": np.array([len(s.tokens) for s in rows], dtype=np.int64),
        "tokens": _joined([s.tokens for s in rows], np.int64),
        "loss_mask": _joined([s.loss_mask for s in rows], np.bool_),
    }
    for name in COLUMNS:
        values = [getattr(s, name) for s in rows]
        found[f"{name}/has"] = np.array([v is not None for v in values], dtype=np.bool_)
        found[name] = _exact([v for v in values if v is not None])
    teachers = [s.teacher for s in rows]
    lines = [line for t in teachers if t is not None for line in t.ids]
    found["teacher/rows"] = np.array([-1 if t is None else len(t.ids) for t in teachers], dtype=np.int64)
    found["teacher/widths"] = np.array([len(line) for line in lines], dtype=np.int64)
    found["teacher/ids"] = _joined(lines, np.int64)
    found["teacher/logprobs"] = _exact([line for t in teachers if t is not None for line in t.logprobs])
    return found


def _joined(parts: Sequence[Sequence[Any]], dtype: Any) -> Any:
    return np.fromiter(chain.from_iterable(parts), dtype=dtype, count=sum(map(len, parts)))


def _exact(parts: Sequence[Sequence[float]]) -> Any:
    """One after the other, in half the bytes where that loses nothing."""
    whole = _joined(parts, np.float64)
    with np.errstate(over="ignore"):
        half = whole.astype(np.float32)
    return half if np.array_equal(half.astype(np.float64), whole, equal_nan=True) else whole


def _streams(arrays: Mapping[str, Any]) -> list[Recorded]:
    found = []
    for k, head in enumerate(json.loads(bytes(arrays["header"]))):
        rows = _rows(head["ids"], {name: arrays.get(f"{k}/{name}", np.array([])) for name in _NAMES})
        pairs = [
            SamplePair(chosen=rows[2 * j], rejected=rows[2 * j + 1], **pair) for j, pair in enumerate(head["pairs"])
        ]
        samples = () if pairs else tuple(rows)
        found.append(Recorded(name=head["name"], settings=head["settings"], samples=samples, pairs=tuple(pairs)))
    return found


_NAMES = (
    *("lengths", "tokens", "loss_mask", "teacher/rows", "teacher/widths", "teacher/ids", "teacher/logprobs"),
    *COLUMNS,
    *(f"{name}/has" for name in COLUMNS),
)


def _rows(ids: Sequence[str], arrays: Arrays) -> list[Sample]:
    lengths = arrays["lengths"].tolist()
    columns: dict[str, list[Any]] = {
        "tokens": _cut(arrays["tokens"], lengths),
        "loss_mask": _cut(arrays["loss_mask"], lengths),
        "teacher": _teachers(arrays),
    }
    for name in COLUMNS:
        has = arrays[f"{name}/has"].tolist()
        parts = iter(_cut(arrays[name], [n for n, there in zip(lengths, has, strict=True) if there]))
        columns[name] = [next(parts) if there else None for there in has]
    return [Sample(id=id, **{name: column[k] for name, column in columns.items()}) for k, id in enumerate(ids)]


def _teachers(arrays: Arrays) -> list[Teacher | None]:
    widths = arrays["teacher/widths"].tolist()
    ids = iter(_cut(arrays["teacher/ids"], widths))
    logprobs = iter(_cut(arrays["teacher/logprobs"], widths))
    return [
        None
        if rows < 0
        else Teacher(ids=tuple(next(ids) for _ in range(rows)), logprobs=tuple(next(logprobs) for _ in range(rows)))
        for rows in arrays["teacher/rows"].tolist()
    ]


def _cut(values: Any, lengths: Sequence[int]) -> list[tuple[Any, ...]]:
    flat, parts, start = values.tolist(), [], 0
    for n in lengths:
        parts.append(tuple(flat[start : start + n]))
        start += n
    return parts
