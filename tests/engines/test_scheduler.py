"""The scheduler in the test's own thread, so that every step can be looked at."""

import pytest
import torch

from helpers import char_tokenizer, tiny_policy
from trueloop.engines import weights
from trueloop.engines.dense import DenseDecoder
from trueloop.engines.generic import GenericDecoder
from trueloop.engines.lora import Adapters
from trueloop.engines.scheduler import Limits, Scheduler, Ticket
from trueloop.engines.stops import StopFinder
from trueloop.errors import EngineError
from trueloop.records import Request, Sampling

NONE = Adapters({}, dtype=torch.float32, device=torch.device("cpu"))
EOS = 1


def scheduler(kind="dense", max_rows=8, cache_tokens=4000, prefill_chunk=64, ends=()):
    model = tiny_policy("qwen3").model.eval()
    decoder = DenseDecoder(model, NONE, dtype=torch.float32) if kind == "dense" else GenericDecoder(model, NONE)
    limits = Limits(max_rows=max_rows, cache_tokens=cache_tokens, prefill_chunk=prefill_chunk)
    return Scheduler(decoder, StopFinder(char_tokenizer()), ends, limits)


def asked(lengths, *, samples=1, prompt=4, **sampling):
    """`samples` requests for each length, each length with its own prompt."""
    return [
        (
            Request(
                id=f"{i}.{k}", prompt=(2 + i,) * prompt, sampling=Sampling(max_tokens=n, seed=100 * i + k, **sampling)
            ),
            n,
        )
        for i, n in enumerate(lengths)
        for k in range(samples)
    ]


class Caller:
    """Collects what a scheduler delivers."""

    def __init__(self):
        self.done, self.order, self.error = {}, [], None
        self.ticket = Ticket(deliver=self._take, fail=lambda error: setattr(self, "error", error))

    def _take(self, items):
        self.done.update(items)
        self.order += [i for i, _ in items]


@torch.inference_mode()
def finished(engine, requests):
    caller = Caller()
    engine.submit(caller.ticket, requests)
    while engine.busy:
        engine.step()
    return caller


@pytest.mark.parametrize("kind", ["dense", "generic"])
def test_few_rows_and_little_memory_change_nothing_but_the_order(kind):
    lengths = (9, 1, 14, 3, 22, 5)
    want = finished(scheduler(kind, max_rows=64), asked(lengths, samples=5)).done
    for max_rows, cache_tokens, chunk in [(1, 4000, 64), (3, 4000, 4), (64, 60, 64), (7, 100, 7)]:
        engine = scheduler(kind, max_rows=max_rows, cache_tokens=cache_tokens, prefill_chunk=chunk)
        got = finished(engine, asked(lengths, samples=5)).done
        assert {i: c.tokens for i, c in got.items()} == {i: c.tokens for i, c in want.items()}
        for i, completion in got.items():
            assert completion.policy_logprobs == pytest.approx(want[i].policy_logprobs, abs=1e-5)
        assert engine.prefilled_tokens == 4 * len(lengths)


@pytest.mark.parametrize("kind", ["dense", "generic"])
@pytest.mark.parametrize("cache_tokens", [75, 130, 300])
def test_the_cache_never_holds_more_positions_than_allowed(kind, cache_tokens):
    engine = scheduler(kind, max_rows=16, cache_tokens=cache_tokens, prefill_chunk=16)
    held, step = [], engine._note_positions
    engine._note_positions = lambda: (step(), held.append(counted(engine)))
    requests = asked((9, 1, 40, 3, 22, 5), samples=4, prompt=9)
    assert len(finished(engine, requests).done) == len(requests)
    assert 0 < max(held) <= cache_tokens
    assert engine.peak_positions == max(held)


def counted(engine) -> int:
    """Positions held, from the tensors themselves."""
    decoder, batch = engine._decoder, engine._batch
    if isinstance(decoder, DenseDecoder):
        rows = decoder._grid._kv[0][0]
        staged = batch.prefix.kv.kv[0][0] if batch else torch.zeros(0, 1, 0)
    else:
        rows, staged = (
            c.layers[0].keys if c is not None and len(c) else torch.zeros(0, 1, 0)
            for c in (decoder._cache, batch.prefix.kv if batch else None)
        )
    return rows.shape[0] * rows.shape[2] + staged.shape[0] * (staged.shape[2] or batch.prefix.width if batch else 0)


def test_finished_rows_make_room_at_once():
    engine = scheduler(max_rows=2)
    caller = finished(engine, asked((2, 9, 2, 2, 2)))
    assert caller.order == ["0.0", "2.0", "3.0", "4.0", "1.0"]


def test_equal_prompts_are_prefilled_once_even_when_their_samples_wait():
    engine = scheduler(max_rows=2)
    caller = finished(engine, asked((6,), samples=11, prompt=10))
    assert len(caller.done) == 11
    assert engine.prefilled_tokens == 10
    assert len({c.tokens for c in caller.done.values()}) > 5


