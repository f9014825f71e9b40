from dataclasses import FrozenInstanceError

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trueloop.errors import DataError
from trueloop.formulas.logprobs import logprobs_from_logits, token_logprobs, top_from_logits, top_logprobs

N, D, V, K = 5, 3, 11, 2
BLOCKS = [1, 4, 11, 64]


def inputs(dtype=torch.float64, scale=1.0):
    g = torch.Generator().manual_seed(0)
    hidden = (torch.randn(N, D, generator=g, dtype=torch.float64) * scale).to(dtype).requires_grad_()
    head = torch.randn(V, D, generator=g, dtype=torch.float64).to(dtype).requires_grad_()
    bias = torch.randn(V, generator=g, dtype=torch.float64).to(dtype).requires_grad_()
    ids = torch.tensor([0, 10, 3, 4, 7])
    at = torch.tensor([[0, 1], [10, 9], [3, 3], [8, 0], [2, 7]])
    return hidden, head, bias, ids, at


def plain(hidden, head, bias, ids, at, temperature):
    logp = ((hidden @ head.T + (0 if bias is None else bias)) / temperature).log_softmax(-1)
    return logp.gather(1, ids[:, None])[:, 0], -(logp.exp() * logp).sum(-1), logp.gather(1, at)


def packed(hidden, head, bias, ids, at, temperature, block):
    out = token_logprobs(hidden, head, ids, bias_V=bias, temperature=temperature, entropy=True, at_NK=at, block=block)
    return out.logp_N, out.entropy_N, out.at_NK


def weighted(parts):
    """A scalar in which every entry of every part has its own weight."""
    return sum((x * torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x)).sum() for x in parts)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("with_bias", [False, True])
def test_values_and_gradients_are_those_of_the_whole_softmax(block, temperature, with_bias):
    hidden, head, bias, ids, at = inputs()
    bias = bias if with_bias else None
    leaves = [x for x in (hidden, head, bias) if x is not None]
    expected = plain(hidden, head, bias, ids, at, temperature)
    found = packed(hidden, head, bias, ids, at, temperature, block)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(weighted(found), leaves),
        torch.autograd.grad(weighted(expected), leaves),
        rtol=1e-11,
        atol=1e-11,
    )


@pytest.mark.parametrize("block", [4, 64])
def test_gradients_equal_finite_differences(block):
    hidden, head, bias, ids, at = inputs()
    assert torch.autograd.gradcheck(
        lambda h, w, b: packed(h, w, b, ids, at, 0.7, block), (hidden, head, bias), atol=1e-7
    )


def test_hand_value():
    head = torch.tensor([1.0, 3.0, 6.0]).log()[:, None]
    out = token_logprobs(torch.ones(1, 1), head, torch.tensor([1]), entropy=True, at_NK=torch.tensor([[2, 0]]))
    torch.testing.assert_close(out.logp_N, torch.tensor([0.3]).log())
    torch.testing.assert_close(out.at_NK, torch.tensor([[0.6, 0.1]]).log())
    torch.testing.assert_close(out.entropy_N, torch.tensor([0.8979457]))


def test_temperature_sharpens_by_a_power():
    head = torch.tensor([1.0, 3.0])[:, None].log()
    out = token_logprobs(torch.ones(1, 1), head, torch.tensor([1]), temperature=0.5)
    torch.testing.assert_close(out.logp_N, torch.tensor([9 / 10]).log())


@pytest.mark.parametrize("block", BLOCKS)
def test_probabilities_of_all_ids_sum_to_one(block):
    hidden, head, _, ids, _ = inputs()
    out = token_logprobs(hidden, head, ids, at_NK=torch.arange(V).expand(N, V), block=block)
    torch.testing.assert_close(out.at_NK.exp().sum(-1), torch.ones(N, dtype=torch.float64))


def test_what_was_not_asked_for_is_none_and_the_result_is_frozen():
    hidden, head, _, ids, _ = inputs()
    out = token_logprobs(hidden, head, ids)
    assert out.entropy_N is None and out.at_NK is None
    with pytest.raises(FrozenInstanceError):
        out.logp_N = None


@pytest.mark.parametrize("block", [4, 64])
def test_extreme_logits_stay_finite_and_exact(block):
    hidden, head, bias, ids, at = inputs(torch.float32, scale=300.0)
    found = packed(hidden, head, bias, ids, at, 1.0, block)
    expected = plain(*(x.double() for x in (hidden, head, bias)), ids, at, 1.0)
    torch.testing.assert_close(found, tuple(x.float() for x in expected), rtol=1e-5, atol=1e-4)
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(weighted(found), (hidden, head, bias)))


