"""An engine that does not do what it says: it asks for other draws, or claims other log-probabilities."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from trueloop.engines.local import LocalEngine
from trueloop.records import Completion, Request

Ask = Callable[[Request], Request]
Claim = Callable[[Completion], Completion]


class Lying:
    """A local engine whose requests and completions are changed on the way; the rest is the engine's own.

    ask     what is asked for instead of each request
    claim   what is returned instead of each completion
    rescore temperature at which the tokens' log-probabilities are computed again, as a scorer that knows nothing of
            the draw; None: as drawn
    """

    def __init__(
        self,
        inner: LocalEngine,
        *,
        ask: Ask = lambda request: request,
        claim: Claim = lambda completion: completion,
        rescore: float | None = None,
    ) -> None:
        self.inner, self.ask, self.claim, self.rescore = inner, ask, claim, rescore

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def generate(self, requests: Sequence[Request]) -> AsyncGenerator[tuple[str, Completion], None]:
        """As the engine, but for the changes."""
        prompts = {request.id: self.ask(request).prompt for request in requests}
        async for name, completion in self.inner.generate([self.ask(request) for request in requests]):
            if self.rescore is not None:
                completion = await self._rescored(prompts[name], completion, self.rescore)
            yield name, self.claim(completion)

    async def _rescored(self, prompt: tuple[int, ...], completion: Completion, temperature: float) -> Completion:
        (found,) = await self.inner.logprobs([prompt + completion.tokens], temperature=temperature)
        own = found[len(prompt) :]
        return replace(completion, logprobs=own, policy_logprobs=own)


class Loading(Lying):
    """A local engine that is given other weights than it is handed."""

    def __init__(self, inner: LocalEngine, change: Callable[[dict[str, Tensor]], Mapping[str, Tensor]]) -> None:
        super().__init__(inner)
        self.change = change

    async def load_weights(self, source: Mapping[str, Tensor], version: int) -> None:
        """What `change` makes of the weights."""
        with torch.no_grad():
            changed = self.change({name: t.detach().clone() for name, t in source.items()})
        await self.inner.load_weights(changed, version)


def sampling(**changes: Any) -> Ask:
    """Requests with other sampling settings."""
    return lambda request: replace(request, sampling=replace(request.sampling, **changes))


def claiming(change: Callable[[tuple[float, ...]], Sequence[float]]) -> Claim:
    """Completions with other log-probabilities, of the draw and of the policy alike."""

    def claim(c: Completion) -> Completion:
        return replace(c, logprobs=tuple(change(c.logprobs)), policy_logprobs=tuple(change(c.policy_logprobs)))

    return claim


def shifted(values: tuple[float, ...]) -> tuple[float, ...]:
    """Each token has the value of the one before it."""
    return values[-1:] + values[:-1]


def summed(values: tuple[float, ...]) -> list[float]:
    """Each token has the sum of all up to it."""
    return [math.fsum(values[: k + 1]) for k in range(len(values))]


def noisy(values: tuple[float, ...], size: float = 0.05) -> list[float]:
    """Noise that only depends on the values."""
    dice = random.Random(repr(values))
    return [v + dice.gauss(0.0, size) for v in values]


def some_missing(values: tuple[float, ...]) -> list[float]:
    """A default where a server gave none: at every seventh token."""
    return [-100.0 if k % 7 == 3 else v for k, v in enumerate(values)]


def another_s() -> Claim:
    """Each completion has the log-probabilities of the one that finished before it."""
    before: list[tuple[float, ...]] = []

    def claim(c: Completion) -> Completion:
        before.append(c.policy_logprobs)
        other = before[-2] if len(before) > 1 else c.policy_logprobs
        own = tuple(other[min(k, len(other) - 1)] for k in range(len(c.tokens)))
        return replace(c, logprobs=own, policy_logprobs=own)

    return claim


def perturbed(weights: dict[str, Tensor], share: float = 0.02, part: str = "") -> dict[str, Tensor]:
    """The weights whose names contain `part` with noise of `share` of their size, as those of some steps ago."""
    dice = torch.Generator().manual_seed(1)
    return {
        name: t + share * t.square().mean().sqrt() * torch.randn(t.shape, generator=dice) if part in name else t
        for name, t in weights.items()
    }


def rounded(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights as bfloat16 holds them."""
    return {name: t.bfloat16().to(t.dtype) for name, t in weights.items()}


def drawing_from(engine: LocalEngine, change: Callable[[Tensor, Sequence[tuple[int, ...]]], Tensor]) -> None:
    """The engine draws from other logits [R, V]; `change` is given them and what each row has read so far."""
    scheduler: Any = engine._scheduler
    draw = scheduler._draw

    def drawn(rows: Sequence[Any], logits_RV: Tensor, knobs: Any) -> Any:
        read = [(*row.request.prompt, *row.tokens) for row in rows]
        return draw(rows, change(logits_RV, read), knobs)

    scheduler._draw = drawn


def penalising(logits_RV: Tensor, read: Sequence[tuple[int, ...]], penalty: float = 1.3) -> Tensor:
    """A repetition penalty on every token that was read."""
    out_RV = logits_RV.clone()
    for r, tokens in enumerate(read):
        seen = torch.tensor(sorted(set(tokens)), device=logits_RV.device)
        own = out_RV[r, seen]
        out_RV[r, seen] = torch.where(own > 0, own / penalty, own * penalty)
    return out_RV
