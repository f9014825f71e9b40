"""Tiny tokenizers and models, from scratch and in milliseconds."""

from __future__ import annotations

import functools
import string
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from trueloop.models.policy import Policy
from trueloop.models.spec import LoRA

CHARACTERS = string.ascii_letters + string.digits + " \n.,:;?!+-*/=()<>'\""

_LLAMA_LIKE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
}

CONFIGS: dict[str, dict[str, Any]] = {
    "qwen3": {"model_type": "qwen3", "tie_word_embeddings": True, **_LLAMA_LIKE},
    "llama": {"model_type": "llama", "attention_bias": True, **_LLAMA_LIKE},
    "qwen2": {"model_type": "qwen2", **{k: v for k, v in _LLAMA_LIKE.items() if k != "head_dim"}},
    "gpt2": {
        "model_type": "gpt2",
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 256,
        "initializer_range": 0.3,
    },
    "gemma2": {"model_type": "gemma2", "query_pre_attn_scalar": 8, "sliding_window": 8, **_LLAMA_LIKE},
}


@functools.cache
def char_tokenizer() -> PreTrainedTokenizerBase:
    """One token per character of CHARACTERS, plus <pad> = 0 and <eos> = 1; decoding gives the text back."""
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<eos>", *CHARACTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>")


def tiny_policy(kind: str = "qwen3", *, seed: int = 0, adapter: LoRA | None = None, **changes: Any) -> Policy:
    """A fresh policy of one of CONFIGS with `changes`; weights large enough that context matters."""
    return Policy.fresh({**CONFIGS[kind], **changes}, char_tokenizer(), seed, adapter=adapter)
