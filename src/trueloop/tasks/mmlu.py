"""MMLU: questions of 57 subjects with four choices (arXiv:2009.03300), whole or as a slice that guards other skills.

Rows have the columns `question`, `subject`, `choices` (texts) and `answer` (the place of the right one from 0, or its
letter).  The prompt is the paper's: a line with the subject, the question, the choices by letter, `Answer:`; with
examples, the line stands once, and they are of the question's own subject.  The stop is the end of the line.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, zip_longest
from typing import ClassVar, Literal

from pydantic import Field

from trueloop.chat import Template
from trueloop.errors import DataError
from trueloop.records import Json, Message, Problem, Prompt, content_hash
from trueloop.tasks.base import Demonstration
from trueloop.tasks.data import DataSettings, DataTask, HubData
from trueloop.verify.choices import LETTERS, Choices

STOPS = ("\n", "Question:", "Q:")
_ABOUT = "The following are multiple choice questions (with answers) about {subject}.\n\n"
_ABOUT_AGAIN = re.compile(r"(?<=\n\n)The following are multiple choice questions \(with answers\) about [^\n]*\.\n\n")
_REQUEST = "Answer with the letter of the right choice alone."


class Mmlu(DataSettings):
    """MMLU from a folder with `mmlu_dev.jsonl`, `mmlu_validation.jsonl` and `mmlu_test.jsonl`, or from the Hub.

    size   rows of a split, spread evenly over the subjects and chosen by content, so that a smaller slice is part of a
           larger one; None for all.  The dev split, which gives the examples, is always whole
    """

    kind: Literal["mmlu"] = "mmlu"
    template: Template = "none"
    max_tokens: int = Field(default=32, ge=1)
    size: int | None = Field(default=None, ge=1)

    def build(self) -> MmluTask:
        """The task over these rows; they are read when a split is first asked for."""
        return MmluTask(self)


class MmluTask(DataTask):
    """Multiple-choice questions with the tag `subject`."""

    name = "mmlu"
    columns = ("question", "subject", "choices", "answer")
    files: ClassVar = {"dev": "mmlu_dev.jsonl", "validation": "mmlu_validation.jsonl", "test": "mmlu_test.jsonl"}
    hub = HubData(id="cais/mmlu", configs=("all",), splits={"dev": "dev", "validation": "validation", "test": "test"})

    def __init__(self, settings: Mmlu) -> None:
        super().__init__(settings)
        self.template, self.max_tokens, self._size = settings.template, settings.max_tokens, settings.size
        self.stops = STOPS if settings.template == "none" else ()
        self.verifier = Choices()
        self._subjects: dict[str, Json] = {}

    def problem(self, row: Mapping[str, Json], split: str) -> Problem:
        """A question.  Raises `DataError` where the answer is none of the choices."""
        subject, choices = row["subject"].replace("_", " ").strip(), [str(c) for c in row["choices"]]
        problem = Problem.create(
            prompt=self._ask(row["question"], subject, choices),
            target={"answer": _letter(row["answer"], choices), "choices": choices},
            task=self.name,
            split=split,
            tags={"subject": row["subject"]},
        )
        self._subjects[problem.id] = row["subject"]
        return problem

    def gold(self, problem: Problem) -> str:
        """The letter."""
        return str(problem.target["answer"])

    def demonstrations(self, split: str) -> Sequence[Demonstration]:
        """The questions with the letters of their answers."""
        space = " " if self.template == "none" else ""
        return [Demonstration(problem=p, completion=space + p.target["answer"]) for p in self.problems(split)]

    def few_shot(self, n: int, exclude: str | None = None) -> Sequence[Demonstration]:
        """`n` examples of the dev split, of the subject of the problem with id `exclude` where it is known."""
        if n == 0 or exclude not in self._subjects:
            return super().few_shot(n, exclude)
        subject = self._subjects[exclude]
        found = [d for d in self.demonstrations("dev") if d.problem.tags["subject"] == subject]
        shots = [d for d in found if d.problem.id != exclude][:n]
        if len(shots) < n:
            raise DataError(f"task 'mmlu': {n} few-shot examples asked for, but {subject} has {len(shots)}")
        return shots

    def prompt(self, problem: Problem, shots: Sequence[Demonstration] = ()) -> Prompt:
        """See `Task.prompt`; the line with the subject stands once."""
        asked = super().prompt(problem, shots)
        return _ABOUT_AGAIN.sub("", asked) if shots and isinstance(asked, str) else asked

    def _load(self, split: str) -> Iterable[Problem]:
        rows = super()._load(split)
        return rows if self._size is None or split == self.splits[0] else _spread(rows, self._size)

    def _ask(self, question: str, subject: str, choices: Sequence[str]) -> Prompt:
        lettered = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
        asked = f"{question.strip()}\n{lettered}\n"
        if self.template == "none":
            return f"{_ABOUT.format(subject=subject)}{asked}Answer:"
        return (Message(role="user", content=f"{asked}{_REQUEST}"),)


def _letter(answer: Json, choices: Sequence[str]) -> str:
    letters = LETTERS[: len(choices)]
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(letters):
        return letters[answer]
    if isinstance(answer, str) and len(answer) == 1 and answer in letters:
        return answer
    raise DataError(f"answer {answer!r} is none of {len(choices)} choices; expected a place from 0 or a letter")


def _spread(rows: Iterable[Problem], size: int) -> list[Problem]:
    """`size` problems, in turn one of each subject, in an order that depends on content alone."""
    subjects: dict[Json, dict[str, Problem]] = defaultdict(dict)
    for problem in rows:
        subjects[problem.tags["subject"]][content_hash("slice", problem.id)] = problem
    if (total := sum(map(len, subjects.values()))) < size:
        raise DataError(f"{size} rows of MMLU asked for, but there are only {total}")
    queues = [[found[key] for key in sorted(found)] for _, found in sorted(subjects.items(), key=_mixed)]
    turns = (problem for turn in zip_longest(*queues) for problem in turn if problem is not None)
    return list(islice(turns, size))


def _mixed(entry: tuple[Json, object]) -> str:
    return content_hash("slice", entry[0])
