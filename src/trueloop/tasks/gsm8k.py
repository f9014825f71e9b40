"""GSM8K: grade-school word problems with worked answers that end in `#### N` (arXiv:2110.14168).

Rows have the columns `question` and `answer`.  Without a template the prompt is
`Q: {question}\\nA:` and the stops end the answer where a base model begins a next question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from trueloop.chat import Template
from trueloop.errors import DataError
from trueloop.records import Json, Message, Problem, Prompt, content_hash
from trueloop.tasks.base import Demonstration
from trueloop.tasks.data import DataSettings, DataTask, HubData
from trueloop.verify.numbers import FORMATS, FormatName, Numbers, parse_number

STOPS = ("[Question]", "Question:", "Q:", "\n\n\n")
_CALCULATOR = re.compile(r"<<[^>]*>>")
_LENIENT: tuple[FormatName, ...] = ("answer_is", "hash", "boxed", "answer_colon")


class Gsm8k(DataSettings):
    """GSM8K from a folder with `gsm8k_train.jsonl` and `gsm8k_test.jsonl`.

    answer_format   the format that counts as strictly right, and that demonstrations end with
    validation      problems of the train file that are held out as a split of their own, chosen by content
    """

    kind: Literal["gsm8k"] = "gsm8k"
    answer_format: Literal["hash", "answer_is", "boxed"] = "hash"
    template: Template = "none"
    max_tokens: int = Field(default=512, ge=1)
    validation: int = Field(default=0, ge=0)

    def build(self) -> Gsm8kTask:
        """The task over these files; they are read when a split is first asked for."""
        return Gsm8kTask(self)


class Gsm8kTask(DataTask):
    """Word problems whose answer is one number."""

    name = "gsm8k"
    columns = ("question", "answer")
    files: ClassVar = {"train": "gsm8k_train.jsonl", "test": "gsm8k_test.jsonl"}
    hub = HubData(id="openai/gsm8k", configs=("main",), splits={"train": "train", "test": "test"})

    def __init__(self, settings: Gsm8k) -> None:
        super().__init__(settings)
        self._settings = settings
        self.template = settings.template
        self.max_tokens = settings.max_tokens
        self.stops = STOPS if settings.template == "none" else ()
        if settings.validation:
            self.splits = ("train", "validation", *(s for s in self.splits if s != "train"))
        self._format = FORMATS[settings.answer_format]
        self.verifier = Numbers(declared=settings.answer_format, others=_LENIENT, own_answer_only=True)
        self._worked: dict[str, str] = {}

    def gold(self, problem: Problem) -> str:
        """The number in the declared format."""
        return self._format.write(problem.target)

    def demonstrations(self, split: str) -> Sequence[Demonstration]:
        """The worked answers, without calculator marks, ending in the declared format."""
        return [Demonstration(problem=p, completion=self._solution(p)) for p in self.problems(split)]

    def problem(self, row: Mapping[str, Json], split: str) -> Problem:
        """A word problem; its answer ends in `#### N`, or is the number alone."""
        answer = str(row["answer"]) if isinstance(row["answer"], int | float) else row["answer"]
        worked, mark, gold = answer.rpartition("####")
        if not mark and parse_number(gold) is None:
            raise DataError(f"the answer to {row['question'][:60]!r} has no '####' before its number: {answer[-60:]!r}")
        problem = Problem.create(
            prompt=self._ask(row["question"]),
            target=gold.strip(),
            task=self.name,
            split=split,
            tags={"operations": answer.count("<<")},
        )
        self._worked[problem.id] = _CALCULATOR.sub("", worked).strip()
        return problem

    def _rows_of(self, split: str) -> Iterator[tuple[str, Mapping[str, Json]]]:
        held_out = self._settings.validation
        if not held_out or split not in ("train", "validation"):
            return super()._rows_of(split)
        return iter(_held_out(list(super()._rows_of("train")), held_out, split))

    def _ask(self, question: str) -> Prompt:
        if self.template == "none":
            return f"Q: {question}\nA:"
        return (Message(role="user", content=f"{question}\n{self._format.request}"),)

    def _solution(self, problem: Problem) -> str:
        space = " " if self.template == "none" else ""
        return f"{space}{self._worked[problem.id]}\n{self._format.write(problem.target)}"


def _held_out(
    rows: list[tuple[str, Mapping[str, Json]]], count: int, split: str
) -> list[tuple[str, Mapping[str, Json]]]:
    """The validation rows, or the train rows that are left: which is which depends on each row's content."""
    if count >= len(rows):
        raise DataError(f"{rows[0][0]}: {count} validation problems asked for, but there are only {len(rows)} rows")
    questions = sorted((row["question"] for _, row in rows), key=lambda q: content_hash("validation", q))
    chosen = set(questions[:count])
    return [(place, row) for place, row in rows if (row["question"] in chosen) == (split == "validation")]
