import pytest
import torch

from helpers import char_tokenizer, tiny_policy
from trueloop.errors import ModelError
from trueloop.models import attention
from trueloop.models.attention import Spans, partial_layers, read_spans, span_mask
from trueloop.models.policy import Policy


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([0, 0, 1, 1, 2, -1], Spans(2, (2, 1), 1)),
        ([3, 3, 1], Spans(0, (2, 1), 0)),
        ([0, 0, -1], None),
        ([0, 1, 0, 2], None),
        ([0, 1, 2, 1], None),
        ([0, 1, -1, 2], None),
        ([-1, 0, 1], None),
    ],
)
def test_read_spans(segments, expected):
    assert read_spans(segments) == expected


def test_generation_and_left_padding_are_as_before():
    policy = tiny_policy("qwen3")
    ids = torch.tensor([[0, 0, 5, 9], [4, 8, 15, 16]])
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])

    def run():
        return policy.model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=8, do_sample=False).tolist()

    assert attention.installed(policy.base_model)
    ours = run()
    policy.base_model.config._attn_implementation = "sdpa"
    assert run() == ours


def test_a_model_with_its_own_code_for_each_implementation_is_left_alone():
    policy = tiny_policy("qwen3")
    falcon = type(policy).fresh(
        {
            "model_type": "falcon",
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 4,
            "initializer_range": 0.3,
        },
        policy.tokenizer,
        0,
    )
    assert not attention.installed(falcon.base_model)
    assert falcon.base_model.config._attn_implementation == "sdpa"


def test_a_window_is_refused_inside_the_attention_too():
    x = torch.zeros(1, 2, 3, 4)
    mask = span_mask([Spans(1, (1, 1), 0)], x.device)
    with pytest.raises(ModelError, match="sliding_window"):
        attention.attention(torch.nn.Identity(), x, x, x, mask, sliding_window=2)


def llama_like(kind, **changes):
    config = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2}
    return Policy.fresh({"model_type": kind, **config, **changes}, char_tokenizer(), 0).base_model


@pytest.mark.parametrize(
    ("kind", "changes", "expected"),
    [
        ("llama", {}, []),
        ("gemma2", {"num_hidden_layers": 2}, ["sliding_attention"]),
        ("gemma2", {"layer_types": ["full_attention"]}, []),
        ("mistral", {"sliding_window": 4096}, ["sliding_window"]),
        ("mistral", {"sliding_window": None}, []),
    ],
)
def test_layers_that_do_not_see_the_whole_row_are_named(kind, changes, expected):
    assert partial_layers(llama_like(kind, **changes)) == expected
