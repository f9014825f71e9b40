"""A progress line for long work: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import TracebackType

from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column
from rich.text import Text

from trueloop.records import Json

WIDEST = 100


class Report:
    """Shows how far the work is, its rate, when it will end, and what it does now.

    On a terminal a bar with a line below it for the phase and the note; elsewhere a line every `every_s` seconds, and
    one for a phase that takes longer than that, so that logs stay short and are never silent without a reason.
    Nothing is shown before the first `phase` or `advance`, and nothing where nothing is left to do.
    """

    def __init__(self, title: str, total: int, *, done: int = 0, console: Console | None = None, every_s: float = 10.0):
        self.title, self.total, self.done, self.every_s = title, total, done, every_s
        self._first, self._began, self._last = done, time.monotonic(), 0.0
        self._console = console or Console(file=sys.stderr)
        self._bar: _Bar | None = None
        self._ended, self._ticker = threading.Event(), threading.Thread(target=self._tick, daemon=True)
        self._phase, self._since, self._note = "", self._began, ""

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._bar is not None:
            self._bar.below = self._note
            self._bar.stop()
        elif self.done > self._first:
            self._line("")

    def phase(self, name: str) -> None:
        """What goes on from now on."""
        self._phase, self._since = name, time.monotonic()
        self._show()

    def advance(self, note: Mapping[str, Json]) -> None:
        """One more unit done; `note` is shown with it."""
        self._show()
        self.done += 1
        self._note = "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in note.items())
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], advance=1, rate=self._rate(), eta=f"ETA {self._left()}")
            self._show()
        elif time.monotonic() - self._last >= self.every_s:
            self._line(self._note)

    def reset_clock(self) -> None:
        """Rate and end are reckoned from now on, and not from the start, since what came before was other work."""
        self._began = time.monotonic()

    def say(self, words: str) -> None:
        """A line of its own, above the bar."""
        self._console.print(words, markup=False, highlight=False, soft_wrap=True)

    def _show(self) -> None:
        """Begin if that has not happened, and bring the line below the bar up to date."""
        if self.done >= self.total and self._bar is None:
            return
        if self._bar is None and self._console.is_terminal:
            self._bar = _Bar(console=self._console)
            self._bar.add_task(self.title, total=self.total, completed=self.done, rate="", eta="")
            self._bar.start()
        elif self._bar is None and self._ticker.ident is None:
            self._ticker.start()
        if self._bar is not None:
            self._bar.below = "  ".join(filter(None, (self._phase, self._note)))

    def _tick(self) -> None:
        """Off a terminal: a line for each phase that takes long."""
        told: float | None = None
        while not self._ended.wait(self.every_s / 4):
            phase, since = self._phase, self._since
            spent = time.monotonic() - since
            if phase and since != told and spent >= self.every_s:
                told = since
                self.say(f"{self.title}: {self.done}/{self.total}  {phase} since {spent:.0f} s")

    def _rate(self) -> str:
        rate = (self.done - self._first) / max(time.monotonic() - self._began, 1e-9)
        return f"{rate:.2f}/s" if rate >= 1 else f"{1 / rate:.2f} s each" if rate else ""

    def _left(self) -> timedelta:
        spent = time.monotonic() - self._began
        return timedelta(seconds=round(spent / max(self.done - self._first, 1) * (self.total - self.done)))

    def _line(self, words: str) -> None:
        self._last = time.monotonic()
        self.say(f"{self.title}: {self.done}/{self.total}  {self._rate()}  ETA {self._left()}  {words}".rstrip())


class _Bar(Progress):
    """A bar that fits any width: the numbers are never cut, the bar takes what is left, the words have a line below."""

    def __init__(self, *, console: Console) -> None:
        self.below = ""
        super().__init__(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[rate]}", table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[eta]}", table_column=Column(no_wrap=True)),
            console=console,
            expand=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar, and below it the words."""
        yield Constrain(self.make_tasks_table(self.tasks), WIDEST)
        if self.below:
            yield Text(self.below, no_wrap=True, overflow="ellipsis")
