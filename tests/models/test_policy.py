import json
import logging

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

import trueloop.models
from helpers import CONFIGS, char_tokenizer, tiny_policy
from trueloop.errors import ConfigError, ModelError
from trueloop.models.forward import plain_rows, score
from trueloop.models.policy import Policy, load_policy
from trueloop.models.spec import Fresh, LoRA, Pretrained, SavedAdapter

IDS = torch.tensor([[5, 9, 17, 33, 21, 40, 8]])
ADAPTER = LoRA(rank=2, alpha=6)


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


def shake(policy: Policy) -> Policy:
    for parameter in policy.trainable().values():
        nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(3))
    return policy


@pytest.fixture
def adapter_directory(tmp_path):
    """tmp_path/sft: an adapter that matters, over tmp_path/base."""
    tiny_policy("qwen3").save(tmp_path / "base")
    shake(Policy.load(tmp_path / "base", adapter=ADAPTER)).save(tmp_path / "sft")
    return tmp_path / "sft"


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_saved_model_loads_in_transformers_unchanged(kind, tmp_path):
    policy = tiny_policy(kind)
    policy.save(tmp_path)
    theirs, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert torch.equal(logits(theirs), logits(policy.model))
    if kind != "qwen2":  # transformers puts Qwen2's own tokenizer class over any other
        assert AutoTokenizer.from_pretrained(tmp_path).encode("a = b\n") == char_tokenizer().encode("a = b\n")
    assert theirs.generation_config.eos_token_id == 1
    ours = Policy.load(tmp_path)
    assert ours.fingerprint() == policy.fingerprint()
    assert ours.tokenizer.encode("a = b\n") == char_tokenizer().encode("a = b\n")
    assert ours.end_ids == policy.end_ids == (1,)


@pytest.mark.parametrize("kind", ["qwen3", "gpt2", "llama"])
def test_merged_export_loads_in_transformers_with_equal_logits(kind, tmp_path):
    policy = shake(tiny_policy(kind, adapter=ADAPTER))
    before = policy.fingerprint()
    policy.export_merged(tmp_path)
    theirs, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    torch.testing.assert_close(logits(theirs), logits(policy.model), rtol=0, atol=5e-5)
    assert (logits(theirs) - logits(tiny_policy(kind).model)).abs().max() > 0.1
    assert policy.fingerprint() == before


def test_weights_are_float32_whatever_the_checkpoint_holds(tmp_path):
    policy = tiny_policy("qwen3")
    policy.model.to(torch.bfloat16).save_pretrained(tmp_path)
    policy.tokenizer.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    loaded = Policy.load(tmp_path)
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    assert Policy.load(tmp_path, dtype=torch.bfloat16).model.dtype == torch.bfloat16


def test_an_adapter_directory_as_the_model_is_merged_and_said(adapter_directory, caplog):
    expected = logits(Policy.load(adapter_directory.parent / "base", adapter=adapter_directory).model)
    with caplog.at_level(logging.WARNING):
        policy = Policy.load(adapter_directory)
    assert "is an adapter: merged it into its base" in caplog.text
    assert len(policy.notes) == 1
    assert list(policy.notes) == policy.describe()["notes"]
    assert policy.adapter is None
    torch.testing.assert_close(logits(policy.model), expected, rtol=0, atol=5e-5)
    base = logits(Policy.load(adapter_directory.parent / "base").model)
    assert (logits(policy.model) - base).abs().max() > 0.1
    assert all(p.requires_grad for p in policy.model.parameters())


def test_a_new_adapter_on_an_adapter_directory_starts_from_the_merged_model(adapter_directory, tmp_path):
    merged = logits(Policy.load(adapter_directory).model)
    policy = Policy.load(adapter_directory, adapter=ADAPTER)
    assert torch.equal(logits(policy.model), merged)
    assert policy.base is None
    shake(policy).save(tmp_path / "second")
    assert torch.equal(logits(Policy.load(tmp_path / "second", if_adapter="continue").model), logits(policy.model))


def test_an_adapter_directory_can_be_continued(adapter_directory):
    policy = Policy.load(adapter_directory, if_adapter="continue")
    assert policy.adapter == "default"
    assert all(".lora_" in name for name in policy.trainable())
    given = Policy.load(adapter_directory.parent / "base", adapter=adapter_directory)
    assert torch.equal(logits(policy.model), logits(given.model))
    with pytest.raises(ConfigError, match="no second one can be added"):
        Policy.load(adapter_directory, if_adapter="continue", adapter=ADAPTER)


