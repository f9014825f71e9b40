"""Which columns of a user's rows a user's reward reads: what its verifiers name, what its function's source says."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from trueloop.tasks.base import Task
from trueloop.tasks.own import OwnTask
from trueloop.verify.base import Verifier
from trueloop.verify.composite import Composite, OfColumn
from trueloop.verify.functions import Function, load
from trueloop.verify.judge import PairwiseJudge

GIVEN = {"prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric", "self", "prompt"}
"""What a reward function written for TRL is given besides columns; the prompt is there in other ways too."""


def columns_read(task: Task) -> list[str]:
    """The columns, as far as they can be told, in order; none for tasks that are not of a user's own."""
    return list(dict.fromkeys(_read(task.verifier))) if isinstance(task, OwnTask) else []


def _read(verifier: Verifier) -> Iterator[str]:
    if isinstance(verifier, Composite):
        for part in verifier.parts:
            yield from _read(part.verifier)
    if isinstance(verifier, OfColumn):
        yield verifier.column
    if isinstance(verifier, PairwiseJudge):
        yield verifier.reference
    if isinstance(verifier, Function):
        yield from (name for name in function_columns(verifier.function, verifier.style) if name not in GIVEN)


def function_columns(name: str, style: str) -> list[str]:
    """Columns that the function of this name reads: for TRL its parameters and what it takes from its **kwargs by a
    constant name; else what it takes from its second parameter so.  Helpers that it hands these to are followed."""
    function = inspect.unwrap(load(name))
    source = inspect.getsourcefile(function)
    if source is None:
        return []
    tree = ast.parse(Path(source).read_text(encoding="utf-8"))
    defined = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    node = defined.get(getattr(function, "__name__", ""))
    if node is None:
        return []
    arguments = node.args
    plain = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    if style == "trl":
        bag = arguments.kwarg.arg if arguments.kwarg else None
        return [*plain, *(_taken(node, bag, defined) if bag else [])]
    return list(_taken(node, plain[1], defined)) if len(plain) > 1 else []


Functions = dict[str, ast.FunctionDef | ast.AsyncFunctionDef]


def _taken(node: ast.FunctionDef | ast.AsyncFunctionDef, bag: str, defined: Functions, depth: int = 3) -> Iterator[str]:
    """Constant keys that a function takes from the mapping `bag`: bag["x"], bag.get("x"), "x" in bag aside."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Subscript) and _is(inner.value, bag):
            yield from _constant(inner.slice)
        if isinstance(inner, ast.Call):
            function = inner.func
            reads = isinstance(function, ast.Attribute) and function.attr in ("get", "pop") and _is(function.value, bag)
            if reads and inner.args:
                yield from _constant(inner.args[0])
            elif isinstance(function, ast.Name) and function.id in defined and depth:
                yield from _handed(inner, defined[function.id], bag, defined, depth - 1)


def _handed(
    call: ast.Call, to: ast.FunctionDef | ast.AsyncFunctionDef, bag: str, defined: Functions, depth: int
) -> Iterator[str]:
    parameters = [a.arg for a in (*to.args.posonlyargs, *to.args.args)]
    for place, argument in enumerate(call.args[: len(parameters)]):
        if _is(argument, bag):
            yield from _taken(to, parameters[place], defined, depth)
    for keyword in call.keywords:
        if keyword.arg is None and _is(keyword.value, bag) and to.args.kwarg is not None:
            yield from _taken(to, to.args.kwarg.arg, defined, depth)


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _constant(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
