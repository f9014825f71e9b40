"""One failure on record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A failure that cost somebody time.

    id         family and number: `rlvr 31`
    what       what was done and what it looked like
    unplanted  why no fault stands for it here; empty where one does
    """

    id: str
    what: str
    unplanted: str = ""


def records(family: str, planted: Mapping[str, str], unplanted: Mapping[str, tuple[str, str]]) -> Iterator[Recorded]:
    """Those of a family: number -> what, and number -> (what, why it is not planted)."""
    for number, what in planted.items():
        yield Recorded(id=f"{family} {number}", what=what)
    for number, (what, why) in unplanted.items():
        yield Recorded(id=f"{family} {number}", what=what, unplanted=why)
