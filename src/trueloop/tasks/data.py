"""Tasks whose rows come from files, or from the Hub in the same format."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from trueloop.errors import DataError
from trueloop.records import Json, Problem
from trueloop.tasks.base import Task, TaskSettings
from trueloop.tasks.files import Placed, read_rows, require_columns

_NOT_A_ROW = (KeyError, IndexError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubData:
    """Where a task's rows are on the Hub: `splits` maps the task's split to the data set's; `configs` are read one
    after the other ("" for the only one)."""

    id: str
    splits: Mapping[str, str]
    configs: tuple[str, ...] = ("",)


class DataSettings(TaskSettings):
    """Where the rows come from.

    path   a folder with the task's files (JSONL, JSON or Parquet), or None for the Hub
    files  split -> file name in that folder, for files that are not named as the task names them
    """

    path: Path | None = None
    files: dict[str, str] = Field(default={})

    @model_validator(mode="after")
    def _files_are_somewhere(self) -> Self:
        if self.files and self.path is None:
            raise ValueError("files are names in the folder `path`, which is not given")
        return self


class DataTask(Task):
    """A task over rows of a data set.

    files  split -> its file's name by default
    hub    the same rows on the Hub; None where they are not there
    """

    files: ClassVar[Mapping[str, str]]
    hub: ClassVar[HubData | None] = None

    def __init__(self, settings: DataSettings) -> None:
        super().__init__()
        self._path, self._names = settings.path, {**self.files, **settings.files}
        self.splits = tuple(self._names if self._path or not self.hub else self.hub.splits)

    def at_hand(self) -> tuple[str, ...]:
        """The splits whose files are there."""
        if self._path is None:
            return ()
        return tuple(s for s in self.splits if s not in self._names or (self._path / self._names[s]).is_file())

    @abstractmethod
    def problem(self, row: Mapping[str, Json], split: str) -> Problem:
        """The problem of a row that has `columns`.  Raises `DataError` for a row that none can be made of."""

    def _load(self, split: str) -> Iterable[Problem]:
        for place, row in self._rows_of(split):
            try:
                problem = self.problem(row, split)
            except DataError as error:
                raise DataError(f"{place}: {error}") from error
            except _NOT_A_ROW as error:
                raise DataError(
                    f"{place}: a value that a {self.name} row cannot have ({type(error).__name__}: {error}); "
                    f"it needs {', '.join(self.columns)}"
                ) from error
            yield problem

    def _rows_of(self, split: str) -> Iterator[Placed]:
        """The rows of a split, each with where it stands."""
        if self._path is not None:
            yield from read_rows(self._path / self._names[split], self.columns)
        elif self.hub is not None:
            yield from self._hub_rows(self.hub, self.hub.splits[split])
        else:
            raise DataError(
                f"task {self.name!r} is not on the Hub: give `path`, a folder with {', '.join(self.files.values())}"
            )

    def _hub_rows(self, hub: HubData, split: str) -> Iterator[Placed]:
        from trueloop.tasks.hub import hub_rows

        for config in hub.configs:
            rows = hub_rows(hub.id, config, split, self.columns, tuple(self.files.values()))
            where = f"{hub.id}{f' ({config})' if config else ''}, split {split!r}"
            for number, row in enumerate(rows, 1):
                place = f"{where}, row {number}"
                yield place, require_columns(place, row, self.columns)
