"""A step that ended a run, with all that repeats it: `failures/step-000042/`, itself laid out like a run directory.

    failure.json                step, what ended it, and what checks said of it
    run.json config.toml status.json
    checkpoints/step-000040/    the last good one
    recent/step-000041.npz ...  what was trained on since, the failing step included
    metrics.jsonl checks.jsonl liveness.jsonl    the rows since that checkpoint

Checkpoint and batches are hard links where the file system has them: they cost no room as long as the run keeps its
own, and stay when the run prunes it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from trueloop.records import Json
from trueloop.store.artefacts import fresh_dir, remove
from trueloop.store.checkpoints import Checkpoint
from trueloop.store.journal import Journal
from trueloop.store.run import Run

KEPT = 3
"""Bundles that stay in a run."""

FAILURE = "failure.json"
JOURNALS = ("metrics.jsonl", "checks.jsonl", "liveness.jsonl")


def write_bundle(run: Run, step: int, why: Mapping[str, Json]) -> Path:
    """Put together what repeats `step`, which `recent` has recorded; an older bundle of the step is replaced.

    why  what ended the step, in words and numbers; goes into failure.json
    """
    good = before(run, step)
    path = run.path / "failures" / f"step-{step:06d}"
    first = good.step if good is not None else 0
    path.parent.mkdir(exist_ok=True)
    remove(path)
    with fresh_dir(path, what="the failed step") as partial:
        failure = {"step": step, "checkpoint": first if good is not None else None, **why}
        (partial / FAILURE).write_text(json.dumps(failure, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        for name in ("run.json", "config.toml", "status.json"):
            if (run.path / name).is_file():
                shutil.copy2(run.path / name, partial / name)
        if good is not None:
            _link_tree(good.path, partial / "checkpoints" / good.path.name)
        (partial / "recent").mkdir()
        for number, batch in run.recent.steps().items():
            if first < number <= step:
                _link(batch, partial / "recent" / batch.name)
        for name in JOURNALS:
            for row in Journal(run.path / name).rows():
                if first < row["step"] <= step:
                    Journal(partial / name).append(row)
    for old in bundles(run.path)[:-KEPT]:
        remove(old)
    return path


def bundles(run: Path) -> list[Path]:
    """The bundles of a run, the oldest first."""
    found = [path.parent for path in (run / "failures").glob(f"step-*/{FAILURE}")]
    return sorted(found, key=lambda path: (path / FAILURE).stat().st_mtime_ns)


def failure_of(path: Path) -> dict[str, Json] | None:
    """What ended the step of a bundle; None for a directory that is none."""
    file = path / FAILURE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def before(run: Run, step: int) -> Checkpoint | None:
    """The newest checkpoint of an earlier step; whether it is whole is seen when it is read."""
    return next((c for c in reversed(run.checkpoints.all()) if c.step < step), None)


def _link_tree(source: Path, target: Path) -> None:
    for file in sorted(p for p in source.rglob("*") if p.is_file()):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        _link(file, place)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
