"""What a task is: one object that owns prompts, stops, limits, grading and splits.

Training, evaluation, SFT-set building and the grading of completions made elsewhere all ask the same object, so
they cannot disagree about a stop string or an answer format.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from trueloop.chat import Template
from trueloop.config import Config
from trueloop.errors import DataError
from trueloop.records import Json, Message, Problem, Prompt, Sampling, Score, content_hash
from trueloop.verify.base import Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """A problem with an answer worth imitating.  `completion` is text without the end token (chat.encode_completion
    adds it) and continues the prompt directly, a leading space included where the prompt needs one."""

    problem: Problem
    completion: str


class Task(ABC):
    """A set of problems and all that it takes to ask and grade them.

    A task gives `name`, `splits`, `stops`, `max_tokens`, `template` and `verifier`, makes problems of rows in
    `problem`, and loads its splits in `_load`; everything else follows.  Rows are loaded once a split; ids are unique,
    since a row that occurs again (the same prompt and target) is left out and counted.

    columns   what a row of the task's data must have for `problem`
    """

    name: str
    splits: tuple[str, ...]
    stops: tuple[str, ...] = ()
    max_tokens: int
    template: Template = "none"
    verifier: Verifier
    columns: ClassVar[tuple[str, ...]]
    shot_separator: ClassVar[str] = "\n\n"

    def __init__(self) -> None:
        self._rows: dict[str, tuple[Problem, ...]] = {}
        self._duplicates: dict[str, int] = {}

    @abstractmethod
    def problem(self, row: Mapping[str, Json], split: str) -> Problem:
        """The problem of a row that has `columns`.  Raises `DataError` for a row that none can be made of."""

    def grade(self, problem: Problem, text: str, leniency: float = 0.0) -> Score:
        """The verdict on a completion's text, in this process; a run grades through `verify.pool`, which can kill.

        `leniency` in [0, 1] is the reward of an answer that is right but not in the declared format.
        """
        return self.verifier(problem.target, text, leniency)

    @abstractmethod
    def _load(self, split: str) -> Iterable[Problem]:
        """The rows of a split, in the order of their source."""

    def demonstrations(self, split: str) -> Sequence[Demonstration]:
        """Answers to imitate, for SFT and few-shot prompts; empty where the task has none."""
        self._require_split(split)
        return ()

    def gold(self, problem: Problem) -> str | None:
        """A completion that is right and says nothing else, in the declared format, made of the target; None where the
        target is no answer."""
        return None

    def at_hand(self) -> tuple[str, ...]:
        """The splits that can be read here, without a network."""
        return self.splits

    def problems(self, split: str) -> Sequence[Problem]:
        """The rows of a split, each once.  Raises `DataError` for an unknown or empty split."""
        self._require_split(split)
        if split not in self._rows:
            rows = tuple(self._load(split))
            if not rows:
                raise DataError(f"task {self.name!r}: split {split!r} is empty")
            first = {p.id: p for p in reversed(rows)}
            self._rows[split] = tuple(p for p in rows if first[p.id] is p)
            self._duplicates[split] = len(rows) - len(first)
        return self._rows[split]

    def duplicates(self, split: str) -> int:
        """How many rows of a split were left out because the same prompt and target came before."""
        self.problems(split)
        return self._duplicates[split]

    def first(self, split: str, n: int | None = None) -> Sequence[Problem]:
        """`n` problems (None: all) in an order that depends on content alone, so that equal `n` means equal rows."""
        rows = sorted(self.problems(split), key=lambda p: content_hash("order", p.id))
        if n is not None and not 1 <= n <= len(rows):
            raise DataError(f"task {self.name!r}: {n} problems asked of split {split!r}, which has {len(rows)}")
        return rows[:n]

    def prompt(self, problem: Problem, shots: Sequence[Demonstration] = ()) -> Prompt:
        """What the model is shown: the shots as solved examples, or as earlier turns of the conversation, then the
        problem.  Raises `DataError` if a shot is the problem itself: it would show the answer."""
        if any(shot.problem.id == problem.id for shot in shots):
            raise DataError(f"problem {problem.id!r}: it is among its own few-shot examples; use few_shot(n, exclude)")
        if isinstance(problem.prompt, str):
            return "".join(f"{s.problem.prompt}{s.completion}{self.shot_separator}" for s in shots) + problem.prompt
        return tuple(m for shot in shots for m in _turns(shot)) + problem.prompt

    def few_shot(self, n: int, exclude: str | None = None) -> Sequence[Demonstration]:
        """`n` demonstrations of the first split, always the same ones; the problem with id `exclude` is passed over."""
        if n == 0:
            return ()
        found = [d for d in self._shots[: n + 1] if d.problem.id != exclude][:n]
        if len(found) < n:
            raise DataError(f"task {self.name!r}: {n} few-shot examples asked for, but it has {len(found)}")
        return found

    def data_hash(self, split: str) -> str:
        """A hash of the split's rows and demonstrations, their order left out: equal hash, equal data."""
        rows = sorted((p.id, content_hash(_plain(p.prompt), p.target, dict(p.tags))) for p in self.problems(split))
        return content_hash(self.name, rows, sorted((d.problem.id, d.completion) for d in self.demonstrations(split)))

    def sampling(self, *, temperature: float = 1.0, top_p: float = 1.0, top_k: int = 0) -> Sampling:
        """How to draw completions of this task: its own stops and limit, with the given distribution."""
        return Sampling(max_tokens=self.max_tokens, temperature=temperature, top_p=top_p, top_k=top_k, stop=self.stops)

    @cached_property
    def _shots(self) -> Sequence[Demonstration]:
        return sorted(self.demonstrations(self.splits[0]), key=lambda d: content_hash("shot", d.problem.id))

    def _require_split(self, split: str) -> None:
        if split not in self.splits:
            raise DataError(f"task {self.name!r}: no split {split!r}; it has {', '.join(self.splits)}")


class TaskSettings(Config, ABC):
    """Base of the configuration of a task; each has a literal `kind` that names it."""

    @abstractmethod
    def build(self) -> Task:
        """The task that these settings describe."""


def _turns(shot: Demonstration) -> tuple[Message, ...]:
    prompt = shot.problem.prompt
    asked = (Message(role="user", content=prompt),) if isinstance(prompt, str) else prompt
    return (*asked, Message(role="assistant", content=shot.completion))


def _plain(prompt: Prompt) -> Json:
    return prompt if isinstance(prompt, str) else [[m.role, m.content] for m in prompt]
