import pytest
import torch
from torch import nn

from helpers import CONFIGS, tiny_policy
from trueloop.errors import DataError
from trueloop.formulas.logprobs import TokenLogprobs
from trueloop.models.forward import Rows, dense_mask, linear_head, plain_rows, score
from trueloop.models.policy import Policy
from trueloop.models.spec import LoRA

PROMPT = (5, 9, 17, 33, 21)
COMPLETIONS = ((40, 8, 3), (12, 44, 61, 7, 19, 2), (70, 1))


def plain_targets():
    """Plain rows of PROMPT + each completion: (rows, predict_N, ids_N) for every completion token, in order."""
    sequences = [PROMPT + c for c in COMPLETIONS]
    rows = plain_rows(sequences)
    S = rows.ids_RS.shape[1]
    at = torch.tensor([r * S + len(PROMPT) + t for r, c in enumerate(COMPLETIONS) for t in range(len(c))])
    return rows, at - 1, rows.ids_RS.flatten()[at]


def shared_targets(padding: int = 0):
    """The same tokens in the same order, all in one row behind one prompt."""
    ids, position, segment, predict = list(PROMPT), list(range(len(PROMPT))), [0] * len(PROMPT), []
    for k, c in enumerate(COMPLETIONS, start=1):
        predict += [len(PROMPT) - 1, *range(len(ids), len(ids) + len(c) - 1)]
        ids += c
        position += range(len(PROMPT), len(PROMPT) + len(c))
        segment += [k] * len(c)
    row = [ids + [0] * padding, position + [0] * padding, segment + [-1] * padding]
    rows = Rows(**dict(zip(("ids_RS", "position_RS", "segment_RS"), torch.tensor(row)[:, None], strict=True)))
    return rows, torch.tensor(predict), torch.tensor([t for c in COMPLETIONS for t in c])


def naive_logp_NV(policy: Policy, temperature: float = 1.0) -> torch.Tensor:
    """log_softmax of the model's own logits, one unpadded sequence at a time."""
    parts = []
    for c in COMPLETIONS:
        logits = policy.model(input_ids=torch.tensor([PROMPT + c]), use_cache=False).logits[0]
        parts.append((logits[len(PROMPT) - 1 : -1] / temperature).log_softmax(-1))
    return torch.cat(parts)


def gradients(policy: Policy, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    trainable = policy.trainable()
    return dict(zip(trainable, torch.autograd.grad(loss, list(trainable.values())), strict=True))


def assert_same_gradients(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert b[name].abs().max() > 0, name
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("kind", CONFIGS)
def test_score_equals_log_softmax_of_the_model_in_values_and_gradients(kind):
    policy = tiny_policy(kind)
    rows, predict_N, ids_N = plain_targets()
    at_NK = torch.stack([(ids_N + 1) % 80, (ids_N + 5) % 80], dim=1)
    out = score(policy.model, rows, predict_N, ids_N, temperature=0.7, entropy=True, at_NK=at_NK)
    logp_NV = naive_logp_NV(policy, 0.7)
    torch.testing.assert_close(out.logp_N, logp_NV.gather(1, ids_N[:, None])[:, 0], rtol=0, atol=1e-5)
    torch.testing.assert_close(out.entropy_N, -(logp_NV.exp() * logp_NV).sum(1), rtol=0, atol=1e-5)
    torch.testing.assert_close(out.at_NK, logp_NV.gather(1, at_NK), rtol=0, atol=1e-5)
    weight_N = torch.linspace(-1, 2, len(ids_N))
    ours = gradients(policy, (weight_N * out.logp_N).sum() + out.entropy_N.sum() + out.at_NK.sum())
    theirs = (weight_N * logp_NV.gather(1, ids_N[:, None])[:, 0]).sum() - (logp_NV.exp() * logp_NV).sum()
    assert_same_gradients(ours, gradients(policy, theirs + logp_NV.gather(1, at_NK).sum()))


@pytest.mark.parametrize("kind", ["qwen3", "llama", "qwen2", "gpt2", "gemma2-full"])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("padding", [0, 4])
def test_shared_rows_equal_plain_rows_in_values_and_gradients(kind, dense, padding):
    changes = {"layer_types": ["full_attention"] * 2} if kind == "gemma2-full" else {}
    policy = tiny_policy(kind.removesuffix("-full"), **changes)
    if dense and policy.base_model.config._attn_implementation != "eager":
        policy.base_model.config._attn_implementation = "sdpa"
    plain = score(policy.model, *plain_targets()).logp_N
    shared = score(policy.model, *shared_targets(padding)).logp_N
    torch.testing.assert_close(shared, plain, rtol=0, atol=1e-5)
    weight_N = torch.linspace(-1, 2, len(plain))
    assert_same_gradients(gradients(policy, (weight_N * shared).sum()), gradients(policy, (weight_N * plain).sum()))


def test_several_shared_rows_of_different_layout_in_one_forward():
    policy = tiny_policy("qwen3")
    single, predict_N, ids_N = shared_targets(padding=0)
    padded, _, _ = shared_targets(padding=3)
    S = padded.ids_RS.shape[1]
    short = plain_rows([PROMPT[:3], tuple(range(2, 2 + S))])
    both = Rows(
        ids_RS=torch.cat([short.ids_RS[:1], padded.ids_RS]),
        position_RS=torch.cat([short.position_RS[:1], padded.position_RS]),
        segment_RS=torch.cat([short.segment_RS[:1], padded.segment_RS]),
    )
    alone = score(policy.model, single, predict_N, ids_N).logp_N
    together = score(policy.model, both, predict_N + S, ids_N).logp_N
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_dense_mask_by_hand():
    allowed = dense_mask(torch.tensor([[0, 0, 1, 2, 2, -1]]))[0, 0].int().tolist()
    assert allowed == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 0, 1, 0, 0],
        [1, 1, 0, 1, 1, 0],
        [1, 1, 0, 0, 0, 1],
    ]


