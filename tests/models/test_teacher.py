import pytest
import torch

from helpers import char_tokenizer, tiny_policy
from trueloop.errors import DataError, ModelError
from trueloop.models.spec import LoRA
from trueloop.models.teacher import context_limit, nameable, require_same_tokens, top_k, under
from trueloop.records import Sample

V = len(char_tokenizer())


def sample(name: str, tokens: tuple[int, ...], first: int) -> Sample:
    mask = tuple(t >= first for t in range(len(tokens)))
    return Sample(id=name, tokens=tokens, loss_mask=mask, weights=(1.0,) * len(tokens))


SAMPLES = [
    sample("long", (5, 9, 17, 33, 21, 40, 8), 3),
    sample("short", (12, 44, 61), 1),
    sample("untrained", (2, 3), 2),
    Sample(id="holes", tokens=(7, 8, 9, 10), loss_mask=(False, True, False, True), weights=(0.0,) * 4),
]


def full(policy, s, temperature=1.0):
    """Rows of log-probabilities before each trained token, by the model's own forward of the sample alone."""
    with torch.no_grad():
        logits = policy.model(input_ids=torch.tensor([s.tokens])).logits[0].double()
    return (logits / temperature).log_softmax(-1)[[t - 1 for t, on in enumerate(s.loss_mask) if on]]


@pytest.mark.parametrize("kind", ["qwen3", "llama", "qwen2", "gpt2", "gemma2"])
@pytest.mark.parametrize(("k", "temperature"), [(1, 1.0), (5, 0.7), (V, 1.6)])
def test_the_list_is_the_head_of_the_full_log_softmax(kind, k, temperature):
    policy = tiny_policy(kind)
    for s, found in zip(SAMPLES, top_k(policy, SAMPLES, k, temperature=temperature), strict=True):
        logp = full(policy, s, temperature)
        ids = torch.tensor(found.ids, dtype=torch.int64).view(-1, k)
        values = torch.tensor(found.logprobs, dtype=torch.float64).view(-1, k)
        assert len(ids) == s.trained_tokens
        assert all(len(set(row)) == k for row in found.ids)
        torch.testing.assert_close(values, logp.gather(1, ids), rtol=0, atol=2e-5)
        torch.testing.assert_close(values, logp.topk(k).values, rtol=0, atol=2e-5)


def test_with_every_token_listed_no_mass_is_missing():
    for found in top_k(tiny_policy("llama"), SAMPLES, V):
        for row, ids in zip(found.logprobs, found.ids, strict=True):
            assert sum(torch.tensor(row, dtype=torch.float64).exp().tolist()) == pytest.approx(1.0, abs=1e-5)
            assert sorted(ids) == list(range(V))


@pytest.mark.parametrize("kind", ["qwen3", "gemma2"])
def test_an_adapter_speaks_and_batches_do_not_change_what_is_said(kind):
    policy = tiny_policy(kind, adapter=LoRA(rank=2, alpha=4))
    plain = top_k(policy, SAMPLES, 3)
    generator = torch.Generator().manual_seed(0)
    for parameter in policy.trainable().values():
        torch.nn.init.normal_(parameter.data, std=0.3, generator=generator)
    whole = top_k(policy, SAMPLES, 3)
    single = top_k(policy, SAMPLES[::-1], 3, max_tokens=1)[::-1]
    assert [t.ids for t in whole] != [t.ids for t in plain]
    for a, b in zip(whole, single, strict=True):
        assert a.ids == b.ids
        torch.testing.assert_close(torch.tensor(a.logprobs), torch.tensor(b.logprobs), rtol=0, atol=1e-5)
    assert top_k(policy, [], 3) == []


def test_scoring_leaves_no_graph_and_no_gradient():
    policy = tiny_policy("qwen3")
    before = policy.fingerprint()
    top_k(policy, SAMPLES, 4)
    assert policy.fingerprint() == before
    assert all(p.grad is None for p in policy.trainable().values())


@pytest.mark.parametrize("kind", ["qwen3", "gemma2"])
def test_ids_that_the_student_lacks_are_not_named_but_keep_their_mass(kind):
    policy = tiny_policy(kind)
    for s, found in zip(SAMPLES, top_k(policy, SAMPLES, 6, listed=9), strict=True):
        expected = full(policy, s)[:, :9].topk(6)
        assert [list(row) for row in found.ids] == expected.indices.tolist()
        values = torch.tensor(found.logprobs, dtype=torch.float64).view(-1, 6)
        torch.testing.assert_close(values, expected.values, rtol=0, atol=2e-5)


@pytest.mark.parametrize("kind", ["qwen3", "gemma2"])
def test_more_tokens_than_there_are_is_an_error(kind):
    with pytest.raises(DataError, match=rf"k must lie in \[1, {V}\].* got {V + 1}"):
        top_k(tiny_policy(kind), SAMPLES, V + 1)
    with pytest.raises(DataError, match=r"k must lie in \[1, 4\].* got 5"):
        top_k(tiny_policy(kind), SAMPLES, 5, listed=4)


def test_a_sample_beyond_the_context_is_an_error_and_one_that_fills_it_is_not():
    policy = tiny_policy("qwen3", max_position_embeddings=6)
    assert context_limit(policy) == 6
    with pytest.raises(DataError, match=r"1 of 4 samples .* context of 6 tokens, first 'long' with 7"):
        top_k(policy, SAMPLES, 2)
    assert len(top_k(policy, [sample("full", (5, 9, 17, 33, 21, 40), 3)], 2)[0].ids) == 3


def test_tokenizers_must_agree_on_every_id():
    student = tiny_policy("qwen3")
    require_same_tokens(tiny_policy("gpt2"), student)
    other = tiny_policy("qwen3")
    other.tokenizer = type(other.tokenizer)(tokenizer_object=other.tokenizer.backend_tokenizer, eos_token="<eos>")
    other.tokenizer.add_tokens(["zebra"])
    with pytest.raises(ModelError, match=f"'zebra' has id {V} there and None here"):
        require_same_tokens(other, student)


def test_a_padded_head_does_not_add_ids():
    wide, narrow = tiny_policy("qwen3", vocab_size=V + 7), tiny_policy("qwen3")
    assert nameable(wide, narrow) == nameable(narrow, wide) == V


def test_another_prompt_keeps_every_token_and_weight_from_the_first_trained_one_on():
    holes = Sample(
        id="holes",
        tokens=(7, 8, 9, 10, 11),
        loss_mask=(False, True, False, True, False),
        weights=(0.0, 2.0, 0.0, 3.0, 0.0),
        logprobs=(0.0, -1.0, 0.0, -2.0, 0.0),
    )
    moved = under(holes, (3, 4, 5))
    assert moved.tokens == (3, 4, 5, 8, 9, 10, 11)
    assert moved.loss_mask == (False, False, False, True, False, True, False)
    assert moved.weights == (0.0, 0.0, 0.0, 2.0, 0.0, 3.0, 0.0)
    assert (moved.id, moved.logprobs, moved.teacher) == ("holes", None, None)
    assert under(SAMPLES[2], (5,)).tokens == (5,)