def test_an_adapter_whose_base_is_gone_is_one_clear_error(adapter_directory):
    path = adapter_directory / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "base_model_name_or_path": "/nowhere/base"}))
    with pytest.raises(ModelError, match="adapter whose base model '/nowhere/base' cannot be found"):
        Policy.load(adapter_directory)
    path.write_text(json.dumps({**config, "base_model_name_or_path": None}))
    with pytest.raises(ModelError, match="names no base model"):
        Policy.load(adapter_directory)
    path.write_text(json.dumps({**config, "base_model_name_or_path": str(adapter_directory)}))
    with pytest.raises(ModelError, match="names the adapter itself"):
        Policy.load(adapter_directory)


def test_load_policy_follows_the_configuration(adapter_directory, tmp_path):
    char_tokenizer().save_pretrained(tmp_path / "tokenizer")
    fresh = Fresh(config=CONFIGS["qwen3"], tokenizer=str(tmp_path / "tokenizer"))
    a, b, c = (trueloop.models.load_policy(fresh, None, seed) for seed in (0, 0, 1))
    assert a.fingerprint() == b.fingerprint() != c.fingerprint()
    assert load_policy(fresh, ADAPTER, 0).adapter == "default"
    base = str(tmp_path / "base")
    saved = load_policy(Pretrained(path=base), SavedAdapter(path=str(adapter_directory)))
    continued = load_policy(Pretrained(path=str(adapter_directory), if_adapter="continue"))
    assert saved.fingerprint() == continued.fingerprint()
    assert load_policy(Pretrained(path=base)).base == str((tmp_path / "base").resolve())


def test_gradient_checkpointing_changes_no_value_and_no_gradient():
    rows = plain_rows([(5, 9, 17, 33), (21, 40, 8)])
    target = (torch.tensor([1, 2, 4]), torch.tensor([17, 33, 40]))

    def run(policy: Policy) -> list[torch.Tensor]:
        logp_N = score(policy.model, rows, *target).logp_N
        return [logp_N, *torch.autograd.grad(logp_N.sum(), list(policy.trainable().values()))]

    for adapter in (None, ADAPTER):
        policy = tiny_policy("qwen3", adapter=adapter)
        plain = run(policy)
        calls = []
        policy.base_model.model.layers[0].self_attn.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        policy.enable_gradient_checkpointing()
        calls.clear()
        for a, b in zip(run(policy), plain, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
        assert len(calls) == 2


def test_layers_that_would_drop_out_refuse_checkpointing():
    opt = {
        "model_type": "opt",
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
    }
    policy = Policy.fresh(opt, char_tokenizer(), 0)
    expected = logits(policy.model)
    with pytest.raises(ModelError, match="drop out while they are recomputed"):
        policy.enable_gradient_checkpointing()
    assert torch.equal(logits(policy.model), expected)


def test_dropout_is_off_but_inside_training():
    policy = shake(tiny_policy("gpt2", adapter=LoRA(rank=2, alpha=4, dropout=0.5)))
    assert policy.base_model.config.resid_pdrop == 0.1
    still = logits(policy.model)
    assert torch.equal(logits(policy.model), still)
    with policy.training():
        assert (logits(policy.model) - still).abs().max() > 1e-3
    assert torch.equal(logits(policy.model), still)
    with tiny_policy("gpt2").training():
        assert torch.equal(logits(tiny_policy("gpt2").model), logits(tiny_policy("gpt2").model))


def test_every_declared_end_token_counts(tmp_path):
    policy = tiny_policy("qwen3")
    policy.model.generation_config.eos_token_id = [7, 1]
    policy.model.config.eos_token_id = 9
    policy.save(tmp_path)
    loaded = Policy.load(tmp_path)
    assert loaded.end_ids == (1, 7, 9)
    assert loaded.describe()["end_tokens"][0] == "<eos>"


def test_fingerprint_sees_one_weight():
    policy = tiny_policy("qwen3", adapter=ADAPTER)
    before = policy.fingerprint()
    with torch.no_grad():
        next(p for n, p in policy.trainable().items() if "lora_B" in n)[0, 0] = 1e-6
    assert policy.fingerprint() != before
