import pytest
import torch

from helpers import tiny_policy
from trueloop.models import attention
from trueloop.models.policy import Policy
from trueloop.models.shared import supports_shared_prefix, why_not_shared
from trueloop.models.spec import LoRA


@pytest.mark.parametrize("kind", ["qwen3", "llama", "qwen2", "gpt2"])
def test_full_attention_models_take_shared_rows(kind):
    assert supports_shared_prefix(tiny_policy(kind))


def test_with_an_adapter_too():
    assert supports_shared_prefix(tiny_policy("qwen3", adapter=LoRA(rank=2, alpha=2)))


def test_windows_are_refused_by_name():
    assert "sliding_attention" in why_not_shared(tiny_policy("gemma2"))
    assert "sliding_window" in why_not_shared(tiny_policy_of("mistral", sliding_window=4096))
    assert supports_shared_prefix(tiny_policy_of("mistral", sliding_window=None))


def test_a_model_that_fails_on_the_mask_is_refused():
    bloom = {"model_type": "bloom", "hidden_size": 32, "n_layer": 1, "n_head": 4}
    assert "fails: ValueError" in why_not_shared(Policy.fresh(bloom, tiny_policy().tokenizer, 0))


def test_a_model_that_ignores_the_layout_is_measured_and_refused(monkeypatch):
    policy = tiny_policy("qwen3")
    whole_row = attention.Spans(0, (20,), 0)
    monkeypatch.setattr("trueloop.models.forward.read_spans", lambda segments: whole_row)
    assert "differ by" in why_not_shared(policy)


def test_measuring_leaves_no_gradient_and_no_random_state_behind():
    policy, state = tiny_policy("qwen3"), torch.random.get_rng_state()
    assert supports_shared_prefix(policy)
    assert all(p.grad is None for p in policy.model.parameters())
    assert torch.equal(state, torch.random.get_rng_state())


def tiny_policy_of(kind: str, **changes) -> Policy:
    like = tiny_policy("llama")
    config = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.3,
    }
    return Policy.fresh({"model_type": kind, **config, **changes}, like.tokenizer, 0)
