"""Continuous batching: which prompts are computed, which samples decode, and what happens to each drawn token.

Requests with equal prompt and adapter form a lot, whose prompt is computed once and copied to each of its samples.
Lots are served first come, first served: a batch of lots is prefilled as soon as its first samples fit, and no other
batch starts before all samples of that one have.  A sample reserves prompt + max_tokens positions, so that nothing
that started ever has to be thrown out.  A long prompt is computed in pieces that alternate with decode steps.

Everything here is a function of the order of calls: the same list of requests is scheduled the same way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trueloop.engines.decoder import Decoder, Prefix
from trueloop.engines.sampling import Knobs, draw, uniforms
from trueloop.engines.stops import StopFinder
from trueloop.errors import EngineError
from trueloop.records import Completion, Finish, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds the engine: decode rows, cache positions, and prompt tokens in one forward."""

    max_rows: int
    cache_tokens: int
    prefill_chunk: int


@dataclass(slots=True, eq=False)
class Ticket:
    """One call of `generate`: where its completions go.  `deliver` gets a list of (request id, completion)."""

    deliver: Callable[[list[tuple[str, Completion]]], None]
    fail: Callable[[EngineError], None]


@dataclass(slots=True, kw_only=True, eq=False)
class Row:
    """One completion in the making; `limit` is max_tokens, or less where the context ends."""

    request: Request
    ticket: Ticket
    limit: int
    uniforms: Iterator[float]
    version: int = -1
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    policy_logprobs: list[float] = field(default_factory=list)

    @property
    def need(self) -> int:
        """Positions that it may come to hold."""
        return len(self.request.prompt) + self.limit


@dataclass(slots=True, kw_only=True)
class Lot:
    """Requests with one prompt and adapter."""

    prompt: tuple[int, ...]
    adapter: str | None
    rows: deque[Row]

    @property
    def need(self) -> int:
        """The most positions that one of its rows may come to hold."""
        return max(row.need for row in self.rows)


@dataclass(slots=True, kw_only=True)
class Batch:
    """Lots that are prefilled together; `logits_JV` predict the first token of each once the prefill is done."""

    lots: list[Lot]
    prefix: Prefix
    logits_JV: Tensor | None = None


