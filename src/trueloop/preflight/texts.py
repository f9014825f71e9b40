"""When two prompts are the same question: in the same words, or in nearly the same.  Pure functions over texts."""

from __future__ import annotations

import os.path
import re
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

from trueloop.records import Prompt

SHINGLE = 4
"""Words in a row that two texts are compared by."""

SKETCH = 8
"""Smallest hashes of a text's shingles, one of which texts that are nearly the same nearly always share."""

ALIKE = 0.7
"""Share of shingles that two texts have in common from which they are nearly the same, if their numbers are."""

CROWD = 40
"""Texts that share a hash beyond which it is a phrase of all of them, and no reason to compare any two."""

_SPACES = re.compile(r"\s+")
_DRESSING = re.compile(r"[*_`\"'“”‘’!?:;]|[.,](?!\d)")
_WORDS = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[^\w\s]")


def text_of(prompt: Prompt) -> str:
    """A prompt as one text: all turns of a conversation."""
    return prompt if isinstance(prompt, str) else "\n".join(m.content for m in prompt)


def bare(texts: Sequence[str]) -> list[str]:
    """The texts without what all of them begin and end with, such as `Q: ` and `\\nA:`; as they are where that is all."""
    if len(set(texts)) < 2:
        return list(texts)
    start = _whole_words(os.path.commonprefix(texts))
    end = _whole_words(os.path.commonprefix([t[::-1] for t in texts]))
    short = min(map(len, texts)) <= start + end
    return list(texts) if short else [t[start : len(t) - end] for t in texts]


def normal(text: str) -> str:
    """One spelling of a question: small letters, single spaces, without dressing; signs and decimals stay."""
    return _SPACES.sub(" ", _DRESSING.sub("", text.casefold())).strip()


def near_pairs(left: Mapping[str, str], right: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """Pairs of keys whose normal texts are nearly the same and not equal, with the same numbers in both.

    Within `left`, or between `left` and `right`.  Texts of fewer than 2 * SHINGLE words are not compared: too little
    tells one short question from another.
    """
    other = left if right is None else right
    sketches = _sketches(left) if right is None else _sketches({**_named(0, left), **_named(1, right)})
    candidates: set[tuple[str, str]] = set()
    for keys in sketches.values():
        if len(keys) <= CROWD:
            candidates.update(_crossing(keys) if right is not None else combinations(sorted(keys), 2))
    return sorted(pair for pair in candidates if _alike(left[pair[0]], other[pair[1]]))


def _named(side: int, texts: Mapping[str, str]) -> dict[str, str]:
    return {f"{side}{key}": text for key, text in texts.items()}


def _crossing(keys: Sequence[str]) -> list[tuple[str, str]]:
    ours, theirs = ([k[1:] for k in keys if k[0] == side] for side in "01")
    return [(a, b) for a in ours for b in theirs]


def _sketches(texts: Mapping[str, str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for key, text in texts.items():
        for value in sorted(map(_hash, _shingles(text)))[:SKETCH]:
            found[value].append(key)
    return found


def _shingles(text: str) -> set[str]:
    words = _WORDS.findall(text)
    if len(words) < 2 * SHINGLE:
        return set()
    return {" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}


def _hash(shingle: str) -> int:
    return zlib.crc32(shingle.encode())


def _alike(a: str, b: str) -> bool:
    if a == b or _numbers(a) != _numbers(b):
        return False
    ours, theirs = _shingles(a), _shingles(b)
    return len(ours & theirs) >= ALIKE * len(ours | theirs)


def _numbers(text: str) -> list[str]:
    return sorted(w for w in _WORDS.findall(text) if w[0].isdigit())


def _whole_words(common: str) -> int:
    """The length of a common part that ends between words."""
    return len(common) - len(re.search(r"\w*\Z", common).group())  # type: ignore[union-attr]
