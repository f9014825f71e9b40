r"""Competition mathematics: MATH (arXiv:2103.03874), MATH-500, AIME, BeyondAIME and DeepScaleR.

Without a template the prompt is `Problem:\n{problem}\n\nSolution:`, and the stops end the answer where a base model
begins a next problem; a chat model gets the problem and is asked for \boxed{}.  Answers are graded by `verify.maths`.
The gold answer is the column `answer`, or the last \boxed{} of the column `solution`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from trueloop.chat import Template
from trueloop.errors import DataError
from trueloop.records import Json, Message, Problem, Prompt
from trueloop.tasks.base import Demonstration
from trueloop.tasks.data import DataSettings, DataTask, HubData
from trueloop.verify.maths import Maths, last_box

BOXED = r"\boxed{{{answer}}}"
STOPS = ("Problem:", "\n\n\n")
REQUEST = r"Please reason step by step, and put your final answer within \boxed{}."
SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)
_REQUESTED = re.compile(r"\s*Please reason step by step,? and put your final answer within \\boxed\{\}\.?\s*$")
_YEAR = re.compile(r"(?<!\d)(19[89]\d|20\d\d)(?!\d)")


class MathsSettings(DataSettings):
    """What the mathematical tasks have in common."""

    template: Template = "none"
    max_tokens: int = Field(default=1024, ge=1)


class MathsTask(DataTask):
    """Problems with one final answer, in LaTeX."""

    columns = ("problem",)

    def __init__(self, settings: MathsSettings) -> None:
        super().__init__(settings)
        self.template = settings.template
        self.max_tokens = settings.max_tokens
        self.stops = STOPS if settings.template == "none" else ()
        self.verifier = Maths()
        self._solutions: dict[str, str] = {}

    def problem(self, row: Mapping[str, Json], split: str) -> Problem:
        """A problem; `DataError` where the row has neither an answer nor a solution with a box."""
        question = _REQUESTED.sub("", row["problem"]).strip()
        problem = Problem.create(
            prompt=self.ask(question), target=gold_answer(row), task=self.name, split=split, tags=tags(row)
        )
        if isinstance(solution := row.get("solution"), str) and last_box(solution):
            self._solutions[problem.id] = solution.strip()
        return problem

    def ask(self, question: str) -> Prompt:
        """The prompt of a question that does not yet ask for a format."""
        if self.template == "none":
            return f"Problem:\n{question}\n\nSolution:"
        return (Message(role="user", content=f"{question}\n{REQUEST}"),)

    def gold(self, problem: Problem) -> str | None:
        """The answer in a box; None where the row has none."""
        return BOXED.format(answer=problem.target) if problem.target else None

    def demonstrations(self, split: str) -> Sequence[Demonstration]:
        r"""The worked solutions of the rows that come with one that ends in \boxed{}."""
        space = " " if self.template == "none" else ""
        problems = self.problems(split)
        return [
            Demonstration(problem=p, completion=f"{space}{self._solutions[p.id]}")
            for p in problems
            if p.id in self._solutions
        ]


def gold_answer(row: Mapping[str, Json]) -> str:
    r"""The column `answer`, or the last \boxed{} of `solution`; empty, and so unscorable, where the box is."""
    if (answer := row.get("answer")) is not None:
        return str(answer).strip()
    solution = row.get("solution")
    if isinstance(solution, str) and (box := last_box(solution)) is not None:
        return box
    raise DataError(
        f"{row['problem'][:60]!r} has no column 'answer', and no \\boxed{{}} in a column 'solution'; "
        f"it has {', '.join(row)}"
    )


def tags(row: Mapping[str, Json]) -> dict[str, Json]:
    """Level (1 to 5), subject (one of `SUBJECTS` for MATH), year, and the row's id at its source, where it has them."""
    found: dict[str, Any] = {}
    if (digits := re.sub(r"\D", "", str(row.get("level", "")))) != "":
        found["level"] = int(digits)
    if subject := row.get("subject") or row.get("type"):
        found["subject"] = subject_name(subject)
    source = row.get("unique_id", row.get("id"))
    if source is not None:
        found["source_id"] = source
    if year := _YEAR.search(str(row.get("url") or row.get("year") or "")):
        found["year"] = int(year[1])
    return found


def subject_name(text: str) -> str:
    """One spelling of a subject: "Counting & Probability" and "counting_and_probability" are the same."""
    return re.sub(r"\W+", "_", text.replace("&", " and ").strip().lower())


class Math(MathsSettings):
    """MATH: 7 subjects, 5 levels; from a folder with `math_train.jsonl` and `math_test.jsonl`, or the Hub."""

    kind: Literal["math"] = "math"

    def build(self) -> MathTask:
        """The task over these rows."""
        return MathTask(self)


class MathTask(MathsTask):
    """See `Math`."""

    name = "math"
    files: ClassVar = {"train": "math_train.jsonl", "test": "math_test.jsonl"}
    hub = HubData(id="EleutherAI/hendrycks_math", configs=SUBJECTS, splits={"train": "train", "test": "test"})


class Math500(MathsSettings):
    """MATH-500: 500 problems of MATH's test split (arXiv:2305.20050)."""

    kind: Literal["math500"] = "math500"

    def build(self) -> Math500Task:
        """The task over these rows."""
        return Math500Task(self)


class Math500Task(MathsTask):
    """See `Math500`."""

    name = "math500"
    files: ClassVar = {"test": "math500.jsonl"}
    hub = HubData(id="HuggingFaceH4/MATH-500", splits={"test": "test"})


class Aime(MathsSettings):
    """AIME: the 30 problems of a year from files, a split each; the 90 of 2022 to 2024 from the Hub, in one split."""

    kind: Literal["aime"] = "aime"

    def build(self) -> AimeTask:
        """The task over these rows."""
        return AimeTask(self)


class AimeTask(MathsTask):
    """See `Aime`."""

    name = "aime"
    files: ClassVar = {"2024": "aime24.jsonl", "2025": "aime25.jsonl"}
    hub = HubData(id="AI-MO/aimo-validation-aime", splits={"2022-2024": "train"})

    def problem(self, row: Mapping[str, Json], split: str) -> Problem:
        """A problem, its year from the row, else from its split."""
        year = {} if "-" in split or "url" in row else {"year": split}
        return super().problem({**row, **year}, split)


class BeyondAime(MathsSettings):
    """BeyondAIME: 100 problems harder than AIME, with integer answers (arXiv:2504.13914)."""

    kind: Literal["beyond_aime"] = "beyond_aime"

    def build(self) -> BeyondAimeTask:
        """The task over these rows."""
        return BeyondAimeTask(self)


class BeyondAimeTask(MathsTask):
    """See `BeyondAime`."""

    name = "beyond_aime"
    files: ClassVar = {"test": "beyond_aime.jsonl"}
    hub = HubData(id="ByteDance-Seed/BeyondAIME", splits={"test": "test"})


class DeepScaler(MathsSettings):
    """DeepScaleR-Preview: 40,315 competition problems to train on."""

    kind: Literal["deepscaler"] = "deepscaler"

    def build(self) -> DeepScalerTask:
        """The task over these rows."""
        return DeepScalerTask(self)


class DeepScalerTask(MathsTask):
    """See `DeepScaler`."""

    name = "deepscaler"
    files: ClassVar = {"train": "deepscaler.jsonl"}
    hub = HubData(id="agentica-org/DeepScaleR-Preview-Dataset", splits={"train": "train"})