@torch.inference_mode()
def test_a_long_prompt_lets_the_others_decode_between_its_pieces():
    engine, first, second = scheduler(prefill_chunk=8), Caller(), Caller()
    engine.submit(first.ticket, asked((6,)))
    engine.step()
    engine.submit(second.ticket, [(Request(id="long", prompt=tuple(range(2, 52)), sampling=Sampling(max_tokens=3)), 3)])
    for _ in range(4):
        assert not first.done
        engine.step()
    assert first.done["0.0"].finish == "length"
    assert not second.done
    while engine.busy:
        engine.step()
    alone = finished(
        scheduler(prefill_chunk=512),
        [(Request(id="long", prompt=tuple(range(2, 52)), sampling=Sampling(max_tokens=3)), 3)],
    )
    assert second.done["long"].tokens == alone.done["long"].tokens


def test_end_tokens_stop_strings_and_length():
    tokenizer = char_tokenizer()
    plain = finished(scheduler(), asked((40,), samples=20)).done
    cut = finished(scheduler(), asked((40,), samples=20, stop=("a", "b", "c", "de"))).done
    ended = finished(scheduler(ends=(5, 6, 7)), asked((40,), samples=20)).done
    kinds = set()
    for i, completion in plain.items():
        text = tokenizer.decode(completion.tokens)
        assert (completion.finish, completion.stop, completion.text) == ("length", None, text)
        hits = [(text.index(s), s) for s in ("a", "b", "c", "de") if s in text]
        if hits:
            start, stop = min(hits)
            assert (cut[i].finish, cut[i].stop, cut[i].text) == ("stop", stop, text[:start])
            assert cut[i].tokens == completion.tokens[: len(cut[i].tokens)]
            assert stop in tokenizer.decode(cut[i].tokens)
            assert stop not in tokenizer.decode(cut[i].tokens[:-1])
        else:
            assert (cut[i].tokens, cut[i].finish, cut[i].text) == (completion.tokens, "length", text)
        n = next((k for k, t in enumerate(completion.tokens) if t in (5, 6, 7)), None)
        if n is not None:
            assert ended[i].tokens == completion.tokens[: n + 1]
            assert (ended[i].finish, ended[i].stop) == ("stop", tokenizer.decode([completion.tokens[n]]))
            assert ended[i].text == tokenizer.decode(completion.tokens[:n])
        kinds |= {cut[i].finish, ended[i].finish}
    assert kinds == {"stop", "length"}


@pytest.mark.parametrize("kind", ["dense", "generic"])
@torch.inference_mode()
def test_new_weights_take_over_between_two_tokens(kind):
    other = tiny_policy("qwen3", seed=9).model.state_dict()
    requests = asked((30,), samples=6)
    old = finished(scheduler(kind), requests).done
    engine, caller, late = scheduler(kind, max_rows=4), Caller(), Caller()
    engine.submit(caller.ticket, requests)
    for _ in range(10):
        engine.step()
    weights.load(engine._decoder.slots, other)
    engine._decoder.refresh()
    engine.weights_changed(5)
    engine.submit(late.ticket, [(Request(id="late", prompt=(9, 9), sampling=Sampling(max_tokens=4)), 4)])
    while engine.busy:
        engine.step()
    for k in range(6):
        completion = caller.done[f"0.{k}"]
        started = k < 4
        assert completion.version == (0 if started else 5)
        assert (completion.tokens[:10] == old[f"0.{k}"].tokens[:10]) == started
        assert completion.tokens != old[f"0.{k}"].tokens
    assert late.done["late"].version == 5
    assert engine.prefilled_tokens == 4 + 4 + 2


@pytest.mark.parametrize("kind", ["dense", "generic"])
@torch.inference_mode()
def test_weights_that_are_not_finite_end_rows_as_errors_and_leave_no_trace(kind):
    engine, caller = scheduler(kind), Caller()
    good = {name: w.clone() for name, w in engine._decoder.slots.items()}
    want = finished(engine, asked((12,), samples=3)).done
    engine.submit(caller.ticket, asked((12,), samples=3))
    for _ in range(4):
        engine.step()
    weights.load(
        engine._decoder.slots, {name: torch.full_like(w, torch.nan) for name, w in good.items() if "head" not in name}
    )
    engine._decoder.refresh()
    engine.step()
    assert {(c.finish, len(c.tokens)) for c in caller.done.values()} == {("error", 5)}
    assert not engine.busy
    weights.load(engine._decoder.slots, good)
    engine._decoder.refresh()
    assert finished(engine, asked((12,), samples=3)).done == want


@torch.inference_mode()
def test_abort_and_failure_reach_exactly_their_callers():
    engine, mine, other = scheduler(max_rows=3), Caller(), Caller()
    engine.submit(mine.ticket, asked((8,), samples=5))
    engine.submit(other.ticket, asked((6, 6), samples=2, prompt=7))
    engine.step()
    engine.abort(mine.ticket)
    while engine.busy:
        engine.step()
    assert mine.done == {}
    assert sorted(other.done) == ["0.0", "0.1", "1.0", "1.1"]
    assert other.done["0.0"].tokens == finished(scheduler(), asked((6, 6), samples=2, prompt=7)).done["0.0"].tokens
    engine.submit(mine.ticket, asked((8,), samples=5))
    engine.step()
    engine.fail(EngineError("lost"))
    assert (str(mine.error), other.error, engine.busy) == ("lost", None, False)
