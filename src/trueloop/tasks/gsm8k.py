"""GSM8K: grade-school word problems with worked answers that end in `#### N` (arXiv:2110.14168).

Rows are JSONL with the columns `question` and `answer`, one file a split.  Without a template the prompt is
`Q: {question}\\nA:` and the stops end the answer where a base model begins a next question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from trueloop.chat import Template
from trueloop.errors import DataError
from trueloop.records import Message, Problem, Prompt, Score, content_hash
from trueloop.tasks.base import Demonstration, Task, TaskSettings, read_rows
from trueloop.verify.numbers import FormatName, declared_first, grade_number

STOPS = ("[Question]", "Question:", "Q:", "\n\n\n")
_CALCULATOR = re.compile(r"<<[^>]*>>")
_NEXT_QUESTION = re.compile(r"\n[ \t]*\**(?:\[Question\]|Question:|Q:)")
_LENIENT: tuple[FormatName, ...] = ("answer_is", "hash", "boxed", "answer_colon")


class Gsm8k(TaskSettings):
    """GSM8K from a folder with `gsm8k_train.jsonl` and `gsm8k_test.jsonl`.

    answer_format   the format that counts as strictly right, and that demonstrations end with
    validation      problems of the train file that are held out as a split of their own, chosen by content
    """

    kind: Literal["gsm8k"] = "gsm8k"
    path: Path
    answer_format: Literal["hash", "answer_is", "boxed"] = "hash"
    template: Template = "none"
    max_tokens: int = Field(default=512, ge=1)
    validation: int = Field(default=0, ge=0)

    def build(self) -> Gsm8kTask:
        """The task over these files; they are read when a split is first asked for."""
        return Gsm8kTask(self)


class Gsm8kTask(Task):
    """Word problems whose answer is one number."""

    name = "gsm8k"

    def __init__(self, settings: Gsm8k) -> None:
        super().__init__()
        self._settings = settings
        self.template = settings.template
        self.max_tokens = settings.max_tokens
        self.stops = STOPS if settings.template == "none" else ()
        self.splits = ("train", "validation", "test") if settings.validation else ("train", "test")
        self._formats = declared_first(settings.answer_format, _LENIENT)
        self._worked: dict[str, str] = {}

    def grade(self, problem: Problem, text: str, leniency: float = 0.0) -> Score:
        """Right if the number is right: in the declared format, else in any format or as the last number.

        Text after the beginning of a next question is not read.
        """
        return grade_number(problem.target, _own_answer(text), self._formats, leniency)

    def demonstrations(self, split: str) -> Sequence[Demonstration]:
        """The worked answers, without calculator marks, ending in the declared format."""
        return [Demonstration(problem=p, completion=self._solution(p)) for p in self.problems(split)]

    def _load(self, split: str) -> Iterator[Problem]:
        path = self._settings.path / f"gsm8k_{'test' if split == 'test' else 'train'}.jsonl"
        rows = read_rows(path, ("question", "answer"))
        if split != "test" and self._settings.validation:
            rows = _held_out(path, rows, self._settings.validation, split)
        for row in rows:
            yield self._problem(path, row["question"], row["answer"], split)

    def _problem(self, path: Path, question: str, answer: str, split: str) -> Problem:
        worked, mark, gold = answer.rpartition("####")
        if not mark:
            raise DataError(
                f"{path}: the answer to {question[:60]!r} has no '####' before its number: {answer[-60:]!r}"
            )
        problem = Problem.create(
            prompt=self._ask(question),
            target=gold.strip(),
            task=self.name,
            split=split,
            tags={"operations": answer.count("<<")},
        )
        self._worked[problem.id] = _CALCULATOR.sub("", worked).strip()
        return problem

    def _ask(self, question: str) -> Prompt:
        if self.template == "none":
            return f"Q: {question}\nA:"
        return (Message(role="user", content=f"{question}\n{self._formats[0].request}"),)

    def _solution(self, problem: Problem) -> str:
        space = " " if self.template == "none" else ""
        return f"{space}{self._worked[problem.id]}\n{self._formats[0].write(problem.target)}"


def _held_out(path: Path, rows: list[dict[str, str]], count: int, split: str) -> list[dict[str, str]]:
    """The validation rows, or the train rows that are left: which is which depends on each row's content."""
    if count >= len(rows):
        raise DataError(f"{path}: {count} validation problems asked for, but it has only {len(rows)} rows")
    chosen = {r["question"] for r in sorted(rows, key=lambda r: content_hash("validation", r["question"]))[:count]}
    return [r for r in rows if (r["question"] in chosen) == (split == "validation")]


def _own_answer(text: str) -> str:
    """The text up to the first question that follows a number, where a model has gone on to pose one."""
    number = re.search("[0-9]", text)
    question = _NEXT_QUESTION.search(text, number.start()) if number else None
    return text[: question.start()] if question else text
