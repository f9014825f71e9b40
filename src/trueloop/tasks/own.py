"""Tasks of a user's own: rows in the user's files, judged by the user's verifier, or an environment of the package
`verifiers`.  Nothing has to be written but the rows and the function that judges; the rest is configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from trueloop.chat import Template
from trueloop.config import Config
from trueloop.errors import DataError
from trueloop.records import Json, Message, Problem, Prompt
from trueloop.tasks.base import Demonstration, Task, TaskSettings
from trueloop.tasks.data import DataSettings, DataTask
from trueloop.tasks.maths import BOXED
from trueloop.verify import composite, environments, functions, judge
from trueloop.verify.base import Verifier
from trueloop.verify.maths import Maths
from trueloop.verify.numbers import FORMATS, FormatName, Numbers


class OwnFunction(Config):
    """A function of yours; see `verify.functions.Function`."""

    kind: Literal["function"] = "function"
    function: str
    style: Literal["plain", "trl"] = "plain"
    passes_at: float = 1.0
    limit_s: float = Field(default=30.0, gt=0)

    def build(self) -> Verifier:
        """The verifier; the function is looked for now, so that a misspelt name is told before anything runs."""
        functions.load(self.function)
        return functions.Function(
            function=self.function, style=self.style, passes_at=self.passes_at, limit_s=self.limit_s
        )


class OwnNumbers(Config):
    """The number in `column`; see `verify.numbers.Numbers`."""

    kind: Literal["numbers"] = "numbers"
    column: str = "answer"
    declared: FormatName = "hash"
    others: tuple[FormatName, ...] = ("answer_is", "boxed", "answer_colon")
    own_answer_only: bool = True

    def build(self) -> Verifier:
        """The verifier."""
        numbers = Numbers(declared=self.declared, others=self.others, own_answer_only=self.own_answer_only)
        return composite.OfColumn(verifier=numbers, column=self.column)


class OwnMaths(Config):
    """The expression in `column`; see `verify.maths.Maths`."""

    kind: Literal["maths"] = "maths"
    column: str = "answer"

    def build(self) -> Verifier:
        """The verifier."""
        return composite.OfColumn(verifier=Maths(), column=self.column)


class OwnPattern(Config):
    """A regular expression that the whole text must match."""

    kind: Literal["pattern"] = "pattern"
    pattern: str

    def build(self) -> Verifier:
        """The verifier."""
        return composite.Pattern(pattern=self.pattern)


class OwnLength(Config):
    """Bounds on the number of words."""

    kind: Literal["length"] = "length"
    least: int = Field(default=1, ge=0)
    most: int | None = None

    def build(self) -> Verifier:
        """The verifier."""
        return composite.Length(least=self.least, most=self.most)


class OwnJudge(Config):
    """A language model's score; see `verify.judge.ScoringJudge`."""

    kind: Literal["judge"] = "judge"
    url: str
    model: str
    key_env: str = ""
    template: str = judge.SCORE_TEMPLATE
    low: float = 0.0
    high: float = 10.0
    passes_at: float = 0.5
    max_tokens: int = Field(default=1024, ge=1)
    limit_s: float = Field(default=120.0, gt=0)

    def build(self) -> Verifier:
        """The verifier."""
        return judge.ScoringJudge(**self.model_dump(exclude={"kind"}))


class OwnPairJudge(Config):
    """A language model's preference over a reference answer; see `verify.judge.PairwiseJudge`."""

    kind: Literal["pair_judge"] = "pair_judge"
    url: str
    model: str
    key_env: str = ""
    template: str = judge.PAIR_TEMPLATE
    reference: str = "answer"
    passes_at: float = 0.5
    max_tokens: int = Field(default=1024, ge=1)
    limit_s: float = Field(default=120.0, gt=0)

    def build(self) -> Verifier:
        """The verifier."""
        return judge.PairwiseJudge(**self.model_dump(exclude={"kind"}))


Single = Annotated[
    OwnFunction | OwnNumbers | OwnMaths | OwnPattern | OwnLength | OwnJudge | OwnPairJudge, Field(discriminator="kind")
]


class OwnPart(Config):
    """A part of a composite: its name, what its reward counts (0: looked at only), and what judges it."""

    name: str
    weight: float = 1.0
    verifier: Single


class OwnComposite(Config):
    """A weighted sum of named parts, the first of which says what passed; see `verify.composite.Composite`."""

    kind: Literal["composite"] = "composite"
    parts: tuple[OwnPart, ...] = Field(min_length=1)

    def build(self) -> Verifier:
        """The verifier."""
        parts = [composite.Part(name=p.name, weight=p.weight, verifier=p.verifier.build()) for p in self.parts]
        return composite.Composite(parts=tuple(parts))


AnyVerifier = Annotated[
    OwnFunction | OwnNumbers | OwnMaths | OwnPattern | OwnLength | OwnJudge | OwnPairJudge | OwnComposite,
    Field(discriminator="kind"),
]