@pytest.mark.parametrize("block", [4, 64])
def test_half_precision_inputs_are_raised_to_float32(block):
    hidden, head, bias, ids, at = inputs(torch.bfloat16)
    found = packed(hidden, head, bias, ids, at, 0.7, block)
    raised = [x.detach().float().requires_grad_() for x in (hidden, head, bias)]
    expected = packed(*raised, ids, at, 0.7, block)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    grads = torch.autograd.grad(weighted(found), (hidden, head, bias))
    wide = torch.autograd.grad(weighted(expected), raised)
    torch.testing.assert_close(grads, tuple(g.bfloat16() for g in wide), rtol=0, atol=0)


def test_autocast_does_not_reach_in():
    hidden, head, bias, ids, at = inputs(torch.float32)
    expected = packed(hidden, head, bias, ids, at, 1.0, 4)
    wide = torch.autograd.grad(weighted(expected), (hidden, head, bias))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = packed(hidden, head, bias, ids, at, 1.0, 4)
        grads = torch.autograd.grad(weighted(found), (hidden, head, bias))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(grads, wide, rtol=0, atol=0)


@pytest.mark.parametrize("block", [4, 64])
def test_measuring_the_entropy_leaves_the_gradient_alone(block):
    hidden, head, _, ids, _ = inputs()
    measured = token_logprobs(hidden, head, ids, entropy=True, block=block).logp_N.sum()
    alone = token_logprobs(hidden, head, ids, block=block).logp_N.sum()
    torch.testing.assert_close(torch.autograd.grad(measured, hidden), torch.autograd.grad(alone, hidden))


@pytest.mark.parametrize("block", [4, 64])
def test_an_entropy_bonus_alone_has_its_gradient(block):
    hidden, head, bias, ids, at = inputs()
    found = token_logprobs(hidden, head, ids, bias_V=bias, entropy=True, block=block).entropy_N.sum()
    expected = plain(hidden, head, bias, ids, at, 1.0)[1].sum()
    leaves = (hidden, head, bias)
    torch.testing.assert_close(torch.autograd.grad(found, leaves), torch.autograd.grad(expected, leaves))


def test_backward_can_run_twice_over_a_kept_graph():
    hidden, head, _, ids, _ = inputs()
    loss = token_logprobs(hidden, head, ids, entropy=True).logp_N.sum()
    first = torch.autograd.grad(loss, (hidden, head), retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(loss, (hidden, head)), first, rtol=0, atol=0)


def test_a_frozen_head_gets_no_gradient():
    hidden, head, _, ids, at = inputs()
    loss = weighted(packed(hidden, head.detach(), None, ids, at, 1.0, 4))
    (found,) = torch.autograd.grad(loss, hidden)
    (expected,) = torch.autograd.grad(weighted(plain(hidden, head.detach(), None, ids, at, 1.0)), hidden)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("block", [4, 64])
def test_no_tokens_at_all(block):
    _, head, bias, _, _ = inputs()
    hidden = torch.zeros(0, D, dtype=torch.float64, requires_grad=True)
    out = token_logprobs(
        hidden,
        head,
        torch.zeros(0, dtype=torch.long),
        bias_V=bias,
        entropy=True,
        at_NK=torch.zeros(0, K, dtype=torch.long),
        block=block,
    )
    assert (out.logp_N.shape, out.entropy_N.shape, out.at_NK.shape) == ((0,), (0,), (0, K))
    total = out.logp_N.sum() + out.entropy_N.sum() + out.at_NK.sum()
    d_hidden, d_head, d_bias = torch.autograd.grad(total, (hidden, head, bias))
    assert d_hidden.shape == (0, D)
    assert not d_head.any() and not d_bias.any() and d_head.shape == (V, D)


class LargestTensor(TorchDispatchMode):
    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(x, torch.Tensor):
                self.numel = max(self.numel, x.numel())
        return out


def test_nothing_of_size_tokens_by_vocabulary_is_ever_made():
    rows, width, vocabulary, block = 64, 4, 1024, 32
    hidden, head = torch.randn(rows, width, requires_grad=True), torch.randn(vocabulary, width, requires_grad=True)
    ids = torch.randint(vocabulary, (rows,))
    with LargestTensor() as seen:
        out = token_logprobs(hidden, head, ids, entropy=True, at_NK=ids[:, None], block=block)
        (out.logp_N.sum() + out.entropy_N.sum() + out.at_NK.sum()).backward()
    assert seen.numel == max(vocabulary * width, rows * block)


@pytest.mark.parametrize("bad", [-100, -1, V])
def test_an_id_outside_the_vocabulary_is_refused(bad):
    hidden, head, _, ids, at = inputs()
    ids[2] = bad
    with pytest.raises(DataError, match=rf"ids must lie in \[0, {V}\), found .*{bad}"):
        token_logprobs(hidden, head, ids, block=4)
    at[1, 1] = bad
    with pytest.raises(DataError, match=str(bad)):
        token_logprobs(hidden, head, ids.clamp(0, V - 1), at_NK=at)


