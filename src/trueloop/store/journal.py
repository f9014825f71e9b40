"""Rows of JSON in a file that only grows: one a line, each on the disk before `append` returns."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from trueloop.errors import DataError, StoreError
from trueloop.records import Json
from trueloop.store.artefacts import Writing, atomic_file

Row = dict[str, Json]


class Journal:
    """A `.jsonl` file.  A row is written when its newline is: a killed process leaves at most one torn last line.

    Numbers that are not finite are written as NaN and Infinity, which Python and DuckDB read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Mapping[str, Json]) -> None:
        """Add one row.  Raises `DataError` for a value JSON has no form for, `StoreError` where the disk refuses."""
        line = self._line(row)
        with Writing(self.path, "a row"):
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            size = os.fstat(fd).st_size
            try:
                _write_all(fd, line)
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, size)
                raise
            finally:
                os.close(fd)

    def rows(self) -> list[Row]:
        """All rows in the order they were written, without a torn last line.  Raises `StoreError` for a damaged one."""
        return [row for _, row in self._read()]

    def repair(self) -> bool:
        """Cut a torn last line; whether there was one.  Only the writer may call it.

        Raises `StoreError` for any other line that cannot be read: that is damage, and no kill leaves it.
        """
        whole = sum(len(line) for line, _ in self._read())
        if not self.path.exists() or self.path.stat().st_size == whole:
            return False
        with Writing(self.path, "the rows without a torn last line"):
            os.truncate(self.path, whole)
        return True

    def keep(self, wanted: Callable[[Row], bool]) -> None:
        """Drop the rows that are not wanted; the others stay as they are, byte for byte."""
        lines = list(self._read())
        kept = [line for line, row in lines if wanted(row)]
        if len(kept) == len(lines):
            return
        with atomic_file(self.path, what="the rows that stay") as partial:
            partial.write_bytes(b"".join(kept))

    def _line(self, row: Mapping[str, Json]) -> bytes:
        try:
            text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        except TypeError as error:
            raise DataError(f"{self.path.name}: a row with {', '.join(row)} is not JSON: {error}") from error
        return (text + "\n").encode(errors="backslashreplace")

    def _read(self) -> Iterator[tuple[bytes, Row]]:
        """Whole lines with their rows."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield line, self._parse(line, number)

    def _parse(self, line: bytes, number: int) -> Row:
        try:
            return json.loads(line)
        except ValueError as error:
            raise StoreError(
                f"{self.path}: line {number} is damaged ({error}); expected one JSON row; "
                "restore the file from a copy, or delete that line"
            ) from error


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
