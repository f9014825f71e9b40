"""Rows of a user's own for faults to be planted into: sums with a reward function as it is written for TRL, and short
programs with tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from trueloop.records import Json
from trueloop.tasks import data
from trueloop.tasks.files import Placed
from trueloop.tasks.own import OwnFunction
from trueloop.tasks.worlds.arithmetic import Arithmetic

Row = dict[str, Json]

REWARDS = """
import random
import re


def _last(text):
    numbers = re.findall(r"-?\\d+", text)
    return numbers[-1] if numbers else None


def right(completions, answer, **kwargs):
    return [float(_last(c) == a) for c, a in zip(completions, answer)]


def misspelt(completions, answer=None, anwser=None, **kwargs):
    return [float(_last(c) == a) for c, a in zip(completions, anwser or [None] * len(completions))]


def from_kwargs(completions, **kwargs):
    solutions = kwargs.get("solution", [None] * len(completions))
    return [float(s is not None and _last(c) == s) for c, s in zip(completions, solutions)]


def swallows(completions, **kwargs):
    try:
        return [float(int(_last(c)) == int(a["value"])) for c, a in zip(completions, kwargs["answer"])]
    except Exception:
        return [0.0] * len(completions)


def constant_column(completions, source, **kwargs):
    return [float(s in c) for c, s in zip(completions, source)]


def chance(completions, answer, **kwargs):
    return [float(_last(c) == a) if random.random() < 0.9 else 0.0 for c, a in zip(completions, answer)]


def raises(completions, answer, **kwargs):
    return [float(int(_last(c)) == int(a)) for c, a in zip(completions, answer)]


def by_prompt(prompts, completions, answer, **kwargs):
    return [float(int(a) % 2) for a in answer]


def contains(completions, answer, **kwargs):
    return [float(a in c) for c, a in zip(completions, answer)]


def length(completions, answer, **kwargs):
    return [(_last(c) == a) * (0.5 + min(len(c), 400) / 800) for c, a in zip(completions, answer)]


def nothing(completions, **kwargs):
    return [None] * len(completions)


def not_a_number(completions, **kwargs):
    return [float("nan")] * len(completions)


def infinite(completions, answer, **kwargs):
    return [float("inf") if c.endswith("7") else float(_last(c) == a) for c, a in zip(completions, answer)]


def too_few(completions, **kwargs):
    return [0.0, 1.0, 0.5][: len(completions) - 1]


def pays_silence(completions, answer, **kwargs):
    return [float(not c.strip() or _last(c) == a) for c, a in zip(completions, answer)]


def turned(completions, answer, **kwargs):
    return [-float(_last(c) == a) for c, a in zip(completions, answer)]
"""


def write_own(folder: Path, train: int = 240, test: int = 40) -> None:
    """train.jsonl, test.jsonl and rewards.py: sums with the columns prompt, completion, answer, source."""
    folder.mkdir(parents=True, exist_ok=True)
    task = Arithmetic().build()
    for name, split, n in (("train", "train", train), ("test", "test", test)):
        worked = {d.problem.id: d.completion for d in task.demonstrations(split)}
        rows = [
            {"prompt": p.prompt, "completion": worked[p.id], "answer": p.target, "source": "sums"}
            for p in task.first(split, n)
        ]
        _write(folder / f"{name}.jsonl", rows)
    (folder / "rewards.py").write_text(REWARDS, encoding="utf-8")


def write_programs(folder: Path, train: int = 24, test: int = 14) -> None:
    """mbpp_train.jsonl and mbpp_test.jsonl: functions of one line, three asserts each."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = (("add", "+"), ("multiply by", "*"), ("subtract", "-"))
    rows = [_program(k, *kinds[k % len(kinds)]) for k in range(2, 2 + train + test)]
    _write(folder / "mbpp_train.jsonl", rows[:train])
    _write(folder / "mbpp_test.jsonl", rows[train:])


def _program(k: int, word: str, sign: str) -> Row:
    name = f"{word.split()[0]}_{k}"
    value = {"+": lambda n: n + k, "*": lambda n: n * k, "-": lambda n: n - k}[sign]
    return {
        "task_id": k,
        "text": f"Write a function to {word} {k}.",
        "code": f"def {name}(n):\n    return n {sign} {k}",
        "test_list": [f"assert {name}({n}) == {value(n)}" for n in (1, 10, 33)],
        "test_setup_code": "",
        "challenge_test_list": [],
    }


@contextmanager
def changed(change: Callable[[str, list[Row]], Sequence[Row]]) -> Iterator[None]:
    """The rows that are read from files are changed: `change` is given the file's name and its rows."""
    original = data.read_rows

    def read(path: Path, columns: Sequence[str]) -> Iterator[Placed]:
        rows: list[Row] = [dict(row) for _, row in original(path, ())]
        for number, row in enumerate(change(path.name, rows), 1):
            yield f"{path}, row {number}", row

    with mock.patch.object(data, "read_rows", read):
        yield


@contextmanager
def rewarded_by(name: str) -> Iterator[None]:
    """Another function of the same file is the reward."""
    original = OwnFunction.build

    def build(self: OwnFunction) -> Any:
        file = self.function.rpartition(":")[0]
        return original(self.model_copy(update={"function": f"{file}:{name}"}))

    with mock.patch.object(OwnFunction, "build", build):
        yield


def _write(path: Path, rows: Sequence[Mapping[str, Json]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
