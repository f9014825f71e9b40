"""What the loop asks of whatever fills its optimizer steps, and the feeds over data that is there already."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from trueloop.errors import ConfigError, DataError
from trueloop.records import Json, derive_seed
from trueloop.train.batch import Stream

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """What one optimizer step trains on: its streams, what was measured on the way, and the rows for the trace."""

    streams: Sequence[Stream]
    metrics: Mapping[str, float] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()


class Feed(Protocol):
    """Fills optimizer steps.  `state` and `restore` are exact: a restored feed goes on as if never interrupted."""

    async def next(self, step: int) -> Fill | None:
        """The data of optimizer step `step` (from 1), or None when the data has ended."""
        ...

    def state(self) -> Json:
        """JSON from which `restore` goes on after the last step that was handed out."""
        ...

    def restore(self, state: Json) -> None:
        """Go on where `state` was taken."""
        ...

    def describe(self) -> str:
        """One line on what is waiting where, for the watchdog."""
        ...

    def life(self) -> int:
        """A count that grows whenever something arrives while a step is filled, so that slow is told from stuck."""
        ...

    def rest(self, *, ended: bool) -> Sequence[Mapping[str, Any]]:
        """Rows for the trace that no step has taken yet; with `ended` also those of what will not be used any more."""
        ...

    async def close(self) -> None:
        """Stop whatever works in the background."""
        ...


class Offline(Generic[Item]):
    """Steps over a fixed list of samples or pairs, shuffled anew in each epoch from (seed, epoch).

    The last step of an epoch is filled from the next one, so every step has `per_step` items and none is skipped;
    after `epochs` epochs (None: endless) the last step may be smaller.
    """

    def __init__(
        self,
        items: Sequence[Item],
        *,
        per_step: int,
        seed: int,
        streams: Callable[[Sequence[Item], int], Sequence[Stream]],
        epochs: int | None = None,
    ) -> None:
        if not items:
            raise DataError("no rows to train on: the data set is empty; look at the task's split and its filters")
        if per_step < 1:
            raise ConfigError(f"rows per step must be at least 1, got {per_step}")
        self.items, self.per_step, self.seed = items, per_step, seed
        self.streams, self.epochs = streams, epochs
        self.epoch, self.cursor = 0, 0
        self._order: tuple[int, list[int]] = (-1, [])

    async def next(self, step: int) -> Fill | None:
        """The next `per_step` items as streams."""
        taken: list[Item] = []
        while len(taken) < self.per_step and (self.epochs is None or self.epoch < self.epochs):
            order = self._epoch_order()
            more = order[self.cursor : self.cursor + self.per_step - len(taken)]
            taken += [self.items[i] for i in more]
            self.cursor += len(more)
            if self.cursor == len(order):
                self.epoch, self.cursor = self.epoch + 1, 0
        if not taken:
            return None
        passes = self.epoch + self.cursor / len(self.items)
        streams = await asyncio.to_thread(self.streams, taken, step)
        return Fill(streams=streams, metrics={"data/epochs": passes})

    def _epoch_order(self) -> list[int]:
        if self._order[0] != self.epoch:
            order = list(range(len(self.items)))
            random.Random(derive_seed(self.seed, "order", self.epoch)).shuffle(order)
            self._order = (self.epoch, order)
        return self._order[1]

    def state(self) -> Json:
        """Epoch and position in it."""
        return {"epoch": self.epoch, "cursor": self.cursor, "items": len(self.items)}

    def restore(self, state: Json) -> None:
        """Go on where `state` was taken; the items must be the same."""
        if state["items"] != len(self.items):
            raise DataError(
                f"the checkpoint was written with {state['items']} rows of data, now there are {len(self.items)}; "
                "resume with the same data, or start a new run"
            )
        self.epoch, self.cursor = state["epoch"], state["cursor"]

    def describe(self) -> str:
        """Where in the data it is."""
        return f"offline data: epoch {self.epoch}, row {self.cursor} of {len(self.items)}"

    def life(self) -> int:
        """Nothing arrives: the data is there."""
        return 0

    def rest(self, *, ended: bool) -> Sequence[Mapping[str, Any]]:
        """Nothing: given data leaves no trace."""
        return ()

    async def close(self) -> None:
        """Nothing works in the background."""


class Mixed:
    """A main feed with a second data stream beside it, such as RL with supervised samples mixed in.

    Each stream keeps its own denominator and coefficient; the run ends when the main feed ends.
    """

    def __init__(self, main: Feed, second: Feed) -> None:
        self.main, self.second = main, second

    async def next(self, step: int) -> Fill | None:
        """The main feed's step with the second feed's streams appended."""
        fill = await self.main.next(step)
        beside = await self.second.next(step) if fill is not None else None
        if fill is None or beside is None:
            return fill
        return Fill(
            streams=(*fill.streams, *beside.streams),
            metrics={**fill.metrics, **{f"second/{k}": v for k, v in beside.metrics.items()}},
            rows=(*fill.rows, *beside.rows),
        )

    def state(self) -> Json:
        """Both states."""
        return {"main": self.main.state(), "second": self.second.state()}

    def restore(self, state: Json) -> None:
        """Restore both."""
        self.main.restore(state["main"])
        self.second.restore(state["second"])

    def describe(self) -> str:
        """Both, on one line."""
        return f"{self.main.describe()}; second stream: {self.second.describe()}"

    def life(self) -> int:
        """What arrives at either."""
        return self.main.life() + self.second.life()

    def rest(self, *, ended: bool) -> Sequence[Mapping[str, Any]]:
        """Those of both."""
        return (*self.main.rest(ended=ended), *self.second.rest(ended=ended))

    async def close(self) -> None:
        """Close both."""
        await self.main.close()
        await self.second.close()
