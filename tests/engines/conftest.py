"""Engines that are closed after the test, and a way to run requests through them."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from helpers import char_tokenizer
from trueloop.engines.local import LocalEngine
from trueloop.records import Completion, Request

EOS = 1


@pytest.fixture
def engine_of() -> Iterator[Callable[..., LocalEngine]]:
    engines: list[LocalEngine] = []

    def make(model: PreTrainedModel, **settings: Any) -> LocalEngine:
        engines.append(LocalEngine(model, char_tokenizer(), **{"end_ids": (EOS,), **settings}))
        return engines[-1]

    yield make
    for engine in engines:
        asyncio.run(engine.close())


@pytest.fixture
def jittered() -> Callable[[PreTrainedModel], PreTrainedModel]:
    """The model with noise on every weight: a fresh one has norms of 1 and biases of 0, which hide mistakes."""

    def shake(model: PreTrainedModel) -> PreTrainedModel:
        generator = torch.Generator().manual_seed(0)
        for weight in model.parameters():
            weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
        return model.eval()

    return shake


@pytest.fixture
def run() -> Callable[[LocalEngine, Sequence[Request]], dict[str, Completion]]:
    async def collect(engine: LocalEngine, requests: Sequence[Request]) -> dict[str, Completion]:
        return {i: completion async for i, completion in engine.generate(requests)}

    return lambda engine, requests: asyncio.run(collect(engine, requests))