def test_other_impossible_arguments_are_refused():
    hidden, head, bias, ids, at = inputs()
    with pytest.raises(DataError, match="temperature must be positive, got 0"):
        token_logprobs(hidden, head, ids, temperature=0.0)
    with pytest.raises(DataError, match="block must be at least 1"):
        token_logprobs(hidden, head, ids, block=0)
    with pytest.raises(DataError, match=r"'ids': \(4,\)"):
        token_logprobs(hidden, head, ids[:4])
    with pytest.raises(DataError, match=r"'bias': \(10,\)"):
        token_logprobs(hidden, head, ids, bias_V=bias[:10])
    with pytest.raises(DataError, match=r"'at': \(5,\)"):
        token_logprobs(hidden, head, ids, at_NK=at[:, 0])


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_from_logits_equals_from_hidden_states_in_values_and_gradients(temperature):
    hidden, head, bias, ids, at = inputs()
    out = logprobs_from_logits(hidden @ head.T + bias, ids, temperature=temperature, entropy=True, at_NK=at)
    found, expected = (out.logp_N, out.entropy_N, out.at_NK), packed(hidden, head, bias, ids, at, temperature, 4)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    leaves = (hidden, head, bias)
    torch.testing.assert_close(
        torch.autograd.grad(weighted(found), leaves), torch.autograd.grad(weighted(expected), leaves)
    )
    bare = logprobs_from_logits(hidden @ head.T + bias, ids)
    assert bare.entropy_N is None and bare.at_NK is None


def test_logits_in_half_precision_are_raised():
    logits = torch.randn(N, V, generator=torch.Generator().manual_seed(0)).bfloat16()
    ids = torch.arange(N)
    found = logprobs_from_logits(logits, ids, temperature=0.7).logp_N
    torch.testing.assert_close(found, logprobs_from_logits(logits.float(), ids, temperature=0.7).logp_N, rtol=0, atol=0)
    ids_NK, values_NK = top_from_logits(logits, 2)
    assert values_NK.dtype == torch.float32
    torch.testing.assert_close(values_NK, logits.float().log_softmax(-1).gather(1, ids_NK))


def test_impossible_logits_are_refused():
    logits, ids = torch.zeros(N, V), torch.zeros(N, dtype=torch.long)
    with pytest.raises(DataError, match=r"expected logits \(N, V\).*\(3,\)"):
        logprobs_from_logits(logits, ids[:3])
    with pytest.raises(DataError, match=rf"ids must lie in \[0, {V}\), found {V}"):
        logprobs_from_logits(logits, ids + V)
    with pytest.raises(DataError, match="temperature must be positive, got 0"):
        logprobs_from_logits(logits, ids, temperature=0.0)
    with pytest.raises(DataError, match="temperature must be positive, got 0"):
        top_from_logits(logits, 1, temperature=0.0)
    with pytest.raises(DataError, match=r"k must lie in \[1, 4\].* got 5"):
        top_from_logits(logits, 5, listed=4)


@pytest.mark.parametrize("listed", [None, 6])
def test_the_largest_of_logits_are_those_of_hidden_states(listed):
    hidden, head, bias, _, _ = inputs()
    found = top_from_logits(hidden @ head.T + bias, 4, temperature=0.8, listed=listed)
    expected = top_logprobs(hidden, head, 4, bias_V=bias, temperature=0.8, listed=listed, block=4)
    assert torch.equal(found[0], expected[0]) and not found[1].requires_grad
    torch.testing.assert_close(found[1], expected[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("listed", [None, 6])
def test_the_largest_are_the_same_whatever_the_blocks(block, listed):
    hidden, head, bias, _, _ = inputs()
    logp_NV = ((hidden @ head.T + bias) / 0.8).log_softmax(-1)[:, :listed]
    for k in (1, 4, logp_NV.shape[1]):
        ids_NK, values_NK = top_logprobs(hidden, head, k, bias_V=bias, temperature=0.8, listed=listed, block=block)
        torch.testing.assert_close(values_NK, logp_NV.topk(k).values, rtol=0, atol=1e-12)
        assert torch.equal(ids_NK, logp_NV.topk(k).indices)
        assert not values_NK.requires_grad


def test_the_largest_are_found_without_tokens_by_vocabulary():
    rows, width, vocabulary, block = 64, 4, 1024, 32
    hidden, head = torch.randn(rows, width), torch.randn(vocabulary, width)
    with LargestTensor() as seen:
        top_logprobs(hidden, head, 8, block=block)
    assert seen.numel == rows * block


@pytest.mark.parametrize(("k", "listed", "most"), [(0, None, V), (V + 1, None, V), (4, 3, 3), (V, V + 9, V - 1)])
def test_a_list_longer_than_what_can_be_listed_is_refused(k, listed, most):
    hidden, head, _, _, _ = inputs()
    if most < V and listed != most:
        head = head[:most]
    with pytest.raises(DataError, match=rf"k must lie in \[1, {most}\].* got {k}"):
        top_logprobs(hidden, head, k, listed=listed, block=4)
