"""Which model is trained, and with which adapter: the configuration of `load_policy`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from trueloop.config import Config


class Pretrained(Config):
    """A causal language model: a directory, or a Hub id.

    if_adapter  what to do where `path` turns out to hold a PEFT adapter: merge it into the base that it names and
                train the result, or continue training that adapter over its base
    """

    kind: Literal["pretrained"] = "pretrained"
    path: str
    if_adapter: Literal["merge", "continue"] = "merge"


class Fresh(Config):
    """A randomly initialised model.

    config     transformers' configuration fields with "model_type"; the vocabulary size, unless it is given, and the
               special tokens come from the tokenizer
    tokenizer  a directory or Hub id
    """

    kind: Literal["fresh"] = "fresh"
    config: dict[str, Any]
    tokenizer: str


class LoRA(Config):
    """A new adapter, W + (alpha / rank) B A with B = 0 at first (arXiv:2106.09685).

    dropout  on the adapter's input, and only inside `Policy.training`
    targets  module names as the model spells them, or "all-linear": every linear layer but the head
    """

    kind: Literal["lora"] = "lora"
    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] | Literal["all-linear"] = "all-linear"


class SavedAdapter(Config):
    """A PEFT LoRA directory or Hub id to train further."""

    kind: Literal["saved"] = "saved"
    path: str
