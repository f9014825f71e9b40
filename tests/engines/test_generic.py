import pytest
import torch

from helpers import tiny_policy
from trueloop.engines.decoder import disagreement
from trueloop.engines.generic import GenericDecoder
from trueloop.engines.lora import Adapters
from trueloop.records import Request, Sampling

NONE = Adapters({}, dtype=torch.float32, device=torch.device("cpu"))
PROMPTS = [(5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16), (20, 21), (30, 31, 32, 33, 34)]


@pytest.mark.parametrize("kind", ["gpt2", "gemma2"])
def test_greedy_tokens_are_those_of_generate(kind, engine_of, run, jittered):
    model = jittered(tiny_policy(kind).model)
    engine = engine_of(model, max_rows=2, prefill_chunk=5)
    assert engine.describe()["decoder"].startswith("generic")
    requests = [
        Request(id=str(i), prompt=p, sampling=Sampling(max_tokens=25, temperature=0)) for i, p in enumerate(PROMPTS)
    ]
    got = run(engine, requests)
    for i, prompt in enumerate(PROMPTS):
        out = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=25, eos_token_id=1, pad_token_id=0)
        assert got[str(i)].tokens == tuple(out[0, len(prompt) :].tolist())


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["gpt2", "gemma2", "qwen3"])
def test_padding_pieces_and_retirement_leave_the_logits_alone(kind):
    assert disagreement(GenericDecoder(tiny_policy(kind).model.eval(), NONE), tiny_policy(kind).model.eval()) < 1e-5


@torch.inference_mode()
def test_positions_are_rows_times_the_longest():
    decoder = GenericDecoder(tiny_policy("gpt2").model.eval(), NONE)
    prefix = decoder.start(PROMPTS, (None,) * 3)
    assert decoder.extend(prefix, 12).shape == (3, tiny_policy("gpt2").model.config.vocab_size)
    decoder.append(prefix, (0, 1, 1))
    decoder.step((1, 2, 3))
    assert decoder.positions == 3 * 13
    assert decoder._cache.get_seq_length() == 13
    assert decoder.retire((0,)) == [2, 1]
    assert decoder.positions == 2 * 3
    assert decoder._cache.get_seq_length() == 3
