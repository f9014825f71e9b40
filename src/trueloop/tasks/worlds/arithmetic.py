"""The world `arithmetic`: sums worked out column by column, small enough to be learned from scratch on a CPU.

    Q: 37+48=?
    A: 7+8=15 carry 1, 3+4+1=8. The answer is 85.

Every sum of two numbers of the range is a problem.  The splits are disjoint also up to the order of the two numbers:
48+37 is never held out when 37+48 is trained.  Demonstrations end in several answer formats, so a model that learned
from them answers in several, while one of them alone is strictly right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, zip_longest
from typing import Literal

from pydantic import Field, model_validator

from trueloop.records import Json, Problem, content_hash
from trueloop.tasks.base import Demonstration, Task, TaskSettings
from trueloop.verify.numbers import FORMATS, Numbers

AnswerFormat = Literal["answer_is", "hash", "equals"]
_FORMATS: tuple[AnswerFormat, ...] = ("answer_is", "hash", "equals")
_MOST_PROBLEMS = 250_000


class Arithmetic(TaskSettings):
    """Sums a+b=? with lowest <= a, b <= highest.

    held_out        share of all problems in the validation split, and again in the test split
    answer_format   the format that counts as strictly right
    shares          how often demonstrations end in each format; they sum to 1
    """

    kind: Literal["arithmetic"] = "arithmetic"
    lowest: int = Field(default=10, ge=0)
    highest: int = Field(default=99, ge=1)
    held_out: float = Field(default=0.06, gt=0, lt=0.5)
    answer_format: AnswerFormat = "answer_is"
    shares: dict[AnswerFormat, float] = Field(default={"hash": 0.4, "answer_is": 0.35, "equals": 0.25})
    max_tokens: int = Field(default=64, ge=1)

    @model_validator(mode="after")
    def _possible(self) -> Arithmetic:
        if self.lowest >= self.highest:
            raise ValueError(f"highest must be above lowest, got {self.lowest} and {self.highest}")
        if (self.highest - self.lowest + 1) ** 2 > _MOST_PROBLEMS:
            raise ValueError(f"{self.lowest} to {self.highest} gives more than {_MOST_PROBLEMS} problems")
        if abs(sum(self.shares.values()) - 1) > 1e-9 or min(self.shares.values()) < 0:
            raise ValueError(f"shares must not be negative and must sum to 1, got {self.shares}")
        return self

    def build(self) -> ArithmeticTask:
        """The task."""
        return ArithmeticTask(self)


class ArithmeticTask(Task):
    """Sums with worked answers."""

    name = "arithmetic"
    splits = ("train", "validation", "test")
    stops = ("\n",)
    columns = ("a", "b")
    shot_separator = "\n"

    def __init__(self, settings: Arithmetic) -> None:
        super().__init__()
        self._settings = settings
        self._demonstrated: dict[str, Sequence[Demonstration]] = {}
        self.max_tokens = settings.max_tokens
        self.verifier = Numbers(declared=settings.answer_format, others=_FORMATS)

    def problem(self, row: Mapping[str, Json], split: str) -> Problem:
        """The sum of the whole numbers `a` and `b`."""
        a, b = row["a"], row["b"]
        return Problem.create(
            prompt=f"Q: {a}+{b}=?\nA: ",
            target=str(a + b),
            task=self.name,
            split=split,
            tags={"a": a, "b": b, "carries": _worked(a, b).count("carry")},
        )

    def gold(self, problem: Problem) -> str:
        """The sum in the declared format."""
        return FORMATS[self._settings.answer_format].write(problem.target)

    def demonstrations(self, split: str) -> Sequence[Demonstration]:
        """One worked answer for each problem; its format depends on the problem's content, in the shares set."""
        if split not in self._demonstrated:
            rows = self.problems(split)
            self._demonstrated[split] = tuple(Demonstration(problem=p, completion=self._solution(p)) for p in rows)
        return self._demonstrated[split]

    def _load(self, split: str) -> Iterator[Problem]:
        for a, b in self._pairs[split]:
            yield self.problem({"a": a, "b": b}, split)

    @cached_property
    def _pairs(self) -> dict[str, list[tuple[int, int]]]:
        numbers = range(self._settings.lowest, self._settings.highest + 1)
        splits: dict[str, list[tuple[int, int]]] = {name: [] for name in self.splits}
        for a in numbers:
            for b in numbers:
                splits[self._split(a, b)].append((a, b))
        return splits

    def _split(self, a: int, b: int) -> str:
        at, share = _fraction("split", min(a, b), max(a, b)), self._settings.held_out
        return "test" if at < share else "validation" if at < 2 * share else "train"

    def _solution(self, problem: Problem) -> str:
        shares = self._settings.shares
        at = _fraction("format", problem.id)
        limits = zip(shares, accumulate(shares.values()), strict=True)
        name = next((name for name, limit in limits if at < limit), self._settings.answer_format)
        return f"{_worked(problem.tags['a'], problem.tags['b'])} {FORMATS[name].write(problem.target)}"


def _worked(a: int, b: int) -> str:
    """The columns from the right: `7+8=15 carry 1, 3+4+1=8.`"""
    carry, columns = 0, []
    for x, y in zip_longest(reversed(str(a)), reversed(str(b))):
        digits = [int(d) for d in (x, y) if d is not None] + [1] * carry
        carry = int(sum(digits) > 9)
        columns.append(f"{'+'.join(map(str, digits))}={sum(digits)}" + " carry 1" * carry)
    return ", ".join(columns).removesuffix(" carry 1") + "."


def _fraction(*parts: Json) -> float:
    """A number in [0, 1) that depends on the content of `parts` alone."""
    return int(content_hash("arithmetic", *parts), 16) / 2**64