def test_padding_and_batch_mates_do_not_change_a_value():
    policy = tiny_policy("qwen3")
    rows, predict_N, ids_N = plain_targets()
    together = score(policy.model, rows, predict_N, ids_N).logp_N
    alone = plain_rows([PROMPT + COMPLETIONS[2]])
    P = len(PROMPT)
    values = score(policy.model, alone, torch.tensor([P - 1, P]), torch.tensor(COMPLETIONS[2])).logp_N
    torch.testing.assert_close(values, together[-2:], rtol=0, atol=1e-5)


def test_a_soft_cap_or_a_logit_scale_is_seen_although_tiny_logits_hide_it():
    assert linear_head(tiny_policy("qwen3").base_model) is not None
    assert linear_head(tiny_policy("gemma2", final_logit_softcapping=None).base_model) is not None
    assert linear_head(tiny_policy("gemma2", initializer_range=1e-4).base_model) is None
    assert linear_head(tiny_policy("llama", initializer_range=1e-4).base_model) is not None


def test_an_adapter_on_the_head_is_scored_by_the_model_itself():
    adapter = LoRA(rank=2, alpha=4, targets=("lm_head", "q_proj"))
    policy = tiny_policy("llama", adapter=adapter)
    assert linear_head(policy.base_model) is None
    for name, parameter in policy.trainable().items():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.5)
    rows, predict_N, ids_N = plain_targets()
    out = score(policy.model, rows, predict_N, ids_N)
    expected = naive_logp_NV(policy).gather(1, ids_N[:, None])[:, 0]
    torch.testing.assert_close(out.logp_N, expected, rtol=0, atol=1e-5)
    assert all(g.abs().max() > 0 for g in gradients(policy, out.logp_N.sum()).values())


def test_bfloat16_computes_nearby_and_returns_float32_with_float32_gradients():
    policy = tiny_policy("qwen3", initializer_range=0.05)
    rows, predict_N, ids_N = plain_targets()
    exact = score(policy.model, rows, predict_N, ids_N).logp_N
    out: TokenLogprobs = score(policy.model, rows, predict_N, ids_N, compute_dtype=torch.bfloat16)
    assert out.logp_N.dtype == torch.float32
    assert 0 < (out.logp_N - exact).abs().max() < 0.02
    assert {g.dtype for g in gradients(policy, out.logp_N.sum()).values()} == {torch.float32}
    shared = score(policy.model, *shared_targets(), compute_dtype=torch.bfloat16).logp_N
    assert (shared - exact).abs().max() < 0.02


def test_rows_of_different_shapes_are_refused():
    with pytest.raises(DataError, match=r"one shape \[R, S\]"):
        Rows(ids_RS=torch.zeros(1, 3), position_RS=torch.zeros(1, 3), segment_RS=torch.zeros(1, 4))
