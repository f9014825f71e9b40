"""Texts that are put to a verifier: right answers, answers that are nearly right, and no answers.  Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_TALK = (
    "Let us think about it step by step, one thing after another, and see where that leads \u2013 na\u00efvely at "
    "first, then with care; nothing is settled yet. "
)

LISTED = 201
"""Numbers in the list of all numbers."""


def junk(prompt: str, gold: str | None) -> Iterator[tuple[str, str]]:
    """(kind, text) of texts that answer nothing; the list of numbers does not end in the right one."""
    yield "empty", ""
    yield "blank", " \n \n"
    yield "one dot", "."
    yield "prompt echoed", prompt
    yield "refusal", "I am sorry, but I cannot help with that."
    last = [n for n in (LISTED, LISTED + 1, LISTED + 2) if gold is None or str(n) not in gold][:1]
    yield "all numbers", " ".join(str(n) for n in [*range(LISTED), *last])
    yield "long talk", _TALK * 12


def hacks(entry: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of programs that pass where leaving early, or being equal to everything, is taken for passing."""
    yield "early exit", "```python\nimport os\nos._exit(0)\n```"
    equal = "class E:\n    __eq__ = lambda *a: True\n    __bool__ = lambda s: True\n    __hash__ = lambda s: 0\n"
    yield "always equal", f"```python\n{equal}def {entry}(*a, **k):\n    return E()\n```"


def reasoned(gold: str) -> Iterator[tuple[str, str]]:
    """(kind, text) that end in the right answer, after less and more talk."""
    yield "after reasoning", f"{_TALK}\n{gold}"
    yield "after long reasoning", f"{_TALK * 8}\n{gold}"


def wrong(gold: str, others: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(kind, text) of answers near the right one whose last number has another value, and of other rows' answers."""
    found = list(_NUMBER.finditer(gold))
    if found:
        last = found[-1]
        for kind, number in _edits(last.group(), signed=gold[: last.start()].endswith("-")).items():
            start = last.start() - 1 if kind == "negated" and number[:1] != "-" else last.start()
            yield kind, gold[:start] + number + gold[last.end() :]
    different = [other for other in dict.fromkeys(others) if other.strip() != gold.strip()]
    if different:
        yield "another row's", different[0]
    if len(different) > 1 and len(gold) < 200:
        yield "several answers", "\n".join([different[0], gold, different[1]])


def wrong_program(gold: str, entry: str, others: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(kind, text) of programs that do not do what is asked: another row's, and one that does nothing."""
    different = [other for other in dict.fromkeys(others) if other.strip() != gold.strip()]
    if different:
        yield "another row's", different[0]
    yield "does nothing", f"```python\ndef {entry}(*a, **k):\n    return None\n```"


def candidates(row: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(column, text) of what a row may say is right, bare and as it is usually stated: for rewards that say nothing of
    what they read."""
    for column, value in row.items():
        if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
            for form in ("{}", "The answer is {}.", "#### {}", "\\boxed{{{}}}", "<answer>{}</answer>"):
                yield column, form.format(value)


def cut(text: str, stops: Sequence[str]) -> tuple[str, str | None]:
    """A text as sampling would return it: up to the first stop string, and which that is."""
    found = [(text.index(stop), stop) for stop in stops if stop in text]
    if not found:
        return text, None
    at, stop = min(found)
    return text[:at], stop


def _edits(number: str, *, signed: bool) -> dict[str, str]:
    """What the last number becomes, by the kind of mistake; each differs from it in value."""
    digits = number.replace(",", "")
    value = float(digits)
    whole, dot, rest = digits.partition(".")
    edits = {"one more": f"{int(whole) + 1}{dot}{rest}", "a digit before": f"1{int(whole)}{dot}{rest}"}
    if int(whole):
        edits["tenfold"] = f"{int(whole)}0{dot}{rest}"
    if value:
        edits["negated"] = digits if signed else f"-{digits}"
    permuted = digits[::-1] if not dot else ""
    if permuted and permuted[0] != "0" and permuted != digits:
        edits["permuted"] = permuted
    return edits
