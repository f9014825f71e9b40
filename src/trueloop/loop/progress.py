"""A progress line for long work: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from trueloop.records import Json


class Report:
    """Shows how far the work is, its rate and when it will end.

    On a terminal a bar; elsewhere a line every `every_s` seconds, so that logs stay short.
    """

    def __init__(self, title: str, total: int, *, done: int = 0, stream: TextIO | None = None, every_s: float = 10.0):
        self.title, self.total, self.done, self.every_s = title, total, done, every_s
        self._first, self._began, self._last = done, time.monotonic(), 0.0
        self._console = Console(file=stream or sys.stderr)
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Report:
        if self._console.is_terminal:
            rate, note = TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[note]}")
            count = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self._bar = Progress(*count, rate, TimeRemainingColumn(), note, console=self._console)
            self._task = self._bar.add_task(self.title, total=self.total, completed=self.done, rate="", note="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self.done > self._first:
            self._line("")

    def advance(self, note: Mapping[str, Json]) -> None:
        """One more unit done; `note` is shown beside it."""
        self.done += 1
        words = "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in note.items())
        if self._bar is not None:
            self._bar.update(self._task, advance=1, rate=self._rate(), note=words)
        elif time.monotonic() - self._last >= self.every_s:
            self._line(words)

    def say(self, words: str) -> None:
        """A line of its own, above the bar."""
        self._console.print(words, markup=False, highlight=False, soft_wrap=True)

    def _rate(self) -> str:
        rate = (self.done - self._first) / max(time.monotonic() - self._began, 1e-9)
        return f"{rate:.2f}/s" if rate >= 1 else f"{1 / rate:.2f} s each" if rate else ""

    def _line(self, words: str) -> None:
        self._last = time.monotonic()
        spent = self._last - self._began
        left = spent / max(self.done - self._first, 1) * (self.total - self.done)
        self.say(f"{self.title}: {self.done}/{self.total}  {self._rate()}  ETA {left:.0f} s  {words}".rstrip())
