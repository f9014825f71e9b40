"""When two prompts are the same question: in the same words, or in nearly the same.  Pure functions over texts."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import combinations, product

from trueloop.records import Prompt

SHINGLE = 4
"""Words in a row that two texts are compared by."""

SKETCH = 8
"""Smallest hashes of a text's shingles, one of which texts that are nearly the same nearly always share."""

ALIKE = 0.7
"""Share of shingles that two texts have in common from which they are nearly the same, if their numbers are."""

CROWD = 40
"""Texts that share a hash beyond which it is a phrase of all of them, and no reason to compare any two."""

LONGEST = 600
"""Characters of a text that are compared: its first ones."""

_SPACES = re.compile(r"\s+")
_DRESSING = re.compile(r"[*_`\"'“”‘’!?:;]|[.,](?!\d)")
_WORDS = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[^\w\s]")


def text_of(prompt: Prompt) -> str:
    """A prompt as one text: all turns of a conversation."""
    return prompt if isinstance(prompt, str) else "\n".join(m.content for m in prompt)


def bare(texts: Sequence[str]) -> list[str]:
    """The texts without what all begin and end with, such as `Q: ` and `\\nA:`; as they are where that is all."""
    if len(set(texts)) < 2:
        return list(texts)
    start, end = _shared(texts), _shared([t[::-1] for t in texts])
    short = min(map(len, texts)) <= start + end
    return list(texts) if short else [t[start : len(t) - end] for t in texts]


def normal(text: str) -> str:
    """One spelling of a question: small letters, single spaces, without dressing; signs and decimals stay."""
    return _SPACES.sub(" ", _DRESSING.sub("", text.casefold())).strip()


@dataclass(frozen=True, slots=True)
class Sketches:
    """Texts by key, and the keys of the texts that have a hash among their smallest."""

    texts: Mapping[str, str]
    keys: Mapping[int, Sequence[str]]


def sketches(texts: Mapping[str, str]) -> Sketches:
    """What normal texts are compared by.  Those of fewer than 2 * SHINGLE words are left out: too little tells
    one short question from another."""
    found: dict[int, list[str]] = defaultdict(list)
    for key, text in texts.items():
        for value in nsmallest(SKETCH, map(_hash, _shingles(text))):
            found[value].append(key)
    return Sketches(texts, found)


def near_pairs(left: Sketches, right: Sketches | None = None) -> list[tuple[str, str]]:
    """Pairs of keys whose texts are nearly the same and not equal, with the same numbers in both: within `left`, or
    between `left` and `right`."""
    other = left if right is None else right
    pairs: set[tuple[str, str]] = set()
    for value, mine in left.keys.items():
        theirs = other.keys.get(value, ())
        if len(mine) <= CROWD and len(theirs) <= CROWD:
            pairs.update(combinations(mine, 2) if right is None else product(mine, theirs))
    return sorted(pair for pair in pairs if _alike(left.texts[pair[0]], other.texts[pair[1]]))


def _shingles(text: str) -> set[str]:
    words = _WORDS.findall(text[:LONGEST])
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


def _shared(texts: Sequence[str]) -> int:
    """The length of what all texts begin with, up to the end of its last whole word."""
    first, last = min(texts), max(texts)
    n = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return next((i for i in range(n, 0, -1) if not first[i - 1].isalnum()), 0)