class Scheduler:
    """Drives a decoder.  Used from one thread, under `torch.inference_mode`."""

    def __init__(self, decoder: Decoder, finder: StopFinder, end_ids: Sequence[int], limits: Limits) -> None:
        self.version = 0
        self.peak_positions = 0
        self.prefilled_tokens = 0
        self._decoder = decoder
        self._finder = finder
        self._ends = {end: finder.text([end]) for end in end_ids}
        self._limits = limits
        self._lots: dict[tuple[tuple[int, ...], str | None], Lot] = {}
        self._batch: Batch | None = None
        self._rows: list[Row] = []
        self._starting: list[Row] = []
        self._knobs: Knobs | None = None
        self._capacity = self._width = 0
        self._ready: dict[Ticket, list[tuple[str, Completion]]] = {}

    @property
    def busy(self) -> bool:
        """Whether anything waits or decodes."""
        return bool(self._rows or self._lots or self._batch)

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Every token that ends a completion."""
        return tuple(self._ends)

    def submit(self, ticket: Ticket, requests: Sequence[tuple[Request, int]]) -> None:
        """Queue (request, most tokens to draw); equal prompts join the lot that waits for them, if any."""
        for request, limit in requests:
            row = Row(request=request, ticket=ticket, limit=limit, uniforms=uniforms(request.sampling.seed))
            key = (request.prompt, request.adapter)
            lot = self._lots.setdefault(key, Lot(prompt=key[0], adapter=key[1], rows=deque()))
            lot.rows.append(row)

    def step(self) -> None:
        """Start what fits, then draw one token for every row; hands over what finished."""
        self._admit()
        if self._rows:
            self._decode()
        ready, self._ready = self._ready, {}
        for ticket, completions in ready.items():
            ticket.deliver(completions)

    def abort(self, ticket: Ticket) -> None:
        """Forget every request of a call, wherever it stands."""
        self._drop([i for i, row in enumerate(self._rows) if row.ticket is ticket])
        batch_lots = self._batch.lots if self._batch else []
        for lot in [*self._lots.values(), *batch_lots]:
            lot.rows = deque(row for row in lot.rows if row.ticket is not ticket)
        self._lots = {key: lot for key, lot in self._lots.items() if lot.rows}
        if not any(lot.rows for lot in batch_lots):
            self._batch = None

    def fail(self, error: EngineError) -> None:
        """Forget everything and tell every caller why."""
        lots = [*self._lots.values(), *(self._batch.lots if self._batch else [])]
        rows = [*self._rows, *self._starting, *(row for lot in lots for row in lot.rows)]
        tickets = dict.fromkeys([*(row.ticket for row in rows), *self._ready])
        self._lots, self._batch, self._rows, self._starting, self._knobs, self._ready = {}, None, [], [], None, {}
        if self._decoder.rows:
            self._decoder.retire(range(self._decoder.rows))
        for ticket in tickets:
            ticket.fail(error)

    def weights_changed(self, version: int) -> None:
        """Rows in flight go on with their old keys and values; samples that have not started get a new prefill."""
        self.version = version
        if self._batch is not None:
            waiting = {(lot.prompt, lot.adapter): lot for lot in self._batch.lots if lot.rows}
            for key, lot in self._lots.items():
                if key in waiting:
                    waiting[key].rows.extend(lot.rows)
                else:
                    waiting[key] = lot
            self._lots, self._batch = waiting, None

    def _admit(self) -> None:
        """Prefill and start lots while they fit; after each piece of a long prompt the decoding rows get a turn."""
        while self._batch is not None or self._choose():
            batch = self._batch
            assert batch is not None
            if batch.logits_JV is None:
                batch.logits_JV = self._decoder.extend(batch.prefix, self._limits.prefill_chunk)
                self._note_positions()
                if batch.logits_JV is None:
                    if self._rows:
                        return
                    continue
            self._start(batch, batch.logits_JV)
            if any(lot.rows for lot in batch.lots):
                return
            self._batch = None

    def _choose(self) -> bool:
        """Form the next batch of lots, first come first served; False if not even the first lot can start now."""
        lots: list[Lot] = []
        for lot in self._lots.values():
            if not self._fits([*lots, lot]):
                break
            lots.append(lot)
        if not lots:
            return False
        self._reserve(lots)
        prefix = self._decoder.start([lot.prompt for lot in lots], [lot.adapter for lot in lots])
        self._batch = Batch(lots=lots, prefix=prefix)
        self._lots = dict(list(self._lots.items())[len(lots) :])
        self.prefilled_tokens += sum(len(lot.prompt) for lot in lots)
        return True

    def _fits(self, lots: Sequence[Lot]) -> bool:
        """Whether these prompts are one prefill and, with all samples but the last lot's, leave it room for one."""
        staged = _staged(lots)
        rows = len(self._rows) + sum(len(lot.rows) for lot in lots[:-1]) + 1
        width = self._needed_width(lots)
        return (
            (len(lots) == 1 or staged <= self._limits.prefill_chunk)
            and rows <= self._limits.max_rows
            and staged + rows * width <= self._limits.cache_tokens
        )

    def _reserve(self, lots: Sequence[Lot]) -> None:
        """Give the decoder room for as many rows as wait, wide enough for all of them if the memory allows it."""
        room = self._limits.cache_tokens - _staged(lots)
        rows = len(self._rows) + sum(len(lot.rows) for lot in self._lots.values())
        rows = min(rows, self._limits.max_rows)
        width = self._needed_width(lots)
        widest = self._needed_width([*self._lots.values()])
        if rows * widest <= room:
            width = widest
        rows = min(rows, room // width)
        enough = self._capacity >= rows and self._width >= width and self._capacity * self._width <= room
        if not (self._rows and enough):
            self._capacity, self._width = rows, width
            self._decoder.reserve(rows, width)

    def _needed_width(self, lots: Sequence[Lot]) -> int:
        return max([*(row.need for row in self._rows), *(lot.need for lot in lots)])

    def _start(self, batch: Batch, logits_JV: Tensor) -> None:
        """Draw the first token of as many samples as there are free rows; those that go on become rows."""
        rows: list[Row] = []
        picks: list[int] = []
        for j, lot in enumerate(batch.lots):
            while lot.rows and len(self._rows) + len(rows) < self._capacity:
                rows.append(lot.rows.popleft())
                picks.append(j)
        if not rows:
            return
        self._starting = rows
        for row in rows:
            row.version = self.version
        stays = self._draw(rows, logits_JV[picks], Knobs.of([r.request.sampling for r in rows], logits_JV.device))
        if stays:
            self._decoder.append(batch.prefix, [picks[i] for i in stays])
            self._rows += [rows[i] for i in stays]
            self._knobs = None
        self._starting = []
        self._note_positions()

    def _decode(self) -> None:
        """One more token for every row; finished rows leave."""
        logits_RV = self._decoder.step([row.tokens[-1] for row in self._rows])
        if self._knobs is None:
            self._knobs = Knobs.of([row.request.sampling for row in self._rows], logits_RV.device)
        stays = self._draw(self._rows, logits_RV, self._knobs)
        self._note_positions()
        if len(stays) < len(self._rows):
            self._drop(sorted(set(range(len(self._rows))) - set(stays)))

    def _draw(self, rows: Sequence[Row], logits_RV: Tensor, knobs: Knobs) -> list[int]:
        """Append a token to each row; returns the indices of the rows that go on."""
        u = [next(row.uniforms) for row in rows]
        drawn = draw(logits_RV, knobs, torch.tensor(u, dtype=torch.float64, device=logits_RV.device))
        columns = (drawn.tokens_R, drawn.logprobs_R, drawn.scores_R, drawn.valid_R)
        stays = []
        for i, (row, token, logprob, score, valid) in enumerate(
            zip(rows, *(column.tolist() for column in columns), strict=True)
        ):
            if not valid:
                self._finish(row, "error", None, self._finder.text(row.tokens))
                continue
            row.tokens.append(token)
            row.logprobs.append(logprob)
            row.policy_logprobs.append(score)
            if not self._ended(row):
                stays.append(i)
        return stays

    def _ended(self, row: Row) -> bool:
        """Whether the last token ended the row, by end token, stop string or length; hands it over if so."""
        end = self._ends.get(row.tokens[-1])
        if end is not None:
            self._finish(row, "stop", end, self._finder.text(row.tokens[:-1]))
            return True
        stops = row.request.sampling.stop
        if stops and (hit := self._finder.find(row.tokens, stops)):
            self._finish(row, "stop", *hit)
            return True
        if len(row.tokens) == row.limit:
            self._finish(row, "length", None, self._finder.text(row.tokens))
            return True
        return False

    def _finish(self, row: Row, finish: Finish, stop: str | None, text: str) -> None:
        completion = Completion(
            tokens=tuple(row.tokens),
            logprobs=tuple(row.logprobs),
            policy_logprobs=tuple(row.policy_logprobs),
            finish=finish,
            stop=stop,
            version=row.version,
            text=text,
        )
        self._ready.setdefault(row.ticket, []).append((row.request.id, completion))

    def _drop(self, gone: Sequence[int]) -> None:
        if gone:
            self._rows = [self._rows[i] for i in self._decoder.retire(gone)]
            self._knobs = None

    def _note_positions(self) -> None:
        held = self._decoder.positions + (self._batch.prefix.positions if self._batch else 0)
        self.peak_positions = max(self.peak_positions, held)


def _staged(lots: Sequence[Lot]) -> int:
    """Positions that the prompts of these lots hold while they are computed, padded to one length."""
    return len(lots) * max(len(lot.prompt) for lot in lots)
