"""From tickets to groups: prompt, generate, score, in rounds where the sampling adapts, and annotate at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from trueloop.engines.base import Engine
from trueloop.errors import DataError, EngineError
from trueloop.loop.audit import with_audit, without_audit
from trueloop.loop.flow import Adaptive, Samples
from trueloop.loop.probe import Probe
from trueloop.records import Group, Problem, Request, Rollout, Sampling, Score, derive_seed, to_rollout
from trueloop.tasks.source import Ticket

Grade = Callable[[Problem, str, int], Awaitable[Score]]
Encode = Callable[[Problem, int], tuple[int, ...]]
Decode = Callable[[list[int]], str]
Annotate = Callable[[Engine, Sequence[Group]], Awaitable[Sequence[Group]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a ticket: a group of scored rollouts, or why there is none.

    filtered  why the group is not used, where that is known already: its prompt is too long, or the verifier raised
    failure   what was lost; the group then holds what there is, which is stored and never trained on
    """

    ticket: Ticket
    group: Group
    filtered: str | None = None
    failure: str | None = None


@dataclass(slots=True)
class _Draft:
    """A ticket whose group is being sampled."""

    ticket: Ticket
    prompt: tuple[int, ...]
    filtered: str | None
    rollouts: list[Rollout] = field(default_factory=list)
    failure: str | None = None

    def wants(self, samples: Samples) -> int:
        """How many further completions this group asks for now."""
        if self.failure is not None or self.filtered is not None:
            return 0
        if samples.kind == "fixed":
            return samples.n - len(self.rollouts)
        return 0 if _satisfied(self.rollouts, samples) else min(samples.chunk, samples.max_samples - len(self.rollouts))

    def outcome(self) -> Outcome:
        rollouts = tuple(sorted(self.rollouts, key=lambda r: r.index))
        group = Group(problem=self.ticket.problem, rollouts=rollouts)
        return Outcome(ticket=self.ticket, group=group, filtered=self.filtered, failure=self.failure)


def _satisfied(rollouts: Sequence[Rollout], samples: Adaptive) -> bool:
    passed = sum(1 for r in rollouts if r.score is not None and r.score.passed)
    return len(rollouts) >= samples.max_samples or (
        passed >= samples.successes and len(rollouts) - passed >= samples.failures
    )


