"""The parts that the faults of a running sampler are made of."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import torch

from trueloop.faults import served

OLD, NOW = torch.zeros(2), torch.full((2,), 1.001)


@pytest.mark.parametrize(
    ("alter", "loaded"),
    [
        (served._half, {"a": 0.5, "embed": 0.5, "lm_head": 1.001, "z": 1.001}),
        (served._late, dict.fromkeys(("a", "embed", "lm_head", "z"), 0.5)),
        (served._first, dict.fromkeys(("a", "embed", "lm_head", "z"), 0.0)),
        (served._old_head, {"a": 1.001, "embed": 0.0, "lm_head": 0.0, "z": 1.001}),
        (served._rounded, dict.fromkeys(("a", "embed", "lm_head", "z"), 1.0)),
    ],
)
def test_what_is_loaded_instead(alter: Any, loaded: dict[str, float]) -> None:
    names = ("a", "embed", "lm_head", "z")
    given, before, first = ({name: torch.full((2,), value) for name in names} for value in (1.001, 0.5, 0.0))
    found = {name: tensor[0].item() for name, tensor in alter(given, before, first).items()}
    assert found == pytest.approx(loaded, abs=1e-6)


def test_a_cached_answer_carries_the_version_of_now() -> None:
    from helpers import char_tokenizer
    from trueloop.engines.fake import FakeEngine
    from trueloop.records import Request, Sampling

    answers = iter("12")
    engine: Any = FakeEngine(lambda request, prompt: next(answers), char_tokenizer(), end_id=1)
    served._cached(engine)
    request = Request(id="a", prompt=(5, 6), sampling=Sampling(max_tokens=4))

    async def ask() -> Any:
        (found,) = [completion async for _, completion in engine.generate([request])]
        return found

    first = asyncio.run(ask())
    asyncio.run(engine.load_weights({}, 3))
    second = asyncio.run(ask())
    assert (first.text, first.version, second.text, second.version) == ("1", 0, "1", 3)
