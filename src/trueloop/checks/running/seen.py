"""What a check sees of a run under way: the rows of its latest steps, those it began with, and its evaluations."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trueloop.records import Json

Row = Mapping[str, Json]

WINDOW = 128
"""Steps that are looked back on: what a check costs does not grow with the run."""

FIRST = 8
"""Steps whose medians stand for how the run began, and the fewest that a history is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the run has promised, so that a step can be held against it.

    steps          optimizer steps in all
    lr             the highest learning rate of the schedule
    every          steps between checkpoints
    exact          trainer and sampler compute in float32
    fresh          every rollout is drawn by the weights that it trains, so that ratios are 1
    rewarded       rewards are what trains: where all of a group agree, it teaches nothing but penalties
    ordered        problems come in the order of a curriculum, so that rewards may fall
    samples        the most completions of a problem; 0 where nothing is sampled
    max_staleness  optimizer steps that a rollout may be older than the weights it trains
    capacity       groups that may be open at once
    refresh_every  optimizer steps after which the reference takes over the policy's weights; 0: never
    guard          what a guard evaluation is to record of its questions; None where there is no guard
    """

    steps: int
    lr: float
    every: int = 1
    exact: bool = True
    fresh: bool = False
    rewarded: bool = False
    ordered: bool = False
    samples: int = 0
    max_staleness: int = 0
    capacity: int = 0
    refresh_every: int = 0
    guard: Mapping[str, Json] | None = None


class Seen:
    """The history that checks are asked about, `rows[-1]` the step that has just ended.

    rows         the latest `WINDOW` rows of metrics.jsonl
    beginning    the first `FIRST` rows of the run
    evaluations  the first guard evaluation and the latest `WINDOW`
    moved        steps so far that changed the weights
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.rows: deque[Row] = deque(maxlen=WINDOW)
        self.beginning: list[Row] = []
        self.first_evaluation: Row | None = None
        self.evaluations: deque[Row] = deque(maxlen=WINDOW)
        self.steps = self.moved = 0

    def add(self, row: Row) -> None:
        """The row of a step that has just ended."""
        before = self.rows[-1]["version"] if self.rows else 0
        self.steps += 1
        self.moved += row.get("version", 0) != before
        self.rows.append(row)
        if len(self.beginning) < FIRST:
            self.beginning.append(row)

    def add_evaluation(self, row: Row) -> None:
        """A guard evaluation."""
        if self.first_evaluation is None:
            self.first_evaluation = row
        self.evaluations.append(row)

    @property
    def row(self) -> Row:
        """The latest row."""
        return self.rows[-1]

    def now(self, key: str) -> float | None:
        """A number of the latest row; None where it was not computed."""
        return number(self.row.get(key))

    def before(self, key: str) -> list[float]:
        """A number of the rows before the latest, where it was computed."""
        return [x for row in list(self.rows)[:-1] if (x := number(row.get(key))) is not None]

    def last(self, key: str, n: int) -> list[float] | None:
        """A number of the latest `n` rows, the newest at the end; None where there are fewer or one lacks it."""
        found = [number(row.get(key)) for row in list(self.rows)[-n:]]
        known = [x for x in found if x is not None]
        return known if len(known) == n else None

    def began(self, key: str) -> float | None:
        """The median of the run's first steps, none of them the latest; None before there were enough."""
        found = [x for row in self.beginning if (x := number(row.get(key))) is not None]
        return statistics.median(found) if len(found) == FIRST and self.steps > FIRST else None

    def with_signal(self) -> list[Row]:
        """The rows before the latest in which some group's rewards differ, as far as it is known: the others have at
        most a penalty's gradient."""
        return [row for row in list(self.rows)[:-1] if number(row.get("groups/flat")) != 1.0]

    def reward_held(self) -> bool:
        """Whether the mean reward of the last four steps is at least four fifths of what the run began with.

        Not where it is not known, nor where all groups have gone flat without a gain.
        """
        began, last = self.began("reward/all"), self.last("reward/all", 4)
        if began is None or last is None or not max(last) > 0:
            return False
        now, flat = statistics.fmean(last), self.last("groups/flat", 2)
        dead = flat is not None and min(flat) == 1.0
        return now > began + 0.1 if dead else now >= 0.8 * began

    def usual(self, key: str) -> float | None:
        """The median of the steps before the latest, zeros aside; None before there were enough."""
        found = [x for x in self.before(key) if x]
        return statistics.median(found) if len(found) >= FIRST else None

    def named(self, ending: str) -> list[str]:
        """Keys of the latest row that end so: `/nll` finds policy/nll and sft/nll."""
        return [key for key in self.row if key.endswith(ending)]


def number(value: Json) -> float | None:
    """A number, or the mean of an estimate with its interval; None for anything else."""
    if type(value) is float:
        return value
    if isinstance(value, Mapping):
        value = value.get("mean")
    return float(value) if isinstance(value, float | int) and not isinstance(value, bool) else None


def streak(holds: Sequence[bool]) -> int:
    """How many of these, counted from the end, hold."""
    n = 0
    for held in reversed(holds):
        if not held:
            break
        n += 1
    return n


def numbers(row: Row, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a row by its dotted name, wall times aside."""
    for key, value in row.items():
        if key == "seconds":
            continue
        if isinstance(value, Mapping):
            yield from numbers(value, f"{prefix}{key}.")
        elif isinstance(value, float | int) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)
