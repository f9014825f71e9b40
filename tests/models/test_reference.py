import pytest
import torch
from torch import nn

from helpers import tiny_policy
from trueloop.errors import ConfigError, DataError, ModelError
from trueloop.models.policy import Policy
from trueloop.models.reference import AdapterOff, Cached, FrozenCopy, with_reference
from trueloop.models.samples import sample_logprobs
from trueloop.models.spec import LoRA
from trueloop.records import Sample

SAMPLES = [
    Sample(id=str(k), tokens=tokens, loss_mask=(False, *[True] * (len(tokens) - 1)), weights=(1.0,) * len(tokens))
    for k, tokens in enumerate([(5, 9, 17, 33), (21, 40), (8, 3, 7, 2, 11)])
]
ADAPTER = LoRA(rank=2, alpha=6)


def step(policy: Policy, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in policy.trainable().values():
        nn.init.normal_(parameter.data, std=0.3, generator=generator)


@pytest.mark.parametrize("make", [AdapterOff, FrozenCopy])
def test_at_step_0_an_adapted_policy_equals_its_reference_exactly(make):
    policy = tiny_policy("qwen3", adapter=ADAPTER)
    reference = make(policy)
    start = sample_logprobs(policy.model, SAMPLES)
    assert reference.logprobs(SAMPLES) == start
    step(policy)
    assert sample_logprobs(policy.model, SAMPLES) != start
    assert reference.logprobs(SAMPLES) == start


def test_the_reference_of_a_whole_model_stays_where_it_was():
    policy = tiny_policy("qwen3")
    reference = FrozenCopy(policy, temperature=0.7)
    start = sample_logprobs(policy.model, SAMPLES, temperature=0.7)
    step(policy)
    trained = policy.fingerprint()
    assert reference.logprobs(SAMPLES) == start
    assert policy.fingerprint() == trained


def test_refresh_takes_the_policy_of_that_step_and_no_other():
    policy = tiny_policy("qwen3", adapter=ADAPTER)
    never, every_2 = FrozenCopy(policy), FrozenCopy(policy, every=2)
    start = sample_logprobs(policy.model, SAMPLES)
    seen = []
    for k in (1, 2, 3):
        step(policy, seed=k)
        seen.append(sample_logprobs(policy.model, SAMPLES))
        assert every_2.refresh(k) == (k == 2)
        assert not never.refresh(k)
    assert never.logprobs(SAMPLES) == start
    assert every_2.logprobs(SAMPLES) == seen[1]
    with pytest.raises(ConfigError, match="at least 1 step"):
        FrozenCopy(policy, every=0)


def test_a_frozen_copy_resumes_from_its_state():
    policy = tiny_policy("qwen3", adapter=ADAPTER)
    first = FrozenCopy(policy)
    expected, state = first.logprobs(SAMPLES), first.state_dict()
    step(policy)
    second = FrozenCopy(policy)
    assert second.logprobs(SAMPLES) != expected
    second.load_state_dict(state)
    assert second.logprobs(SAMPLES) == expected
    with pytest.raises(ModelError, match="belongs to another policy"):
        second.load_state_dict({"other": torch.zeros(1)})


def test_a_lora_reference_holds_no_base_weights():
    policy = tiny_policy("qwen3", adapter=ADAPTER)
    assert all(".lora_" in name for name in FrozenCopy(policy).state_dict())
    assert AdapterOff(policy).state_dict() == {}


@pytest.mark.parametrize("make", [AdapterOff, FrozenCopy])
def test_scoring_the_reference_leaves_weights_gradients_and_flags_alone(make):
    policy = tiny_policy("qwen3", adapter=ADAPTER)
    reference = make(policy)
    step(policy)
    next(p for n, p in policy.trainable().items() if "lora_A" in n).requires_grad_(False)
    for k, parameter in enumerate(policy.trainable().values()):
        parameter.grad = torch.full_like(parameter, float(k))
    before = [(n, p.data_ptr(), p.requires_grad, p.grad) for n, p in policy.model.named_parameters()]
    weights, engine = policy.fingerprint(), {n: t.clone() for n, t in policy.engine_weights().items()}
    reference.logprobs(SAMPLES)
    after = [(n, p.data_ptr(), p.requires_grad, p.grad) for n, p in policy.model.named_parameters()]
    for a, b in zip(before, after, strict=True):
        assert a[:3] == b[:3]
        assert a[3] is b[3]
    assert policy.fingerprint() == weights
    assert all(torch.equal(t, engine[n]) for n, t in policy.engine_weights().items())


def test_cached_values_come_back_and_missing_ones_are_an_error():
    policy = tiny_policy("qwen3", adapter=ADAPTER)
    cached = with_reference(SAMPLES, AdapterOff(policy))
    assert Cached().logprobs(cached) == AdapterOff(policy).logprobs(SAMPLES)
    with pytest.raises(DataError, match=r"1 of 4 samples have no ref_logprobs, first '0'"):
        Cached().logprobs([*cached, SAMPLES[0]])


def test_a_policy_without_an_adapter_has_none_to_switch_off():
    with pytest.raises(ModelError, match="no adapter to switch off"):
        AdapterOff(tiny_policy("qwen3"))
