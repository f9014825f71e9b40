"""What prompts have in common: the frame around problems, its labels, and where a completion opens another problem."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

LABEL = re.compile(
    r"<[^<>\s][^<>\n]{0,30}>(?:system|user|assistant|human|model|tool)?|\[/?[A-Z]{2,12}\]"
    r"|(?:(?<=\s)|^)(?:#{1,4}[ ]?)?[A-Z][A-Za-z]{0,20}(?:[ ][A-Za-z]{1,12})?:"
)
"""What opens a part of a prompt: a special token with its role, [INST], "Question:", "### Instruction:"."""

_USUAL = ("Question:", "Problem:", "Human:", "User:", "### Instruction", "### Question", "### Problem")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What stands before and after every problem's own words."""

    before: str
    after: str


def frame(prompts: Sequence[str]) -> Frame:
    """What all prompts begin and end with, cut back to the end of a word: two problems may share digits by chance.

    Two different prompts are needed; fewer have no frame.
    """
    distinct = sorted(set(prompts))
    if len(distinct) < 2:
        return Frame(before="", after="")
    before = _common(distinct)
    rest = [p[len(before) :] for p in distinct]
    after = _common([p[::-1] for p in rest])[::-1]
    return Frame(before=re.sub(r"[A-Za-z0-9.+-]*\Z", "", before), after=re.sub(r"\A[A-Za-z0-9.+-]*", "", after))


def _common(texts: Sequence[str]) -> str:
    """The longest beginning that all have: that of the first and the last in order."""
    first, last = min(texts), max(texts)
    same = (i for i, (x, y) in enumerate(zip(first, last, strict=False)) if x != y)
    return first[: next(same, min(len(first), len(last)))]


def doubled_label(prompt: str) -> str | None:
    """A label that comes twice with nothing but labels and space between: `Human:\\n\\nHuman:`."""
    run: set[str] = set()
    end = 0
    for found in LABEL.finditer(prompt):
        if prompt[end : found.start()].strip():
            run = set()
        if found[0] in run:
            return found[0]
        run.add(found[0])
        end = found.end()
    return None


def doubled_line(prompt: str, content: str) -> str | None:
    """A line of some length that the prompt has twice outside of the problem's own words."""
    outside = prompt.replace(content, "\n") if content else prompt
    lines = [line.strip() for line in outside.splitlines() if len(line.strip()) >= 20]
    return next((line for line in lines if lines.count(line) > 1), None)


def markers(before: str) -> tuple[str, ...]:
    """How a completion would open another problem of this frame: its label, and the usual ones of other frames."""
    labels = [m[0].strip() for m in LABEL.finditer(before)]
    start = before.strip()[:24].strip()
    own = labels[-1:] if labels else [start] if len(start) >= 4 else []
    return tuple(dict.fromkeys([*own, *labels[:1], *_USUAL]))


def next_problem(text: str, marks: Sequence[str]) -> int | None:
    """Where a completion opens another problem: a mark at the start of a line, after an answer of some kind."""
    if not text.strip():
        return None
    offset = len(text) - len(text.lstrip())
    pattern = "|".join(re.escape(mark) for mark in sorted(marks, key=len, reverse=True))
    found = re.compile(rf"\n[ \t]*(?:{pattern})").search(text, offset)
    return found.start() if found else None


def looped(text: str, least: int = 5) -> bool:
    """Whether the text ends in one piece said over and over: at least `least` times, and a third of the text.

    A piece of less than four characters must fill forty.
    """
    tail = text[-600:]
    for period in range(1, len(tail) // least + 1):
        piece = tail[-period:]
        times = 1
        while tail.endswith(piece * (times + 1)):
            times += 1
        covered = period * times
        if times >= least and covered >= (40 if period < 4 else 20) and covered * 3 >= min(len(text), 600):
            return True
    return False


def spaceless(text: str) -> str:
    """The text without any white space, to compare what a tokenizer may space otherwise."""
    return _SPACES.sub("", text)