class Own(DataSettings):
    """Rows of your own.

    name        what the task is called in runs and evaluations
    prompt      the column with the prompt: a text, or a list of messages with role and content
    completion  the column with an answer to imitate; empty where there is none
    verifier    judges a completion; it sees the other columns too.  None: rows to imitate only, such as those that
                `trueloop sft-set` writes; nothing can be scored on them
    """

    kind: Literal["own"] = "own"
    name: str = "own"
    prompt: str = "prompt"
    completion: str = ""
    verifier: AnyVerifier | None = None
    stops: tuple[str, ...] = ()
    template: Template = "none"
    max_tokens: int = Field(default=512, ge=1)

    def build(self) -> OwnTask:
        """The task over these rows."""
        return OwnTask(self)


class OwnTask(DataTask):
    """The rows of a user's files.  The target is {"prompt": ..., "row": {...}}, for verifiers only."""

    files: ClassVar[Mapping[str, str]] = {"train": "train.jsonl", "test": "test.jsonl"}

    def __init__(self, settings: Own) -> None:
        super().__init__(settings)
        if settings.files:
            self._names, self.splits = dict(settings.files), tuple(settings.files)
        self._settings = settings
        self.name, self.stops = settings.name, settings.stops
        self.template, self.max_tokens = settings.template, settings.max_tokens
        self.columns = (settings.prompt, *([settings.completion] if settings.completion else []))  # type: ignore[misc]
        self.verifier = settings.verifier.build() if settings.verifier else composite.Unjudged()
        self._answers: dict[str, str] = {}

    def problem(self, row: Mapping[str, Json], split: str) -> Problem:
        """The row's prompt, and all of the row for the verifier."""
        asked = row[self._settings.prompt]
        others = {k: v for k, v in row.items() if k not in (self._settings.prompt, "completion")}
        target = {"prompt": asked, "row": others}
        problem = Problem.create(prompt=self._ask(asked), target=target, task=self.name, split=split)
        if self._settings.completion:
            self._answers[problem.id] = str(row[self._settings.completion])
        return problem

    def gold(self, problem: Problem) -> str | None:
        """The answer's column in the format that the verifier declares, else the completion to imitate."""
        verifier = self._settings.verifier
        first = verifier.parts[0].verifier if isinstance(verifier, OwnComposite) else verifier
        if isinstance(first, OwnNumbers | OwnMaths) and first.column in (row := problem.target["row"]):
            form = BOXED if isinstance(first, OwnMaths) else FORMATS[first.declared].template
            return form.format(answer=row[first.column])
        return self._answers.get(problem.id)

    def demonstrations(self, split: str) -> list[Demonstration]:
        """The rows' own answers, where they have some."""
        problems = self.problems(split)
        if not self._settings.completion:
            return []
        return [Demonstration(problem=p, completion=self._answers[p.id]) for p in problems]

    def _ask(self, asked: Json) -> Prompt:
        if isinstance(asked, str):
            return asked if self.template == "none" else (Message(role="user", content=asked),)
        if self.template == "none":
            raise DataError(f"column {self._settings.prompt!r} holds messages; set template to 'chat'")
        return tuple(Message(role=m["role"], content=m["content"]) for m in asked)


class Taskset(TaskSettings):
    """A taskset of the package `verifiers`; see `verify.environments.Environment`.

    taskset   its id: the name of an installed module
    settings  its configuration, as JSON text
    most      tasks that are read of it
    """

    kind: Literal["environment"] = "environment"
    taskset: str
    settings: str = "{}"
    most: int = Field(default=100_000, ge=1)
    passes_at: float = 1.0
    template: Template = "chat"
    max_tokens: int = Field(default=1024, ge=1)
    limit_s: float = Field(default=60.0, gt=0)

    def build(self) -> TasksetTask:
        """The task over the taskset's tasks."""
        return TasksetTask(self)


class TasksetTask(Task):
    """Single-turn tasks of a taskset, all in the split "train", as the package knows no splits."""

    splits = ("train",)
    columns = ("index",)

    def __init__(self, settings: Taskset) -> None:
        super().__init__()
        self._settings = settings
        self.name, self.template, self.max_tokens = settings.taskset, settings.template, settings.max_tokens
        self.verifier = environments.Environment(
            taskset=settings.taskset,
            settings=settings.settings,
            most=settings.most,
            passes_at=settings.passes_at,
            limit_s=settings.limit_s,
        )

    def problem(self, row: Mapping[str, Json], split: str) -> Problem:
        """The task with the row's `index` in the taskset."""
        tasks = environments.open_tasks(self._settings.taskset, self._settings.settings, self._settings.most)
        if not 0 <= row["index"] < len(tasks):
            raise DataError(f"taskset {self.name!r} has {len(tasks)} tasks, none with the index {row['index']}")
        task = tasks[row["index"]]
        turns = tuple(Message(role=role, content=content) for role, content in environments.prompt_of(task))
        prompt: Prompt = turns if self.template == "chat" else "\n\n".join(turn.content for turn in turns)
        target = {"index": row["index"], "key": task.key}
        return Problem.create(prompt=prompt, target=target, task=self.name, split=split)

    def _load(self, split: str) -> Iterator[Problem]:
        tasks = environments.open_tasks(self._settings.taskset, self._settings.settings, self._settings.most)
        for index in range(len(tasks)):
            yield self.problem({"index": index}, split)
