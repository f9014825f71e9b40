import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from helpers import tiny_policy
from trueloop.engines import dense
from trueloop.engines.decoder import disagreement
from trueloop.engines.lora import Adapters
from trueloop.records import Request, Sampling

NONE = Adapters({}, dtype=torch.float32, device=torch.device("cpu"))
PROMPTS = [(5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16), (20, 21), (30, 31, 32, 33, 34)]
MISTRAL = {
    "model_type": "mistral",
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
    "max_position_embeddings": 256,
}


def mistral(**changes):
    torch.manual_seed(0)
    settings = {**MISTRAL, **changes}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(settings.pop("model_type"), **settings)).eval()


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_greedy_tokens_are_those_of_generate(kind, engine_of, run, jittered):
    model = jittered(tiny_policy(kind).model)
    engine = engine_of(model, max_rows=2, prefill_chunk=5)
    assert engine.describe()["decoder"].startswith("dense")
    requests = [
        Request(id=str(i), prompt=p, sampling=Sampling(max_tokens=25, temperature=0)) for i, p in enumerate(PROMPTS)
    ]
    got = run(engine, requests)
    for i, prompt in enumerate(PROMPTS):
        out = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=25, eos_token_id=1, pad_token_id=0)
        assert got[str(i)].tokens == tuple(out[0, len(prompt) :].tolist())


ROPES = [
    {"rope_type": "default", "rope_theta": 500.0},
    {"rope_type": "linear", "rope_theta": 100.0, "factor": 4.0},
    {"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0, "original_max_position_embeddings": 64},
    {
        "rope_type": "llama3",
        "rope_theta": 100.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
]


@torch.inference_mode()
@pytest.mark.parametrize("rope", ROPES, ids=lambda r: r["rope_type"])
def test_rotary_variants_agree_far_into_the_context(rope):
    model = tiny_policy("llama", rope_parameters=rope).model.eval()
    decoder = dense.DenseDecoder(model, NONE, dtype=torch.float32)
    assert dense.supports(model)
    ids = torch.randint(0, 60, (2, 200), generator=torch.Generator().manual_seed(0))
    got = torch.cat(list(decoder.score(ids, (None, None))), 1)
    assert torch.allclose(got, model(ids).logits, atol=2e-5, rtol=1e-4)


@torch.inference_mode()
def test_models_outside_the_fast_path_are_told_apart():
    assert dense.supports(mistral(sliding_window=None))
    assert (
        disagreement(
            dense.DenseDecoder(mistral(sliding_window=None), NONE, dtype=torch.float32), mistral(sliding_window=None)
        )
        < 1e-5
    )
    assert not dense.supports(mistral(sliding_window=8))
    assert not dense.supports(mistral(hidden_act="gelu"))
    assert not dense.supports(tiny_policy("gemma2").model)
    assert not dense.supports(
        tiny_policy("qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1).model
    )
    longrope = {"rope_type": "dynamic", "rope_theta": 100.0, "factor": 2.0}
    assert not dense.supports(tiny_policy("llama", rope_parameters=longrope).model)


def test_a_probe_that_disagrees_falls_back_and_says_so(engine_of, monkeypatch):
    rotary = dense.DenseDecoder._rotary
    monkeypatch.setattr(dense.DenseDecoder, "_rotary", lambda self, position: rotary(self, position + position // 3))
    described = engine_of(tiny_policy("qwen3").model).describe()
    assert described["decoder"].startswith("generic")
    assert described["why"].startswith("fell back")


def test_tied_and_untied_heads(engine_of, run):
    for tied in (True, False):
        model = tiny_policy("llama", tie_word_embeddings=tied).model.eval()
        engine = engine_of(model)
        assert engine.describe()["decoder"].startswith("dense")
        completion = run(engine, [Request(id="x", prompt=(5, 6), sampling=Sampling(max_tokens=8, seed=3))])["x"]
        ids = torch.tensor([(5, 6, *completion.tokens)])
        with torch.no_grad():
            want = model(ids).logits[0, 1:-1].log_softmax(-1).gather(-1, ids[0, 2:, None])[:, 0]
        assert torch.allclose(torch.tensor(completion.policy_logprobs), want, atol=1e-5)


def test_bfloat16_stays_near_float32(engine_of, run):
    model = tiny_policy("qwen3", initializer_range=0.1).model
    engine = engine_of(model, dtype=torch.bfloat16)
    assert engine.describe()["dtype"] == "bfloat16"
    completion = run(engine, [Request(id="x", prompt=(5, 6), sampling=Sampling(max_tokens=20, seed=3))])["x"]
    ids = torch.tensor([(5, 6, *completion.tokens)])
    with torch.no_grad():
        want = model(ids).logits[0, 1:-1].log_softmax(-1).gather(-1, ids[0, 2:, None])[:, 0]
    gap = (torch.tensor(completion.policy_logprobs) - want).abs()
    assert 0 < gap.max() < 0.1
