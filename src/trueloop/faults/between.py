"""An engine with something between it and the run, as a proxy, a server or a wrapper would be."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, aclosing
from typing import Any

from trueloop.engines.local import LocalEngine
from trueloop.faults import seams
from trueloop.records import Completion, Request

Asks = Callable[[Request], Request]
Answers = Callable[[Sequence[Request], dict[str, Completion]], dict[str, Completion]]


class Between:
    """The engine, but that requests go through `asks` and the completions of a call through `answers`."""

    def __init__(self, engine: LocalEngine, asks: Asks | None, answers: Answers | None) -> None:
        self._engine, self._asks, self._answers = engine, asks, answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def generate(self, requests: Sequence[Request]) -> AsyncGenerator[tuple[str, Completion], None]:
        """All completions of the call, changed, in the order of the requests."""
        asked = [self._asks(r) for r in requests] if self._asks is not None else list(requests)
        async with aclosing(self._engine.generate(asked)) as arriving:
            found = {name: completion async for name, completion in arriving}
        changed = self._answers(requests, found) if self._answers is not None else found
        for request in requests:
            yield request.id, changed[request.id]


def asking(change: Asks) -> AbstractContextManager[None]:
    """Every request is changed."""
    return seams.engine(lambda engine: Between(engine, change, None))


def answering(change: Callable[[Completion], Completion]) -> AbstractContextManager[None]:
    """Every completion is changed."""
    return seams.engine(lambda engine: Between(engine, None, lambda _, found: {k: change(c) for k, c in found.items()}))


def answering_together(change: Answers) -> AbstractContextManager[None]:
    """The completions of a call are changed together."""
    return seams.engine(lambda engine: Between(engine, None, change))
