"""An engine without a model: for tests, for docs, and to try a recipe's plumbing.  Deterministic, torch-free.

engine = FakeEngine(lambda request, prompt: "The answer is 4.", tokenizer, end_id=1)
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from trueloop.engines.stops import Decodes, StopFinder
from trueloop.errors import EngineError
from trueloop.records import Completion, Finish, Request, derive_seed


class Tokenizes(Decodes, Protocol):
    """What is needed of a tokenizer; every Hugging Face tokenizer has it."""

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """The tokens of this text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What becomes of one request.

    seconds  until it is over
    outcome  finish (with the reply); error (comes back with finish "error"); fail (the call raises `EngineError`);
             never (it is waited for until somebody cancels)
    """

    seconds: float = 0.0
    outcome: Literal["finish", "error", "fail", "never"] = "finish"


class FakeEngine:
    """Replies with what a function says; see `Engine`.

    reply      (request, decoded prompt) -> the text of the completion, or a `Completion` that is returned as it is
    tokenizer  turns prompts into text and replies into tokens
    end_id     appended to a reply that fits into max_tokens; None: such a reply has finish "length"
    plan       request -> `Plan`; by default everything finishes at once, in the order asked

    A reply is cut where a real engine would have ended it: by its stop strings, its end token or max_tokens.  Log-probs
    are invented, but a function of the tokens before, so that `logprobs` agrees with what a completion reported.
    """

    def __init__(
        self,
        reply: Callable[[Request, str], str | Completion],
        tokenizer: Tokenizes,
        *,
        end_id: int | None = None,
        plan: Callable[[Request], Plan] = lambda request: Plan(),
        version: int = 0,
    ) -> None:
        self.version = version
        self.requests: list[Request] = []
        self.loaded: list[tuple[int, tuple[str, ...]]] = []
        self._reply = reply
        self._tokenizer = tokenizer
        self._finder = StopFinder(tokenizer)
        self._end_id = end_id
        self._plan = plan
        self._closed = False
        self._calls: set[asyncio.Event] = set()

    async def generate(self, requests: Sequence[Request]) -> AsyncGenerator[tuple[str, Completion], None]:
        """See `Engine`.  Every request asked for is kept in `requests`."""
        self._require_open()
        self.requests += requests
        tasks = {asyncio.ensure_future(self._answer(request)): request.id for request in requests}
        self._calls.add(closed := asyncio.Event())
        closing = asyncio.ensure_future(closed.wait())
        try:
            waiting = set(tasks)
            while waiting:
                await asyncio.wait({*waiting, closing}, return_when=asyncio.FIRST_COMPLETED)
                self._require_open()
                for task in [task for task in tasks if task in waiting and task.done()]:
                    waiting.remove(task)
                    yield tasks[task], task.result()
        finally:
            self._calls.discard(closed)
            for future in (*tasks, closing):
                future.cancel()
            await asyncio.gather(*tasks, closing, return_exceptions=True)

    async def load_weights(self, source: Mapping[str, Any], version: int) -> None:
        """See `Engine`; `loaded` keeps (version, names), the tensors are not looked at."""
        self._require_open()
        self.loaded.append((version, tuple(source)))
        self.version = version

    async def logprobs(
        self, sequences: Sequence[tuple[int, ...]], *, temperature: float = 1.0, adapter: str | None = None
    ) -> list[tuple[float, ...]]:
        """See `Engine`; invented, and the same for every temperature and adapter."""
        self._require_open()
        return [(0.0, *invented_logprobs(sequence[:1], sequence[1:])) for sequence in sequences]

    async def close(self) -> None:
        """See `Engine`."""
        self._closed = True
        for closed in self._calls:
            closed.set()

    async def _answer(self, request: Request) -> Completion:
        plan, version = self._plan(request), self.version
        if plan.outcome == "never":
            await asyncio.Event().wait()
        await asyncio.sleep(plan.seconds)
        if plan.outcome == "fail":
            raise EngineError(f"request {request.id!r}: this fake was told to fail")
        if plan.outcome == "error":
            return Completion(
                tokens=(), logprobs=(), policy_logprobs=(), finish="error", stop=None, version=version, text=""
            )
        reply = self._reply(request, self._finder.text(request.prompt))
        return reply if isinstance(reply, Completion) else self._completion(request, reply, version)

    def _completion(self, request: Request, reply: str, version: int) -> Completion:
        tokens, finish, stop, text = self._cut(request, self._tokenizer.encode(reply, add_special_tokens=False))
        drawn = tuple(invented_logprobs(request.prompt, tokens))
        return Completion(
            tokens=tokens, logprobs=drawn, policy_logprobs=drawn, finish=finish, stop=stop, version=version, text=text
        )

    def _cut(self, request: Request, drawn: Sequence[int]) -> tuple[tuple[int, ...], Finish, str | None, str]:
        """(tokens, finish, stop, text) where an engine that drew these tokens would have stopped."""
        sampling = request.sampling
        for count in range(1, min(len(drawn), sampling.max_tokens) + 1 if sampling.stop else 0):
            if hit := self._finder.find(drawn[:count], sampling.stop):
                return tuple(drawn[:count]), "stop", *hit
        if self._end_id is not None and len(drawn) < sampling.max_tokens:
            end = self._finder.text([self._end_id])
            return (*drawn, self._end_id), "stop", end, self._finder.text(drawn)
        kept = drawn[: sampling.max_tokens]
        return tuple(kept), "length", None, self._finder.text(kept)

    def _require_open(self) -> None:
        if self._closed:
            raise EngineError("the engine is closed; make a new one")


def invented_logprobs(context: Sequence[int], tokens: Sequence[int]) -> Iterator[float]:
    """One value in [log 0.05, 0) per token, from the token, the one before and the position alone."""
    previous = context[-1] if context else -1
    for position, token in enumerate(tokens, len(context)):
        uniform = derive_seed(position, previous, token) / 2**63
        yield math.log(0.05 + 0.949 * uniform)
        previous = token
