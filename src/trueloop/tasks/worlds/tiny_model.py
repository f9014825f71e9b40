"""What the embedded worlds are learned with: a character-level tokenizer and a small Qwen3-shaped model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from trueloop.store.artefacts import atomic_file

PAD, END, UNKNOWN = "<pad>", "<end>", "<unk>"
ALPHABET = "\n" + "".join(chr(code) for code in range(32, 127))
VOCABULARY = (PAD, END, UNKNOWN, *ALPHABET)
_CONTEXT = 512


def model_config() -> dict[str, Any]:
    """A `transformers` configuration of 0.8 million parameters for the tokenizer below.

    The embeddings are untied: an engine that reloads weights into a tied head may keep the old head without a word.
    """
    return {
        "model_type": "qwen3",
        "architectures": ["Qwen3ForCausalLM"],
        "vocab_size": len(VOCABULARY),
        "hidden_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "intermediate_size": 384,
        "max_position_embeddings": _CONTEXT,
        "tie_word_embeddings": False,
        "pad_token_id": VOCABULARY.index(PAD),
        "eos_token_id": VOCABULARY.index(END),
        "bos_token_id": None,
    }


def write_tokenizer(directory: Path) -> None:
    """Write a tokenizer of one token per character that `AutoTokenizer` loads: printable ASCII and the newline.

    The end token is not the padding token, no beginning token is added, and any text of these characters survives
    encoding and decoding unchanged; other characters become the unknown token.
    """
    tokenizer = Tokenizer(models.WordLevel({t: i for i, t in enumerate(VOCABULARY)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in (PAD, END, UNKNOWN)])
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "unk_token": UNKNOWN,
        "clean_up_tokenization_spaces": False,
        "model_max_length": _CONTEXT,
    }
    _write(directory / "tokenizer.json", tokenizer.to_str())
    _write(directory / "tokenizer_config.json", json.dumps(settings, indent=2))


def _write(path: Path, text: str) -> None:
    with atomic_file(path, what="a tokenizer") as temporary:
        temporary.write_text(text, encoding="utf-8")
