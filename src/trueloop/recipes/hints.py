"""Hints: what a prompt says beyond its problem, to a teacher or in demonstrations that teach how to read one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from string import Formatter
from typing import Annotated

from pydantic import Field, field_validator

from trueloop.config import Config
from trueloop.errors import DataError
from trueloop.records import Problem, content_hash
from trueloop.tasks.base import Demonstration

FIELDS = ("prompt", "target", "solution", "why")


class Hint(Config):
    """A prompt with the problem's own in it.

    template  text with {prompt}, the problem's prompt (of a conversation: its last message), and any of {target}, the
              answer; {solution}, the task's demonstration; {why}, what the verifier said of the completion
    """

    template: str

    @field_validator("template")
    @classmethod
    def _readable(cls, template: str) -> str:
        names = _names(template)
        unknown = sorted(names - set(FIELDS))
        if unknown:
            raise ValueError(f"{{{unknown[0]}}} is no field of a hint; there are {', '.join(FIELDS)}")
        if "prompt" not in names:
            raise ValueError("the hint does not show the problem; put {prompt} where it belongs")
        return template

    def uses(self, name: str) -> bool:
        """Whether a field is in the template."""
        return name in _names(self.template)

    def show(self, problem: Problem, *, solution: str | None = None, why: str | None = None) -> Problem:
        """The problem, under its own id, with the hint in its prompt.  Raises `DataError` for a field without value."""
        values = {"target": problem.target, "solution": solution, "why": why}
        for name, value in values.items():
            if value is None and self.uses(name):
                raise DataError(f"problem {problem.id!r}: the hint shows {{{name}}}, which it does not have here")
        if isinstance(problem.prompt, str):
            return replace(problem, prompt=self.template.format(prompt=problem.prompt, **values))
        *before, last = problem.prompt
        told = replace(last, content=self.template.format(prompt=last.content, **values))
        return replace(problem, prompt=(*before, told))


class Shown(Hint):
    """A hint in a share of the demonstrations; which ones depends on their content alone."""

    share: Annotated[float, Field(gt=0, le=1)]

    def among(self, demonstrations: Sequence[Demonstration]) -> list[Demonstration]:
        """The demonstrations, of which some now have the hint in their prompt."""
        return [self._maybe(d) for d in demonstrations]

    def _maybe(self, demonstration: Demonstration) -> Demonstration:
        problem = demonstration.problem
        if int(content_hash("hint", problem.id), 16) >= self.share * 2**64:
            return demonstration
        return replace(demonstration, problem=self.show(problem, solution=demonstration.completion))


def _names(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}