class Producer:
    """Turns tickets into outcomes.  Without `grade` the rollouts stay unscored: credit is to read something else.

    The tickets of one call go through the engine together, round by round, so that what is in a batch depends on the
    tickets alone and not on timing: the same call repeats bit by bit.

    `annotate` is called with the engine and the groups of a call that came through whole, before any is filtered, so
    that what it finds may be a reason to filter; it returns the same rollouts in the same order, with probes.  A call
    has the groups of a wave where sampling is synchronous, one group where it runs ahead.  It is shown no audit.

    `probe`, where there is one, has its own requests in the first round of the steps at which it is due; they become no
    rollouts.  `arrived` counts completions and verdicts: while it grows, sampling is alive.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        encode: Encode,
        decode: Decode,
        grade: Grade | None,
        samples: Samples,
        sampling: Callable[[Problem], Sampling],
        seed: int,
        max_prompt_tokens: int | None = None,
        annotate: Annotate | None = None,
        probe: Probe | None = None,
    ) -> None:
        self.engine, self.encode, self.decode, self.grade = engine, encode, decode, grade
        self.samples, self.sampling, self.seed = samples, sampling, seed
        self.max_prompt_tokens, self.annotate, self.probe = max_prompt_tokens, annotate, probe
        self.arrived = 0

    async def produce(self, tickets: Sequence[Ticket], step: int) -> list[Outcome]:
        """One outcome per ticket, in order.  `step` is the optimizer step that schedules (shots, leniency) read.

        Raises `DataError` if `annotate` returns other groups or rollouts than it was given.
        """
        drafts = [self._draft(ticket, step) for ticket in tickets]
        while any(d.wants(self.samples) for d in drafts):
            await self._round(drafts, step)
        return await self._annotated([d.outcome() for d in drafts])

    def _draft(self, ticket: Ticket, step: int) -> _Draft:
        prompt = self.encode(ticket.problem, step)
        long = self.max_prompt_tokens is not None and len(prompt) > self.max_prompt_tokens
        return _Draft(ticket=ticket, prompt=prompt, filtered="prompt_too_long" if long else None)

    def prompt_text(self, group: Group) -> str:
        """The prompt of a group as the model read it, template included; empty where nothing was sampled."""
        if not group.rollouts:
            return ""
        first = group.rollouts[0]
        length = first.loss_mask.index(True) if True in first.loss_mask else len(first.tokens)
        return self.decode(list(first.tokens[:length]))

    async def _annotated(self, outcomes: list[Outcome]) -> list[Outcome]:
        """The outcomes, those that came through whole with what `annotate` makes of their groups."""
        places = [k for k, o in enumerate(outcomes) if o.filtered is None and o.failure is None]
        if self.annotate is None or not places:
            return outcomes
        try:
            found = await self.annotate(self.engine, [without_audit(outcomes[k].group) for k in places])
        except EngineError as error:
            lost = f"engine: annotate: {error}"
            return [replace(o, failure=lost) if k in places else o for k, o in enumerate(outcomes)]
        given, returned = rollout_ids([outcomes[k].group for k in places]), rollout_ids(found)
        if returned != given:
            raise DataError(
                f"annotate returned {len(returned)} groups for {len(given)} ({sum(map(len, returned))} rollouts for "
                f"{sum(map(len, given))}), or in another order; it must return every group and rollout in its place"
            )
        for k, group in zip(places, found, strict=True):
            outcomes[k] = replace(outcomes[k], group=with_audit(group, outcomes[k].group))
        return outcomes

    async def _round(self, drafts: Sequence[_Draft], step: int) -> None:
        owners: dict[str, tuple[_Draft, int]] = {}
        requests = []
        for draft in drafts:
            first = len(draft.rollouts)
            for k in range(first, first + draft.wants(self.samples)):
                request = self._request(draft, k)
                owners[request.id] = (draft, k)
                requests.append(request)
        requests += self._probing(step)
        scoring = []
        try:
            async with aclosing(self.engine.generate(requests)) as finished:
                async for request_id, completion in finished:
                    self.arrived += 1
                    if self.probe is not None and self.probe.take(request_id, completion):
                        continue
                    draft, k = owners.pop(request_id)
                    rollout = to_rollout(draft.ticket.problem, k, draft.prompt, completion, epoch=draft.ticket.epoch)
                    scoring.append(asyncio.create_task(self._score(draft, rollout, step)))
        except EngineError as error:
            for draft, _ in owners.values():
                draft.failure = draft.failure or f"engine: {error}"
            owners.clear()
        for draft, k in owners.values():
            draft.failure = draft.failure or f"engine: no completion for sample {k}"
        await asyncio.gather(*scoring)

    def _request(self, draft: _Draft, k: int) -> Request:
        ticket = draft.ticket
        seed = derive_seed(self.seed, ticket.problem.id, ticket.epoch, k)
        sampling = replace(self.sampling(ticket.problem), seed=seed)
        return Request(id=f"{ticket.problem.id}/{ticket.epoch}/{k}", prompt=draft.prompt, sampling=sampling)

    def _probing(self, step: int) -> list[Request]:
        limit = self.max_prompt_tokens
        asked = self.probe.requests(step) if self.probe is not None else []
        return [request for request in asked if limit is None or len(request.prompt) <= limit]

    async def _score(self, draft: _Draft, rollout: Rollout, step: int) -> None:
        if rollout.finish in ("abort", "error"):
            draft.failure = draft.failure or f"engine: sample {rollout.id} ended with {rollout.finish!r}"
        elif self.grade is not None:
            score = await self.grade(draft.ticket.problem, rollout.text, step)
            self.arrived += 1
            rollout = replace(rollout, score=score)
            if score.status == "error":
                draft.filtered = "verifier_error"
        draft.rollouts.append(rollout)


def rollout_ids(groups: Sequence[Group]) -> list[list[str]]:
    """Per group the ids of its rollouts, in order: what a recipe's part of the loop must not change."""
    return [[rollout.id for rollout in group.rollouts] for group in groups]
