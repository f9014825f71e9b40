"""Tulu 3's mixed training data: GSM8K, MATH and RLVR-IFEval in one (allenai/RLVR-GSM-MATH-IF-Mixed-Constraints,
arXiv:2411.15124).

Columns: `messages`, `ground_truth` (a number, LaTeX, or a JSON object of `func_name` and its arguments), `dataset`
("gsm8k", "MATH" or "ifeval"), `constraint_type`, `constraint`.  Worked examples stand in the rows' own prompts: eight
for gsm8k ("Question:", "Answer: ... So the answer is 6."), four for MATH, which end in a box.  A row of another data
set is unscorable.  One limit and one stop serve all kinds, since a task has one of each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from trueloop.chat import Template
from trueloop.records import Json, Message, Problem, Prompt
from trueloop.tasks.data import DataSettings, DataTask, HubData
from trueloop.tasks.instructions import RlvrIfeval
from trueloop.tasks.maths import BOXED
from trueloop.tasks.messages import conversation
from trueloop.verify.by_kind import ByKind
from trueloop.verify.instructions.base import InstructionVerifier
from trueloop.verify.maths import Maths
from trueloop.verify.numbers import FORMATS, Numbers

STOPS = ("\n\n\n",)
_SHOTS = 4
_EXAMPLE = re.compile(r"^(?=Question:)", re.MULTILINE)
_QUESTION, _ANSWER = (re.compile(rf"^{word}:", re.MULTILINE) for word in ("Question", "Answer"))


class GsmMathIf(DataSettings):
    """The mixed data from a folder with `gsm_math_if.jsonl`, or from the Hub: 29,946 rows.

    gsm8k     "short": the prompts of gsm8k rows are rewritten as lm-evaluation-harness's gsm8k_cot has them, with four
              of their examples, "Q:", "A:" and "The answer is"; "row": as they stand
    thinking  what of a response to instructions is judged: "dropped": what comes after its last `</think>`
    """

    kind: Literal["gsm_math_if"] = "gsm_math_if"
    template: Template = "none"
    max_tokens: int = Field(default=2048, ge=1)
    gsm8k: Literal["short", "row"] = "short"
    reward: Literal["fraction", "all"] = "all"
    thinking: Literal["judged", "dropped"] = "dropped"

    def build(self) -> GsmMathIfTask:
        """The task over these rows; they are read when the split is first asked for."""
        return GsmMathIfTask(self)


class GsmMathIfTask(DataTask):
    """Problems whose tag `kind` says where they are from: "gsm8k", "math" or "ifeval"."""

    name = "gsm_math_if"
    columns = ("messages", "ground_truth", "dataset")
    files: ClassVar = {"train": "gsm_math_if.jsonl"}
    hub = HubData(id="allenai/RLVR-GSM-MATH-IF-Mixed-Constraints", splits={"train": "train"})

    def __init__(self, settings: GsmMathIf) -> None:
        super().__init__(settings)
        self.template, self.max_tokens, self._short = settings.template, settings.max_tokens, settings.gsm8k == "short"
        self.stops = STOPS if settings.template == "none" else ()
        self._instructions = RlvrIfeval(template=settings.template).build()
        numbers = Numbers(
            declared="answer_is", others=("answer_is", "hash", "boxed", "answer_colon"), own_answer_only=True
        )
        followed = InstructionVerifier("rlvr_ifeval", reward=settings.reward, thinking=settings.thinking)
        self.verifier = ByKind(verifiers=(("gsm8k", numbers), ("math", Maths()), ("ifeval", followed)))

    def problem(self, row: Mapping[str, Json], split: str) -> Problem:
        """A problem of the row's kind; whether it can be judged shows when it is graded."""
        kind = row["dataset"].lower()
        prompt, target = conversation(row["messages"], self.template), row["ground_truth"]
        tags = {"kind": kind}
        if kind == "ifeval":
            asked = self._instructions.problem(row, split)
            target, tags = asked.target, {**tags, **asked.tags}
        elif kind == "gsm8k" and self._short:
            prompt = _shortened(prompt)
        return Problem.create(
            prompt=prompt, target={"kind": kind, "target": target}, task=self.name, split=split, tags=tags
        )

    def gold(self, problem: Problem) -> str | None:
        """The answer as its kind states it; None for instructions."""
        form = {"gsm8k": FORMATS["answer_is"].template, "math": BOXED}.get(str(problem.tags["kind"]))
        return None if form is None else form.format(answer=problem.target["target"])

    def shares(self, split: str) -> dict[str, float]:
        """The share of each kind among a split's problems."""
        counts = Counter(str(p.tags["kind"]) for p in self.problems(split))
        return {kind: count / counts.total() for kind, count in sorted(counts.items())}


def _shortened(prompt: Prompt) -> Prompt:
    if isinstance(prompt, str):
        return _as_cot(prompt)
    return (*prompt[:-1], Message(role="user", content=_as_cot(prompt[-1].content)))


def _as_cot(text: str) -> str:
    """The first four examples and the question, as gsm8k_cot labels them, open for the answer."""
    *examples, question = [part for part in _EXAMPLE.split(text) if part.strip()]
    kept = "".join([*examples[:_SHOTS], question]).strip()
    labelled = _ANSWER.sub("A:", _QUESTION.sub("Q:", kept)).replace("So the answer is", "The answer is")
    labelled = labelled if labelled.startswith("Q:") else f"Q: {labelled}"
    return labelled if labelled.endswith("\nA:") else f"{labelled}\nA:"
