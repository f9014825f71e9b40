import asyncio
from dataclasses import replace
from types import SimpleNamespace

from trueloop.faults.between import Between
from trueloop.records import Completion, Request, Sampling


class Echo:
    """Answers with the limit that it was given."""

    version = 7

    async def generate(self, requests):
        for r in reversed(requests):
            tokens = tuple(range(r.sampling.max_tokens))
            values = (-1.0,) * len(tokens)
            yield (
                r.id,
                Completion(
                    tokens=tokens,
                    logprobs=values,
                    policy_logprobs=values,
                    finish="length",
                    stop=None,
                    version=7,
                    text=r.id,
                ),
            )


def _all(engine):
    requests = [Request(id=name, prompt=(1,), sampling=Sampling(max_tokens=3)) for name in "ab"]

    async def read():
        return [pair async for pair in engine.generate(requests)]

    return dict(asyncio.run(read()))


def test_requests_and_completions_are_changed_and_the_rest_is_the_engine():
    shorter = Between(Echo(), lambda r: replace(r, sampling=replace(r.sampling, max_tokens=1)), None)
    assert [len(c.tokens) for c in _all(shorter).values()] == [1, 1]
    assert shorter.version == 7
    swapped = Between(Echo(), None, lambda requests, found: {"a": found["b"], "b": found["a"]})
    assert {name: c.text for name, c in _all(swapped).items()} == {"a": "b", "b": "a"}


def test_an_engine_without_changes_is_itself():
    assert {n: c.text for n, c in _all(Between(Echo(), None, None)).items()} == {"a": "a", "b": "b"}
    assert Between(SimpleNamespace(end_ids=(1,)), None, None).end_ids == (1,)
