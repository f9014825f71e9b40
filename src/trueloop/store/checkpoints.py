"""Checkpoints of a run: `checkpoints/step-000040/`, each whole, stamped with its files' hashes, verified when read.

The directories are the only truth: which is the latest and which the best is read off their stamps every time.
"""

from __future__ import annotations

import math
import re
import shutil
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from trueloop.config import Config
from trueloop.errors import DataError, StoreError
from trueloop.store.artefacts import Writing, atomic_dir, damage, read_stamp, sync, temporary


class Keep(Config):
    """Which checkpoints stay: the `latest` newest, the `best` by score, and those of every `every`-th step."""

    latest: int = Field(default=2, ge=1)
    best: int = Field(default=1, ge=0)
    every: int | None = Field(default=None, ge=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint's place; `score` as it was given (higher is better), `fingerprint` of its content."""

    step: int
    path: Path
    score: float | None
    fingerprint: str


class Checkpoints:
    """The checkpoints under one directory.  `keep=None` opens them for reading only."""

    def __init__(self, directory: Path, keep: Keep | None) -> None:
        self.directory, self._keep = directory, keep
        self._known_whole: set[int] = set()

    def save(self, step: int, write: Callable[[Path], None], score: float | None = None) -> Checkpoint:
        """`write` fills a temporary directory, which becomes the checkpoint of `step`; then prune.

        score  by which the best is selected; higher is better; None where this step was not evaluated

        Raises `StoreError` where the disk refuses, and then the checkpoint is absent and all others are untouched.
        """
        if self._keep is None:
            raise StoreError(f"{self.directory.parent}: opened for reading; resume the run to write checkpoints")
        if score is not None and not math.isfinite(score):
            raise DataError(f"checkpoint of step {step}: score must be finite or None, got {score}")
        path = self.directory / f"step-{step:06d}"
        covers = {"step": step, "score": score}
        with atomic_dir(path, covers=covers, what=f"the checkpoint of step {step}") as partial:
            write(partial)
        self._known_whole.add(step)
        self.prune()
        return next(c for c in self.all() if c.step == step)

    def all(self) -> list[Checkpoint]:
        """Checkpoints whose stamp can be read, the oldest first; their content is not looked at."""
        found = []
        for step, path in self._directories():
            stamp = read_stamp(path)
            if stamp is not None:
                score = stamp.covers["score"]
                found.append(Checkpoint(step=step, path=path, score=score, fingerprint=stamp.fingerprint))
        return found

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint; warns of every damaged one that it passes over."""
        return self._first_whole(reversed(self.all()))

    def best(self) -> Checkpoint | None:
        """The whole checkpoint of the highest score, the earlier at a tie; None if none has a score."""
        return self._first_whole(_by_score(self.all()))

    def rewind(self, step: int) -> None:
        """Remove the checkpoints after `step`, the damaged ones too."""
        for found, path in self._directories():
            if found > step:
                self._remove(path)

    def prune(self) -> None:
        """Remove what the policy does not keep, but never the only whole checkpoint."""
        if self._keep is None:
            return
        everything = self.all()
        kept = {c.step for c in everything[-self._keep.latest :]}
        kept |= {c.step for c in _by_score(everything)[: self._keep.best]}
        kept |= {c.step for c in everything if self._keep.every and c.step % self._keep.every == 0}
        spare = [c for c in everything if c.step not in kept]
        if spare and not any(self._is_whole(c) for c in reversed(everything) if c.step in kept):
            rescued = next((c for c in reversed(spare) if self._is_whole(c)), None)
            spare = [c for c in spare if c is not rescued]
        for checkpoint in spare:
            self._remove(checkpoint.path)

    def _directories(self) -> list[tuple[int, Path]]:
        names = ((re.fullmatch(r"step-(\d{6,})", path.name), path) for path in self.directory.glob("step-*"))
        return sorted((int(match[1]), path) for match, path in names if match)

    def _first_whole(self, candidates: Iterable[Checkpoint]) -> Checkpoint | None:
        for checkpoint in candidates:
            wrong = damage(checkpoint.path)
            if wrong is None:
                return checkpoint
            warnings.warn(f"{checkpoint.path} is damaged and passed over: {wrong}", stacklevel=3)
        return None

    def _is_whole(self, checkpoint: Checkpoint) -> bool:
        if checkpoint.step not in self._known_whole and damage(checkpoint.path) is None:
            self._known_whole.add(checkpoint.step)
        return checkpoint.step in self._known_whole

    def _remove(self, path: Path) -> None:
        """Out of sight at once, then off the disk: a kill between leaves no checkpoint with half its files."""
        gone = temporary(path)
        with Writing(path, "its removal"):
            path.rename(gone)
            sync(path.parent)
            shutil.rmtree(gone)


def _by_score(checkpoints: list[Checkpoint]) -> list[Checkpoint]:
    scored = [c for c in checkpoints if c.score is not None]
    return sorted(scored, key=lambda c: (-c.score if c.score is not None else 0.0, c.step))
