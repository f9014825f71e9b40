"""What tasks whose answers are programs have in common: settings, the verifier, prompts for chat, demonstrations."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from trueloop.chat import Template
from trueloop.errors import DataError
from trueloop.records import Message, Problem, Prompt
from trueloop.tasks.base import Demonstration
from trueloop.tasks.data import DataSettings, DataTask
from trueloop.verify.programs.verifier import Programs


class ProgramSettings(DataSettings):
    """Settings of every task whose answers are programs.

    cpu_s      seconds of CPU time for all tests of a problem together
    memory_mb  memory of the program
    reward     "all": 1 where every test passes, else 0; "fraction": the fraction of tests that pass
    """

    template: Template = "none"
    max_tokens: int = Field(default=512, ge=1)
    cpu_s: float = Field(default=10.0, gt=0)
    memory_mb: int = Field(default=1024, ge=64)
    reward: Literal["all", "fraction"] = "all"


class ProgramTask(DataTask):
    """A task whose answers are programs.

    A subclass's `problem` calls `_remember` with the row's own solution, where it has one, as the answer to imitate.
    """

    slowest: float = 1.0

    def __init__(self, settings: ProgramSettings) -> None:
        super().__init__(settings)
        self.template = settings.template
        self.max_tokens = settings.max_tokens
        self.verifier = Programs(
            cpu_s=settings.cpu_s, memory_mb=settings.memory_mb, reward=settings.reward, slowest=self.slowest
        )
        self._solutions: dict[str, str] = {}

    def gold(self, problem: Problem) -> str | None:
        """The data set's own solution, where the row has one."""
        solution = self._solutions.get(problem.id)
        return None if solution is None else self._written(problem, solution)

    def demonstrations(self, split: str) -> Sequence[Demonstration]:
        """The data set's own solutions, as the format of the prompt wants them; problems without one are left out."""
        problems = [p for p in self.problems(split) if p.id in self._solutions]
        return [Demonstration(problem=p, completion=self._written(p, self._solutions[p.id])) for p in problems]

    def _remember(self, problem: Problem, solution: str) -> Problem:
        if solution.strip():
            self._solutions[problem.id] = plain_lines(solution).strip("\n")
        return problem

    def _written(self, problem: Problem, solution: str) -> str:
        """A solution as a completion of the problem's prompt."""
        return fenced(solution) if self.template == "chat" else solution


def fenced(code: str) -> str:
    """Code as a chat model gives it."""
    return f"```python\n{code.strip(chr(10))}\n```"


def asked(text: str) -> Prompt:
    """A user's message."""
    return (Message(role="user", content=text),)


def plain_lines(text: str) -> str:
    """Text with Python's line ends (MBPP has Windows')."""
    return text.replace("\r\n", "\n")


def statements(source: str) -> list[str]:
    """The source of each statement at the top level."""
    tree = parsed_tests(source)
    return [ast.get_source_segment(source, node) or ast.unparse(node) for node in tree.body]


def parsed_tests(source: str) -> ast.Module:
    """The syntax tree of a row's tests.  Raises `DataError` if they are no Python."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise DataError(f"tests that are no Python ({error}): {source[:80]!r}") from error


def check_units(source: str, entry: str) -> list[str]:
    """The tests of a `check(candidate)` function, one for each of its asserts or loops.

    entry  the expression that is checked: a function's name, or `Solution().method`

    Each unit runs after the imports and assignments that stand before it, so that it can be run alone.
    """
    tree = parsed_tests(source)
    check = next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "check"), None)
    if check is None:
        raise DataError(f"tests without a function check(candidate): {source[:80]!r}")
    before = [n for n in tree.body if n is not check] + [_assign(check.args.args[0].arg, entry)]
    units: list[str] = []
    for node in check.body:
        if isinstance(node, ast.Assert | ast.For | ast.While | ast.Try | ast.With | ast.If):
            if not _is_true(node):
                units.append(ast.unparse(ast.Module(body=[*before, node], type_ignores=[])))
        else:
            before.append(node)
    return units


def _assign(name: str, expression: str) -> ast.stmt:
    return ast.parse(f"{name} = {expression}").body[0]


def _is_true(node: ast.stmt) -> bool:
    """Whether it is `assert True`, which HumanEval has in places and which tests nothing."""
    return isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant) and bool(node.test.value)


def called_names(tests: Sequence[str], code: str) -> list[str]:
    """Names that `code` defines at its top level and the tests use, in the order in which the tests use them."""
    tree = parsed_tests(plain_lines(code))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = {node.name for node in tree.body if isinstance(node, kinds)}
    defined |= {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    found: dict[str, None] = {}
    for test in tests:
        for node in ast.walk(parsed_tests(test)):
            if isinstance(node, ast.Name) and node.id in defined:
                found.setdefault(node.id)
    return list(found)
