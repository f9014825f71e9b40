"""Stop strings: found on the token that completes them, across token boundaries and half-decoded characters.

The text of a completion is always what the tokenizer makes of all its tokens together, special tokens shown.  Decoding
all of them at every token would be quadratic, so a stop is first looked for where it can be: a token must be able to
end a stop string, and then the last few tokens, decoded alone, must contain one.  Only then is everything decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

PARTIAL = "�"
MARGIN = 8
"""Characters that the start of a decoded tail may get wrong: a cut character (up to 3), a stripped space."""


class Decodes(Protocol):
    """What is needed of a tokenizer; every Hugging Face tokenizer has it."""

    def decode(self, token_ids: list[int], skip_special_tokens: bool = False) -> str:
        """The text of these tokens."""
        ...


class StopFinder:
    """Looks for stop strings in what a tokenizer decodes."""

    def __init__(self, tokenizer: Decodes) -> None:
        self._tokenizer = tokenizer
        self._pieces: dict[int, str] = {}

    def text(self, tokens: Sequence[int]) -> str:
        """All tokens decoded, special tokens shown."""
        return self._tokenizer.decode(list(tokens), skip_special_tokens=False) if tokens else ""

    def find(self, tokens: Sequence[int], stops: Sequence[str]) -> tuple[str, str] | None:
        """(stop string, text before it) if the last token completed one, else None.

        Of several, the one that begins first; of those, the first listed.
        """
        if not any(self._may_end(tokens[-1], stop) for stop in stops):
            return None
        tail = self._tail(tokens, max(map(len, stops)))
        if not any(stop in tail for stop in stops):
            return None
        text = self.text(tokens)
        found = [(text.index(stop), i) for i, stop in enumerate(stops) if stop in text]
        if not found:
            return None
        start, i = min(found)
        return stops[i], text[:start]

    def _may_end(self, token: int, stop: str) -> bool:
        """Whether a text can end in `stop` on this token: decoded beside itself, so that a leading space shows."""
        if token not in self._pieces:
            self._pieces[token] = self.text([token, token])
        piece = self._pieces[token]
        return not piece or stop[-1] in piece or PARTIAL in piece

    def _tail(self, tokens: Sequence[int], length: int) -> str:
        """The decoded end of `tokens`, right in at least its last `length` characters."""
        count = length + MARGIN
        while True:
            text = self.text(tokens[-count:])
            if count >= len(tokens) or len(text) >= length + MARGIN:
                return text
            count *= 2
