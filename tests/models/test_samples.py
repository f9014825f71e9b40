import torch

from helpers import tiny_policy
from trueloop.models.samples import sample_logprobs
from trueloop.records import Sample


def sample(name: str, tokens: tuple[int, ...], first: int) -> Sample:
    mask = tuple(t >= first for t in range(len(tokens)))
    return Sample(id=name, tokens=tokens, loss_mask=mask, weights=(1.0,) * len(tokens))


SAMPLES = [
    sample("long", (5, 9, 17, 33, 21, 40, 8), 3),
    sample("short", (12, 44, 61), 1),
    sample("untrained", (2, 3), 2),
    Sample(id="holes", tokens=(7, 8, 9, 10), loss_mask=(False, True, False, True), weights=(0.0,) * 4),
]


def test_values_align_with_tokens_and_equal_the_models_own():
    policy = tiny_policy("qwen3")
    for values, s in zip(sample_logprobs(policy.model, SAMPLES, temperature=0.5), SAMPLES, strict=True):
        with torch.no_grad():
            logp = (policy.model(input_ids=torch.tensor([s.tokens])).logits[0] / 0.5).log_softmax(-1)
        expected = [logp[t - 1, s.tokens[t]].item() if on else 0.0 for t, on in enumerate(s.loss_mask)]
        torch.testing.assert_close(torch.tensor(values), torch.tensor(expected), rtol=0, atol=1e-5)


def test_order_and_batch_size_do_not_matter():
    policy = tiny_policy("qwen3")
    whole = sample_logprobs(policy.model, SAMPLES)
    single = sample_logprobs(policy.model, SAMPLES[::-1], max_tokens=1)[::-1]
    for a, b in zip(whole, single, strict=True):
        torch.testing.assert_close(torch.tensor(a), torch.tensor(b), rtol=0, atol=1e-5)
    assert sample_logprobs(policy.model, []) == []
