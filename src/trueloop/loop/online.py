"""The feed that samples: tickets -> groups -> credit -> streams, with exact accounting of every ticket's fate."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from trueloop.errors import DataError, EngineError
from trueloop.loop.audit import without_audit
from trueloop.loop.feed import Fill
from trueloop.loop.flow import Flow, check_flow
from trueloop.loop.rollouts import Outcome, Producer, rollout_ids
from trueloop.loop.summary import group_metrics
from trueloop.records import Group, Json
from trueloop.store.ledger import Fate, FateLedger
from trueloop.store.ledger import Ticket as Attempt
from trueloop.store.trace import rows_from_group
from trueloop.tasks.source import ProblemSource, Ticket
from trueloop.train.batch import Stream
from trueloop.train.step import Trainer

FATES: tuple[Fate, ...] = ("used", "filtered", "stale", "failed", "open")

Credit = Callable[[Sequence[Group]], Sequence[Group]]
ToStreams = Callable[[Sequence[Group], int], Sequence[Stream]]
Unfit = Callable[[Group, int], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seams:
    """What a recipe puts into the loop.  None of it is shown the audit of a score.

    credit   (groups of a step) -> the groups with advantages; it sees the whole step
    streams  (groups with advantages, step from 1) -> what the trainer takes
    unfit    (scored and annotated group, step) -> the reason for which it is filtered and replaced, or None
    """

    credit: Credit
    streams: ToStreams
    unfit: Unfit | None = None


@dataclass(slots=True)
class _Entry:
    """A group that waits to be used."""

    ticket: Ticket
    group: Group
    reads: int = 0

    @property
    def version(self) -> int:
        return min(r.version for r in self.group.rollouts)


@dataclass(slots=True)
class _Tally:
    """What happened since the last step was handed out."""

    rows: list[Mapping[str, Any]] = field(default_factory=list)
    filtered: list[Group] = field(default_factory=list)
    filtered_in_a_row: int = 0
    lost: list[str] = field(default_factory=list)


class Online:
    """Rollouts as they are needed (max_staleness 0) or ahead of the trainer (above 0), one code path for their fate.

    Synchronous steps are filled in waves whose content depends on the tickets alone, so they repeat bit by bit.
    Otherwise at most `flow.capacity` groups are open; an entry too old for the step being filled is stale, and its
    ticket goes to the front of the source.
    """

    def __init__(
        self, *, source: ProblemSource, producer: Producer, flow: Flow, seams: Seams, trainer: Trainer
    ) -> None:
        check_flow(flow)
        self.source, self.producer, self.flow, self.seams, self.trainer = source, producer, flow, seams, trainer
        self.ledger = FateLedger()
        self.step = 1
        self._tasks: dict[asyncio.Task[list[Outcome]], Ticket] = {}
        self._buffer: deque[_Entry] = deque()
        self._held: list[_Entry] = []
        self._tally = _Tally()
        self._pump: asyncio.Task[None] | None = None
        self._finished, self._settled = asyncio.Event(), asyncio.Event()

    async def next(self, step: int) -> Fill | None:
        """Sample until `problems_per_step` groups are held, then give credit and make streams."""
        self.step = step
        if self.flow.max_staleness == 0:
            await self._fill_in_waves()
        else:
            await self._fill_from_buffer()
        entries, self._held = self._held, []
        if not entries:
            return None
        credited, streams = await asyncio.to_thread(self.credit, [e.group for e in entries])
        fill = self._account(entries, credited, streams)
        if self.flow.max_staleness > 0:
            self._refill()
        return fill

    def credit(self, groups: Sequence[Group]) -> tuple[Sequence[Group], Sequence[Stream]]:
        """The groups with their advantages, audit and all, and the streams that were made without the audit."""
        credited = self.trainer.chain.credit(self.seams.credit([without_audit(g) for g in groups]))
        without = sum(g.advantages is None for g in credited)
        if rollout_ids(credited) != rollout_ids(groups) or without:
            raise DataError(
                f"step {self.step}: credit returned {len(credited)} groups for {len(groups)}, {without} of them "
                "without advantages; it must return every group in its place, with one advantage per rollout"
            )
        looked_at = [replace(g, advantages=c.advantages) for g, c in zip(groups, credited, strict=True)]
        return looked_at, self.seams.streams(credited, self.step)

    def _account(self, entries: Sequence[_Entry], groups: Sequence[Group], streams: Sequence[Stream]) -> Fill:
        tally, self._tally = self._tally, _Tally()
        lags = [self.trainer.version - e.version for e in entries]
        for k, (entry, group) in enumerate(zip(entries, groups, strict=True)):
            self._use(entry)
            tally.rows += self._rows(group, "used", k, entry.reads)
        metrics = group_metrics(groups, tally.filtered) | {
            "flow/lag_mean": sum(lags) / len(lags),
            "flow/lag_max": float(max(lags)),
            "flow/lost": float(len(tally.lost)),
        }
        metrics |= {f"fates/{fate}": float(self.ledger.count(fate)) for fate in FATES}
        metrics |= {f"share/{name}": row["share"] for name, row in self.source.report().items()}
        return Fill(streams=streams, metrics=metrics, rows=self._of_this_step(tally.rows))

    def _of_this_step(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Rows settled while the trainer was at the step before belong to the step whose part they are written to."""
        return [{**row, "step": self.step} for row in rows]

    def _use(self, entry: _Entry) -> None:
        self.ledger.use(self._attempt(entry.ticket))
        entry.reads += 1
        if entry.reads < self.flow.max_reads:
            self._buffer.append(entry)

    # -- synchronous

    async def _fill_in_waves(self) -> None:
        need = self.flow.problems_per_step
        while tickets := self._take(need - len(self._held)):
            for outcome in await self.producer.produce(tickets, self.step):
                self._held += self._settle(outcome)

    # -- ahead of the trainer

    async def _fill_from_buffer(self) -> None:
        while len(self._held) < self.flow.problems_per_step:
            if self._pump is not None and self._pump.done():
                self._pump.result()
            self._refill()
            if self._buffer:
                self._hold(self._buffer.popleft())
            elif self._tasks:
                await self._progress()
            else:
                return

    def _hold(self, entry: _Entry) -> None:
        if self.trainer.version - entry.version <= self.flow.max_staleness:
            self._held.append(entry)
        elif not entry.reads:
            self._tally.rows += self._rows(entry.group, "stale")
            self.ledger.stale(self._attempt(entry.ticket))
            self.source.give_back(entry.ticket)

    def _refill(self) -> None:
        waiting = sum(not e.reads for e in self._buffer)
        for ticket in self._take(self.flow.capacity - len(self._tasks) - waiting - len(self._held)):
            task = asyncio.create_task(self.producer.produce([ticket], self.step))
            self._tasks[task] = ticket
            task.add_done_callback(lambda _: self._finished.set())

    async def _progress(self) -> None:
        """Wait until the pump has settled something, and raise what it raised."""
        if self._pump is None:
            self._pump = asyncio.create_task(self._keep_settling())
        self._settled.clear()
        waiter = asyncio.create_task(self._settled.wait())
        await asyncio.wait([self._pump, waiter], return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        if self._pump.done():
            self._pump.result()

    async def _keep_settling(self) -> None:
        """Settle finished tickets and start new ones, also while the trainer steps in its thread."""
        while True:
            await self._finished.wait()
            self._finished.clear()
            for task in [t for t in self._tasks if t.done()]:
                del self._tasks[task]
                for outcome in task.result():
                    self._buffer.extend(self._settle(outcome))
            self._refill()
            self._settled.set()

    # -- fates

    def _take(self, n: int) -> list[Ticket]:
        tickets: list[Ticket] = []
        while len(tickets) < n and (ticket := self.source.next()) is not None:
            self.ledger.issue(ticket.problem.id, ticket.epoch, version=self.producer.engine.version)
            tickets.append(ticket)
        return tickets

    def _settle(self, outcome: Outcome) -> list[_Entry]:
        """The entry that an outcome becomes, or its fate where it becomes none."""
        ticket, group = outcome.ticket, outcome.group
        if outcome.failure and not outcome.filtered:
            self._lose(ticket, group, outcome.failure)
            return []
        if reason := outcome.filtered or self.unfit(group):
            self.ledger.filter(self._attempt(ticket), reason)
            self._tally.rows += self._rows(group, f"filtered:{reason}")
            self._tally.filtered.append(group)
            self._count_filtered(reason)
            return []
        self._tally.filtered_in_a_row = 0
        return [_Entry(ticket=ticket, group=group)]

    def unfit(self, group: Group) -> str | None:
        """Why a scored group is not used, or None."""
        if any(r.score is not None and r.score.status == "unscorable" for r in group.rollouts):
            return "unscorable"
        limit = self.flow.max_completion_tokens
        if limit is not None and max(r.completion_length for r in group.rollouts) > limit:
            return "too_long"
        if self.flow.drop_zero_variance and len(set(group.rewards())) == 1:
            return "zero_variance"
        return self.seams.unfit(without_audit(group), self.step) if self.seams.unfit is not None else None

    def _count_filtered(self, reason: str) -> None:
        self._tally.filtered_in_a_row += 1
        limit = self.flow.max_filtered * self.flow.problems_per_step
        if self._tally.filtered_in_a_row >= limit:
            raise DataError(
                f"step {self.step}: {limit} groups in a row were filtered (the last one: {reason}), so no step can be "
                "filled; look at their rollouts in the trace, at the reward and at the prompts, or raise "
                "flow.max_filtered"
            )

    def _lose(self, ticket: Ticket, group: Group, failure: str) -> None:
        self._tally.rows += self._rows(group, "failed")
        attempt = self._attempt(ticket)
        self.ledger.fail(attempt, failure.split(":")[0])
        failures = [self.ledger.fate(attempt._replace(attempt=k)) for k in range(attempt.attempt + 1)].count("failed")
        if failures < self.flow.max_attempts:
            self.source.give_back(ticket)
            return
        self._tally.lost.append(f"{ticket.problem.id}: {failure}")
        limit = self.flow.max_lost * self.flow.problems_per_step
        if len(self._tally.lost) > limit:
            raise EngineError(
                f"step {self.step}: {len(self._tally.lost)} problems were lost after {self.flow.max_attempts} attempts "
                f"each (limit {limit:g}: flow.max_lost x flow.problems_per_step); the first: {self._tally.lost[0]}"
            )

    def _attempt(self, ticket: Ticket) -> Attempt:
        """The ledger's name of the attempt at a ticket that is under way, or was the last."""
        problem_id, epoch = ticket.problem.id, ticket.epoch
        return Attempt(problem_id, epoch, self.ledger.attempts(problem_id, epoch) - 1)

    def _rows(self, group: Group, fate: str, index: int | None = None, read: int = 1) -> list[dict[str, Json]]:
        text = self.producer.prompt_text(group)
        return rows_from_group(group, step=self.step, fate=fate, prompt_text=text, index=index, read=read)

    # -- state

    def state(self) -> Json:
        """Source and ledger.  Open tickets will be taken up again from the front, so none is lost."""
        open_tickets = [*self._tasks.values(), *(e.ticket for e in self._buffer if not e.reads)]
        return {
            "source": self.source.state(given_back=open_tickets),
            "ledger": self.ledger.state(),
        }

    def restore(self, state: Json) -> None:
        """Go on after the step at which `state` was taken; attempts that were open count as stale."""
        self.source.restore(state["source"])
        self.ledger = FateLedger.restore(state["ledger"])
        for attempt in self.ledger.open_tickets():
            self.ledger.stale(attempt)

    def describe(self) -> str:
        """How many groups are where."""
        return (
            f"step {self.step}: {len(self._held)} of {self.flow.problems_per_step} groups held, "
            f"{len(self._buffer)} buffered, {len(self._tasks)} in flight; {self.ledger.summary()}"
        )

    def life(self) -> int:
        """Completions and verdicts that have arrived."""
        return self.producer.arrived

    def rest(self, *, ended: bool) -> list[Mapping[str, Any]]:
        """What was set aside since the last step; when it has ended, also the groups that nobody will use, as open."""
        rows, self._tally.rows = self._tally.rows, []
        if ended:
            rows += [row for e in self._buffer if not e.reads for row in self._rows(e.group, "open")]
        return self._of_this_step(rows)

    async def close(self) -> None:
        """Cancel what is in flight."""
        working = [*self._tasks, *([self._pump] if self._pump is not None else [])]
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
