import json

import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import AutoModelForCausalLM

from helpers import char_tokenizer, tiny_policy
from trueloop.errors import ModelError
from trueloop.models import lora
from trueloop.models.policy import Policy
from trueloop.models.spec import LoRA

IDS = torch.tensor([[5, 9, 17, 33, 21, 40, 8]])
EVERYWHERE = LoRA(rank=2, alpha=6)


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


def trained(kind: str = "qwen3", adapter: LoRA = EVERYWHERE, **changes) -> Policy:
    """An adapter whose B is no longer zero."""
    policy = tiny_policy(kind, adapter=adapter, **changes)
    generator = torch.Generator().manual_seed(7)
    for name, parameter in policy.trainable().items():
        if "lora_B" in name or "lora_embedding_B" in name:
            nn.init.normal_(parameter, std=0.3, generator=generator)
    return policy


def test_a_new_adapter_changes_nothing_and_trains_only_itself():
    plain, adapted = tiny_policy("qwen3"), tiny_policy("qwen3", adapter=EVERYWHERE)
    assert torch.equal(logits(plain.model), logits(adapted.model))
    assert all(".lora_" in name for name in adapted.trainable())
    assert {p.dtype for p in adapted.trainable().values()} == {torch.float32}
    assert len(adapted.trainable()) == 2 * 2 * 7


def test_the_seed_draws_the_adapter_and_leaves_the_global_state_alone():
    state = torch.random.get_rng_state()
    draws = [tiny_policy("qwen3", seed=s, adapter=EVERYWHERE).trainable() for s in (0, 0, 1)]
    assert torch.equal(state, torch.random.get_rng_state())
    name = next(n for n in draws[0] if "lora_A" in n)
    assert torch.equal(draws[0][name], draws[1][name])
    assert not torch.equal(draws[0][name], draws[2][name])


def test_targets_choose_modules_and_a_wrong_one_is_named_with_what_exists():
    policy = tiny_policy("qwen3", adapter=LoRA(rank=2, alpha=2, targets=("q_proj", "v_proj")))
    assert {n.split(".lora_")[0].rpartition(".")[2] for n in policy.trainable()} == {"q_proj", "v_proj"}
    with pytest.raises(ModelError, match=r"\['c_attn'\] match no module .* down_proj, gate_proj, k_proj, o_proj"):
        tiny_policy("qwen3", adapter=LoRA(rank=2, alpha=2, targets=("q_proj", "c_attn")))


def test_adapters_on_tied_weights_are_refused():
    with pytest.raises(ModelError, match="share one weight"):
        tiny_policy("qwen3", adapter=LoRA(rank=2, alpha=2, targets=("embed_tokens",)))


@pytest.mark.parametrize("kind", ["qwen3", "gpt2", "llama"])
def test_merged_weights_are_the_adapted_model_and_leave_it_alone(kind):
    policy = trained(kind)
    before, expected = policy.fingerprint(), logits(policy.model)
    weights = policy.engine_weights()
    bare = tiny_policy(kind).base_model
    assert weights.keys() == bare.state_dict().keys()
    bare.load_state_dict(weights)
    assert (logits(bare) - logits(tiny_policy(kind).model)).abs().max() > 0.1
    torch.testing.assert_close(logits(bare), expected, rtol=0, atol=2e-5)
    assert policy.fingerprint() == before
    assert torch.equal(logits(policy.model), expected)


def test_an_adapter_on_embedding_and_head_merges():
    policy = trained("llama", LoRA(rank=2, alpha=4, targets=("embed_tokens", "lm_head", "o_proj")))
    bare = tiny_policy("llama").base_model
    bare.load_state_dict(policy.engine_weights())
    torch.testing.assert_close(logits(bare), logits(policy.model), rtol=0, atol=2e-5)


def test_only_what_an_adapter_changes_is_copied():
    policy = trained("qwen3", LoRA(rank=2, alpha=2, targets=("q_proj",)))
    own = {t.data_ptr() for t in policy.model.state_dict().values()}
    copied = {name for name, t in policy.engine_weights().items() if t.data_ptr() not in own}
    assert copied == {f"model.layers.{i}.self_attn.q_proj.weight" for i in range(2)}
    assert not any(t.requires_grad for t in policy.engine_weights().values())


