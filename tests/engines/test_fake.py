import asyncio
import subprocess
import sys

import pytest

from helpers import char_tokenizer
from trueloop.engines.fake import FakeEngine, Plan
from trueloop.errors import EngineError
from trueloop.records import Completion, Request, Sampling

EOS = 1


def request(i: str, prompt: str = "2+2=", **sampling) -> Request:
    return Request(
        id=i, prompt=tuple(char_tokenizer().encode(prompt)), sampling=Sampling(**{"max_tokens": 20, **sampling})
    )


async def collect(engine, requests):
    return [item async for item in engine.generate(requests)]


def test_replies_see_the_decoded_prompt_and_end_as_a_real_engine_would():
    engine = FakeEngine(lambda r, prompt: f"{prompt}4. Q: next", char_tokenizer(), end_id=EOS)
    asked = [request("end"), request("stop", stop=("Q:", ". ")), request("cut", max_tokens=3)]
    got = dict(asyncio.run(collect(engine, asked)))
    assert (got["end"].text, got["end"].finish, got["end"].stop) == ("2+2=4. Q: next", "stop", "<eos>")
    assert got["end"].tokens[-1] == EOS
    assert (got["stop"].text, got["stop"].finish, got["stop"].stop) == ("2+2=4", "stop", ". ")
    assert char_tokenizer().decode(got["stop"].tokens) == "2+2=4. "
    assert (got["cut"].text, got["cut"].finish, got["cut"].stop) == ("2+2", "length", None)
    assert engine.requests == asked


def test_without_an_end_token_a_reply_ends_by_length():
    engine = FakeEngine(lambda r, prompt: "four", char_tokenizer())
    ((_, completion),) = asyncio.run(collect(engine, [request("x")]))
    assert (completion.text, completion.finish, len(completion.tokens)) == ("four", "length", 4)


def test_logprobs_repeat_and_agree_with_what_completions_reported():
    engine = FakeEngine(lambda r, prompt: f"answer {r.sampling.seed}", char_tokenizer(), end_id=EOS)
    asked = request("x", seed=7)

    async def both():
        ((_, completion),) = await collect(engine, [asked])
        return completion, await engine.logprobs([asked.prompt + completion.tokens, asked.prompt[:1]])

    completion, (whole, single) = asyncio.run(both())
    assert (whole[0], single) == (0.0, (0.0,))
    assert whole[len(asked.prompt) :] == completion.policy_logprobs == completion.logprobs
    assert all(-3 < x < 0 for x in completion.policy_logprobs)
    assert len(set(completion.policy_logprobs)) == len(completion.policy_logprobs)
    assert asyncio.run(both())[0] == completion


def test_plans_delay_fail_and_never_finish():
    plans = {"slow": Plan(seconds=0.05), "bad": Plan(outcome="error"), "never": Plan(outcome="never")}
    engine = FakeEngine(lambda r, p: "ok", char_tokenizer(), plan=lambda r: plans.get(r.id, Plan()))

    async def watch():
        got, stream = [], engine.generate([request(i) for i in ("never", "slow", "a", "bad", "b")])
        async for i, completion in stream:
            got.append((i, completion.finish))
            if len(got) == 4:
                break
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.05)
        await stream.aclose()
        return got

    assert asyncio.run(watch()) == [("a", "length"), ("bad", "error"), ("b", "length"), ("slow", "length")]
    failing = FakeEngine(lambda r, p: "ok", char_tokenizer(), plan=lambda r: Plan(outcome="fail"))
    with pytest.raises(EngineError, match="told to fail"):
        asyncio.run(collect(failing, [request("x")]))


def test_versions_are_those_at_the_start():
    engine = FakeEngine(lambda r, p: "ok", char_tokenizer(), plan=lambda r: Plan(seconds=0.02), version=3)

    async def watch():
        running = asyncio.ensure_future(collect(engine, [request("old")]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await engine.load_weights({"w": None}, 4)
        return [*(await running), *(await collect(engine, [request("new")]))]

    assert [(i, c.version) for i, c in asyncio.run(watch())] == [("old", 3), ("new", 4)]
    assert engine.loaded == [(4, ("w",))]


def test_a_completion_is_returned_as_it_is():
    mine = Completion(
        tokens=(5,), logprobs=(-1.0,), policy_logprobs=(-2.0,), finish="length", stop=None, version=9, text="x"
    )
    engine = FakeEngine(lambda r, p: mine, char_tokenizer())
    assert asyncio.run(collect(engine, [request("x")])) == [("x", mine)]


def test_closing_ends_waiting_callers_and_later_ones():
    engine = FakeEngine(lambda r, p: "ok", char_tokenizer(), plan=lambda r: Plan(outcome="never"))

    async def watch():
        running = asyncio.ensure_future(collect(engine, [request("x")]))
        await asyncio.sleep(0.01)
        await engine.close()
        await engine.close()
        with pytest.raises(EngineError, match="closed"):
            await running
        with pytest.raises(EngineError, match="closed"):
            await collect(engine, [request("x")])

    asyncio.run(watch())


def test_it_needs_no_torch():
    code = "import sys, trueloop.engines.fake; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
