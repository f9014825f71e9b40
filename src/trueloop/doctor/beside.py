"""Runs that are to be compared, held side by side: whether they differ in what is named alone, and by their seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from trueloop.checks.outcome import ending
from trueloop.config import difference
from trueloop.records import CheckResult, RunInfo
from trueloop.store.info import without_none
from trueloop.store.run import Run


def beside(run: Path, others: Sequence[Path], varies: Sequence[str]) -> list[CheckResult]:
    """Hold other runs against the first.

    varies  dotted keys in which they are meant to differ, each with all below it; without any they repeat one run

    Raises `StoreError` for what is no run.
    """
    first, *rest = (Run.open(path).info for path in (run, *others))
    keys = sorted({key for other in rest for key in _differing(first, other)})
    found = [ending.only_the_named_key_differs(keys, varies)]
    return found if varies else [*found, ending.seeds([first.seed, *(other.seed for other in rest)])]


def _differing(a: RunInfo, b: RunInfo) -> Iterator[str]:
    """Keys of the configuration; beside them `recipe`, `commit`, `data.NAME` and `packages.NAME`."""
    yield from difference(without_none(a.config), without_none(b.config))
    if a.recipe != b.recipe:
        yield "recipe"
    if (a.commit, a.dirty) != (b.commit, b.dirty):
        yield "commit"
    for kind in ("data", "packages"):
        one, other = getattr(a, kind), getattr(b, kind)
        yield from (f"{kind}.{name}" for name in {*one, *other} if one.get(name) != other.get(name))