def test_tied_weights_are_there_under_both_names():
    weights = tiny_policy("qwen3").engine_weights()
    assert weights["lm_head.weight"].data_ptr() == weights["model.embed_tokens.weight"].data_ptr()


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT reads an old name
def test_saved_adapter_loads_in_peft_unchanged_and_here_trainable(tmp_path):
    policy = trained("qwen3")
    policy.save(tmp_path / "adapter")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "adapter" / "base")
    theirs = PeftModel.from_pretrained(base, tmp_path / "adapter")
    assert torch.equal(logits(theirs), logits(policy.model))
    ours = Policy.load(tmp_path / "adapter" / "base", adapter=tmp_path / "adapter")
    assert torch.equal(logits(ours.model), logits(policy.model))
    assert ours.trainable().keys() == policy.trainable().keys()
    assert lora.base_of(ours.model).config._attn_implementation == "trueloop_spans"


def test_an_adapter_over_a_base_on_disk_names_it_and_does_not_copy_it(tmp_path):
    tiny_policy("qwen3").save(tmp_path / "base")
    policy = Policy.load(tmp_path / "base", adapter=EVERYWHERE)
    policy.save(tmp_path / "adapter")
    assert not (tmp_path / "adapter" / "base").exists()
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str((tmp_path / "base").resolve())


def test_adapter_off_is_the_base_and_restores_what_was_frozen():
    policy = trained("qwen3")
    assert isinstance(policy.model, PeftModel)
    on, base = logits(policy.model), logits(tiny_policy("qwen3").model)
    frozen = next(n for n in policy.trainable() if "lora_A" in n)
    policy.trainable()[frozen].requires_grad_(False)
    names, weights = policy.trainable().keys(), policy.fingerprint()
    with lora.adapter_off(policy.model):
        assert torch.equal(logits(policy.model), base)
    assert torch.equal(logits(policy.model), on)
    assert policy.trainable().keys() == names
    assert frozen not in policy.trainable()
    assert policy.fingerprint() == weights


def test_what_is_not_plain_lora_is_refused(tmp_path):
    trained("qwen3").save(tmp_path)
    path = tmp_path / "adapter_config.json"
    config = json.loads(path.read_text())
    for change in ({"use_dora": True}, {"bias": "lora_only"}):
        path.write_text(json.dumps({**config, **change}))
        with pytest.raises(ModelError, match="only plain LoRA"):
            Policy.load(tmp_path / "base", adapter=tmp_path)
    path.write_text(json.dumps({"peft_type": "IA3", "task_type": "CAUSAL_LM", "target_modules": ["q_proj"]}))
    with pytest.raises(ModelError, match="expected LORA"):
        Policy.load(tmp_path / "base", adapter=tmp_path)


def test_an_adapter_that_does_not_fit_its_base_is_refused(tmp_path):
    trained("qwen3").save(tmp_path / "adapter")
    tiny_policy("qwen3", num_hidden_layers=3).save(tmp_path / "deeper")
    with pytest.raises(ModelError, match=r"does not fit Qwen3ForCausalLM: 14 weights missing"):
        Policy.load(tmp_path / "deeper", adapter=tmp_path / "adapter")
    tiny_policy("qwen3", num_hidden_layers=1).save(tmp_path / "flatter")
    with pytest.raises(ModelError, match=r"14 without a place"):
        Policy.load(tmp_path / "flatter", adapter=tmp_path / "adapter")
    tiny_policy("qwen3", intermediate_size=24).save(tmp_path / "narrower")
    with pytest.raises(ModelError, match=r"(?s)does not fit Qwen3ForCausalLM: .*size mismatch"):
        Policy.load(tmp_path / "narrower", adapter=tmp_path / "adapter")


def test_a_truncated_adapter_file_is_one_clear_error(tmp_path):
    trained("qwen3").save(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(ModelError, match="PEFT cannot read this adapter"):
        Policy.load(tmp_path / "base", adapter=tmp_path)
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no adapter_model.safetensors; found"):
        Policy.load(tmp_path / "base", adapter=tmp_path)
    with pytest.raises(ModelError, match="this is a whole model"):
        Policy.load(tmp_path / "base", adapter=tmp_path / "base")


def test_the_tokenizer_travels_with_the_adapter(tmp_path):
    trained("qwen3").save(tmp_path)
    assert Policy.load(tmp_path).tokenizer.get_vocab() == char_tokenizer().get_vocab()
