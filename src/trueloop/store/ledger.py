"""What became of every problem that was issued: accounts that always add up.

A ticket is one attempt at one problem in one epoch.  It is open until it is used, filtered, stale or failed, and then
stays what it is:

    issue -> open -> used          its group trained; with max_reads > 1 it may be used again, which is counted apart
                  -> filtered      set aside for a reason (no signal, too long, a verifier's error, ...); not attempted
                                   again in this epoch
                  -> stale         its weights were too old when its turn came; may be issued again as the next attempt
                  -> failed        the engine lost it; may be issued again as the next attempt

    issued = used + filtered (all reasons) + stale + failed + open,  checked at every change
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal, NamedTuple

from trueloop.errors import DataError
from trueloop.records import Json

Fate = Literal["open", "used", "filtered", "stale", "failed"]
_LETTERS: dict[Fate, str] = {"open": "o", "used": "u", "filtered": "f", "stale": "s", "failed": "x"}
_FATES = {letter: fate for fate, letter in _LETTERS.items()}


class Ticket(NamedTuple):
    """One attempt at one problem in one epoch; attempts count from 0."""

    problem_id: str
    epoch: int
    attempt: int


class FateLedger:
    """Per-problem fate accounting.  Its state is a few bytes per problem and epoch."""

    def __init__(self) -> None:
        self._history: dict[str, dict[int, str]] = {}
        self._open: dict[Ticket, int] = {}
        self._counts: Counter[tuple[Fate, str, int]] = Counter()
        self._totals: Counter[Fate] = Counter()
        self._issued = 0
        self._uses = 0

    def issue(self, problem_id: str, epoch: int, *, version: int) -> Ticket:
        """Open the next attempt at a problem, to be sampled with the weights of `version`.

        Raises `DataError` while an attempt is open, and after one was used or filtered: twice is once too often.
        """
        past = self._history.setdefault(problem_id, {}).get(epoch, "")
        if past and _FATES[past[-1]] not in ("stale", "failed"):
            raise DataError(
                f"ledger: problem {problem_id!r} cannot be issued again in epoch {epoch}: attempt {len(past) - 1} is "
                f"{_FATES[past[-1]]}; expected none, or one that is stale or failed"
            )
        ticket = Ticket(problem_id, epoch, len(past))
        self._history[problem_id][epoch] = past + _LETTERS["open"]
        self._open[ticket] = version
        self._issued += 1
        self._check(ticket)
        return ticket

    def use(self, ticket: Ticket) -> None:
        """Its group trains.  A used ticket may be used again (max_reads), which adds to `uses` alone."""
        if self.fate(ticket) != "used":
            self._close(ticket, "used", "")
        self._uses += 1

    def filter(self, ticket: Ticket, reason: str) -> None:
        """Its group is set aside; `reason` is one of a few words, since they are counted."""
        self._close(ticket, "filtered", reason)

    def stale(self, ticket: Ticket) -> None:
        """Its weights were too old when its turn came."""
        self._close(ticket, "stale", "")

    def fail(self, ticket: Ticket, why: str) -> None:
        """It was lost; `why` is a kind of failure, such as the error's type, since they are counted."""
        self._close(ticket, "failed", why)

    def fate(self, ticket: Ticket) -> Fate:
        """What became of a ticket so far.  Raises `DataError` for one that was never issued."""
        past = self._history.get(ticket.problem_id, {}).get(ticket.epoch, "")
        if not 0 <= ticket.attempt < len(past):
            raise DataError(f"ledger: {ticket} was never issued; expected one that `issue` returned")
        return _FATES[past[ticket.attempt]]

    def attempts(self, problem_id: str, epoch: int) -> int:
        """How often a problem was issued in an epoch, which is what bounds retries."""
        return len(self._history.get(problem_id, {}).get(epoch, ""))

    def open_tickets(self) -> dict[Ticket, int]:
        """What is under way, with the version each was issued at, in the order of issue."""
        return dict(self._open)

    @property
    def issued(self) -> int:
        """Tickets issued."""
        return self._issued

    @property
    def uses(self) -> int:
        """Times that a group trained: more than the tickets used where groups are read several times."""
        return self._uses

    def count(self, fate: Fate, *, reason: str | None = None, version: int | None = None) -> int:
        """Tickets of a fate, of one reason and one version of the weights where given."""
        if reason is None and version is None:
            return self._totals[fate] if fate != "open" else len(self._open)
        if fate == "open":
            return sum(version in (None, v) for v in self._open.values()) if reason is None else 0
        return sum(
            n for (f, r, v), n in self._counts.items() if f == fate and reason in (None, r) and version in (None, v)
        )

    def reasons(self, fate: Fate) -> dict[str, int]:
        """Reason -> tickets of a fate, the most frequent first."""
        sums: Counter[str] = Counter()
        for (f, reason, _), n in self._counts.items():
            sums[reason] += n if f == fate else 0
        return {reason: n for reason, n in sorted(sums.items(), key=lambda item: (-item[1], item[0])) if n}

    def summary(self) -> str:
        """The accounts in words."""
        parts = [f"{self._totals['used']} used"]
        for fate in ("filtered", "stale", "failed"):
            if self._totals[fate]:
                why = ", ".join(f"{n} {reason}" for reason, n in self.reasons(fate).items() if reason)
                parts.append(f"{self._totals[fate]} {fate}{f' ({why})' if why else ''}")
        parts += [f"{len(self._open)} open"] if self._open else []
        again = f"; groups trained {self._uses} times" if self._uses != self._totals["used"] else ""
        return f"{self._issued} issued: {', '.join(parts)}{again}"

    def state(self) -> Json:
        """All of it as JSON, for a checkpoint."""
        return {
            "history": {p: {str(e): fates for e, fates in epochs.items()} for p, epochs in self._history.items()},
            "open": [[*ticket, version] for ticket, version in self._open.items()],
            "counts": [[*key, n] for key, n in sorted(self._counts.items())],
            "issued": self._issued,
            "uses": self._uses,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Json]) -> FateLedger:
        """The ledger whose `state` this is.  Raises `DataError` for accounts that do not add up."""
        ledger = cls()
        ledger._history = {p: {int(e): fates for e, fates in epochs.items()} for p, epochs in state["history"].items()}
        ledger._open = {Ticket(p, e, a): version for p, e, a, version in state["open"]}
        ledger._counts = Counter({(fate, reason, version): n for fate, reason, version, n in state["counts"]})
        for (fate, _, _), n in ledger._counts.items():
            ledger._totals[fate] += n
        ledger._issued, ledger._uses = state["issued"], state["uses"]
        letters = Counter(
            letter for epochs in ledger._history.values() for fates in epochs.values() for letter in fates
        )
        expected = {**ledger._totals, "open": len(ledger._open)}
        for fate, letter in _LETTERS.items():
            if letters[letter] != expected.get(fate, 0):
                raise DataError(
                    f"ledger: {letters[letter]} tickets are {fate} one by one but {expected.get(fate, 0)} in the "
                    "counts; the state is damaged: resume from an earlier checkpoint"
                )
        ledger._check("the restored state")
        return ledger

    def _close(self, ticket: Ticket, fate: Fate, reason: str) -> None:
        now = self.fate(ticket)
        if now != "open":
            raise DataError(f"ledger: {ticket} cannot become {fate}: it is {now}; expected an open ticket")
        version = self._open.pop(ticket)
        past = self._history[ticket.problem_id][ticket.epoch]
        self._history[ticket.problem_id][ticket.epoch] = past[:-1] + _LETTERS[fate]
        self._counts[fate, reason, version] += 1
        self._totals[fate] += 1
        self._check(ticket)

    def _check(self, what: object) -> None:
        if self._issued != self._totals.total() + len(self._open):
            raise DataError(
                f"ledger: the accounts do not add up at {what}: {self._issued} issued, but {self._totals.total()} "
                f"closed and {len(self._open)} open"
            )
