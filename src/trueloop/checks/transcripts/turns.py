"""One row of a transcript, and what can be read off its text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from trueloop.checks.scaffold import doubled_label


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One completion as a trainer logged it.  None is what the log does not say.

    group             rows of one group answer the same problem at the same step
    step              optimizer step that it was sampled for
    finish            "stop" or "length" (cut at the limit)
    target            the right answer
    passed            the task's own yes or no
    length            tokens of the completion
    logprobs          per token of the completion, by the sampler
    trainer_logprobs  the same by the trainer
    whole_softmax     whether `logprobs` are known to be of the whole softmax at a temperature well above 0, and not of
                      what truncation keeps, where they are 0 by right
    status            scored, unscorable or error
    version           of the weights that it was drawn from
    parts             named readings of the reward
    """

    prompt: str
    completion: str
    reward: float | None
    group: str
    step: int | None = None
    finish: str | None = None
    target: str | None = None
    passed: bool | None = None
    length: int | None = None
    logprobs: tuple[float | None, ...] | None = None
    trainer_logprobs: tuple[float | None, ...] | None = None
    whole_softmax: bool = False
    status: str = "scored"
    version: int | None = None
    parts: dict[str, float] = field(default_factory=dict)


NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?|(?<=[=$])-?\d[\d,]*(?:\.\d+)?")
_MARKED = (
    ("boxed", re.compile(r"\\boxed\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")),
    ("hash", re.compile(r"####\s*([^\n]+)")),
    ("answer_is", re.compile(r"(?:the |final )?answer\s*(?:is|:)\s*([^\n]+?)(?:\.(?:\s|$)|\n|$)", re.IGNORECASE)),
    ("tag", re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL | re.IGNORECASE)),
)
_SUM = re.compile(r"(?<![\w.+\-*])(\d{1,6}(?:\s*[+\-*]\s*\d{1,6}){1,6})\s*=\s*\?")


def format_of(text: str) -> str | None:
    """The name of the last way in which a text marks its answer; None where it marks none."""
    found = [(m.start(), name) for name, pattern in _MARKED for m in pattern.finditer(text)]
    return max(found)[1] if found else None


def stated(text: str) -> str | None:
    """The answer that a reader would take from a text: what is marked last, or else its last number."""
    found = [(m.start(), m[1]) for _, pattern in _MARKED for m in pattern.finditer(text)]
    if found:
        return plain(max(found)[1])
    numbers = NUMBER.findall(text)
    return plain(numbers[-1]) if numbers else None


def plain(answer: str) -> str:
    """An answer without what does not count: dollars, spaces, commas between digits, a full stop, 7.0 for 7."""
    text = answer.strip().strip("$ .").replace("\\!", "").replace(" ", "")
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text).lower()


def target_of(turn: Turn) -> str | None:
    """The right answer: as logged, or what a prompt that asks for a plain sum amounts to."""
    if turn.target is not None:
        marked = turn.target.rsplit("####", 1)[-1]
        return plain(marked)
    sums = _SUM.findall(turn.prompt)
    return str(_total(sums[-1])) if sums else None


def _total(text: str) -> int:
    """The value of a row of products added and subtracted."""
    terms = re.findall(r"([+-]?)\s*(\d+(?:\s*\*\s*\d+)*)", text)
    total = 0
    for sign, product in terms:
        value = 1
        for factor in product.split("*"):
            value *= int(factor)
        total += -value if sign == "-" else value
    return total


def groups_of(turns: Iterable[Turn]) -> list[list[Turn]]:
    """Rows that answer one problem at one step, in the order of their first rows."""
    found: dict[tuple[str, int | None], list[Turn]] = defaultdict(list)
    for turn in turns:
        found[turn.group, turn.step].append(turn)
    return list(found.values())


def early_and_late(turns: Sequence[Turn]) -> tuple[list[Turn], list[Turn]]:
    """The rows of the first and of the last quarter of the steps (at least one each); two empty lists for one step."""
    steps = sorted({t.step for t in turns if t.step is not None})
    if len(steps) < 2:
        return [], []
    quarter = max(1, len(steps) // 4)
    first, last = set(steps[:quarter]), set(steps[-quarter:])
    return [t for t in turns if t.step in first], [t for t in turns if t.step in last]


SCAFFOLD = re.compile(
    r"<\|(?:im_start|im_end|start_header_id|end_header_id|eot_id|user|assistant|system|end|begin_of_text|endoftext)\|>"
    r"|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<[|｜](?:User|Assistant)[|｜]>|^\s*### (?:Instruction|Response):"
    r"|^\s*(?:Human|Assistant|USER|ASSISTANT):",
    re.MULTILINE,
)
_OPENERS = re.compile(
    r"<\|im_start\|>user|<\|start_header_id\|>user|<\|user\|>|\[INST\]|<start_of_turn>user|<[|｜]User[|｜]>"
    r"|### Instruction:|(?:^|\n)(?:Human|USER):"
)
_TWICE = re.compile(r"(<\|begin_of_text\|>|<s>|<bos>)\s*\1|<\|im_start\|>(?:user|system)\s*<\|im_start\|>")


def wrapped_twice(prompt: str) -> bool:
    """Whether a chat template, a start token or a label such as `Question:` stands directly within itself."""
    return _TWICE.search(prompt) is not None or doubled_label(prompt) is not None


def templated(prompt: str) -> bool:
    """Whether a prompt is wrapped in a chat template."""
    return _OPENERS.search(prompt) is not None
