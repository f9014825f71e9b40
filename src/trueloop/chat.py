"""Prompts to token ids, once: raw text for base models, the chat template for chat models.  No torch, no transformers.

The tokenizer is duck-typed; Hugging Face tokenizers fit.  Raw text is encoded as it stands and gets a beginning token
only if the tokenizer adds one by itself; messages go through the tokenizer's own chat template.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from trueloop.errors import DataError
from trueloop.records import Message, Prompt, content_hash

Template = Literal["none", "chat"]
_MARK = "PROBE-7f3a9c"


class Tokenizer(Protocol):
    """What is asked of a tokenizer; `chat_template` and `all_special_tokens` are read where they exist."""

    eos_token_id: int | None
    pad_token_id: int | None
    bos_token_id: int | None

    def encode(self, text: str, /, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids of a text."""
        ...

    def decode(self, ids: list[int], /) -> Any:
        """Text of token ids, special tokens written out."""
        ...

    def apply_chat_template(self, conversation: Any, /, *, tokenize: bool, add_generation_prompt: bool) -> Any:
        """The conversation as the model expects it, as text when `tokenize` is False."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFacts:
    """What a tokenizer says about its model.

    kind         "chat" only if an assistant's turn in the template closes with a token that ends generation: many base
                 models carry their chat sibling's template without ever having been trained on it
    turn_end     the special token that closes an assistant's turn in the template; None without a template
    adds_bos     raw text gets a beginning token from the tokenizer itself
    end_is_pad   padding and end are one token, so a mask made from ids would lose the end; None if either is missing
    """

    kind: Literal["base", "chat"]
    has_template: bool
    turn_end: str | None
    adds_bos: bool
    end_is_pad: bool | None


def encode_prompt(tokenizer: Tokenizer, prompt: Prompt, template: Template) -> tuple[int, ...]:
    """The ids that an engine is given for `prompt`.

    With "chat" a text becomes one user message, and the template opens the assistant's turn.  Raises `DataError` for
    messages without a template, a template that the tokenizer lacks, a prompt that is templated already, a
    conversation that ends with the assistant, and an empty prompt.
    """
    if template == "chat":
        return tuple(tokenizer.encode(_render(tokenizer, _as_messages(prompt)), add_special_tokens=False))
    if not isinstance(prompt, str):
        raise DataError(
            f"prompt: {len(prompt)} messages with template 'none', which takes plain text; "
            "use template 'chat', or a task whose prompt is text"
        )
    ids = tuple(tokenizer.encode(prompt, add_special_tokens=False))
    bos = _own_bos(tokenizer)
    if not ids and not bos:
        raise DataError("prompt: it is empty, and the tokenizer adds no beginning token; a model needs one token")
    return ids if ids[:1] == bos else bos + ids


def encode_completion(tokenizer: Tokenizer, text: str, end_id: int) -> tuple[int, ...]:
    """Ids of an answer that ends: the text's own tokens, then `end_id` exactly once."""
    ids = tuple(tokenizer.encode(text, add_special_tokens=False))
    return ids if ids[-1:] == (end_id,) else (*ids, end_id)


def template_hash(tokenizer: Tokenizer, template: Template) -> str:
    """A hash of all that turns a prompt into ids apart from the vocabulary: equal hash, equal format."""
    if template == "none":
        return content_hash("none", [tokenizer.decode([i]) for i in _own_bos(tokenizer)])
    _require_template(tokenizer)
    named = getattr(tokenizer, "special_tokens_map", {})
    return content_hash("chat", _template_of(tokenizer), {k: str(named[k]) for k in sorted(named)})


def has_chat_template(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer carries a chat template.  Base models may: see `describe`."""
    return bool(_template_of(tokenizer))


def describe(tokenizer: Tokenizer, end_ids: Collection[int] = ()) -> TokenizerFacts:
    """Base or chat model, and what its special tokens do.

    `end_ids` are the tokens that end generation (the model's generation config may have more than the tokenizer's
    end token, which is always counted).
    """
    ends = {*end_ids, tokenizer.eos_token_id} - {None}
    turn_end = _turn_end(tokenizer) if has_chat_template(tokenizer) else None
    closes = turn_end is not None and ends.issuperset(tokenizer.encode(turn_end, add_special_tokens=False)[:1])
    known = tokenizer.eos_token_id is not None and tokenizer.pad_token_id is not None
    return TokenizerFacts(
        kind="chat" if closes else "base",
        has_template=has_chat_template(tokenizer),
        turn_end=turn_end,
        adds_bos=bool(_own_bos(tokenizer)),
        end_is_pad=tokenizer.eos_token_id == tokenizer.pad_token_id if known else None,
    )


def _as_messages(prompt: Prompt) -> list[dict[str, str]]:
    turns = (Message(role="user", content=prompt),) if isinstance(prompt, str) else prompt
    if not turns or turns[-1].role == "assistant":
        last = repr(turns[-1].role) if turns else "nothing"
        raise DataError(
            f"prompt: a conversation of {len(turns)} messages that ends with {last}; the template opens "
            "the assistant's turn, so the last message must be another role's"
        )
    return [{"role": m.role, "content": m.content} for m in turns]


def _render(tokenizer: Tokenizer, messages: list[dict[str, str]]) -> str:
    _require_template(tokenizer)
    opening, marks = _scaffold(tokenizer)
    for i, message in enumerate(messages):
        found = [m for m in marks if m in message["content"]]
        if found or (opening and opening in message["content"]):
            raise DataError(
                f"prompt: message {i} ({message['role']}) already contains {(found or [opening])[0]!r} of the chat "
                "template; give the plain text and let the template be applied once, or use template 'none'"
            )
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _scaffold(tokenizer: Tokenizer) -> tuple[str, list[str]]:
    """What the template puts before a user's text, and the special tokens that it writes."""
    user = [{"role": "user", "content": _MARK}]
    text = tokenizer.apply_chat_template(user, tokenize=False, add_generation_prompt=True)
    return text.split(_MARK)[0].strip(), [t for t in _special_tokens(tokenizer) if t in text]


def _turn_end(tokenizer: Tokenizer) -> str | None:
    """The first special token after an assistant's words."""
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=False)
    after = text.split(_MARK)[-1]
    found = [(after.index(t), -len(t), t) for t in _special_tokens(tokenizer) if t in after]
    return min(found)[2] if found else None


def _special_tokens(tokenizer: Tokenizer) -> list[str]:
    added: Mapping[int, Any] = getattr(tokenizer, "added_tokens_decoder", {})
    named = list(getattr(tokenizer, "all_special_tokens", []))
    return list(dict.fromkeys(named + [str(t) for t in added.values() if getattr(t, "special", False)]))


def _own_bos(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The beginning token, if the tokenizer puts one before raw text by itself."""
    bos = tokenizer.bos_token_id
    return (bos,) if bos is not None and tokenizer.encode("", add_special_tokens=True)[:1] == [bos] else ()


def _template_of(tokenizer: Tokenizer) -> Any:
    return getattr(tokenizer, "chat_template", None)


def _require_template(tokenizer: Tokenizer) -> None:
    if not has_chat_template(tokenizer):
        raise DataError(
            "prompt: template 'chat', but the tokenizer has no chat template, as base models have none; "
            "use template 'none', or a chat model's tokenizer"
        )
