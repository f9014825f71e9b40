"""Which columns a reward reads."""

from pathlib import Path

import pytest

from trueloop.preflight.columns import columns_read, function_columns
from trueloop.tasks.own import Own, OwnFunction, OwnNumbers
from trueloop.tasks.worlds.arithmetic import Arithmetic

SOURCE = """
def trl(prompts, completions, answer, level=None, **kwargs):
    return helper(kwargs) + [kwargs["unit"]]

def helper(row):
    return row.get("style", "x")

def plain(completion, row):
    return float(row["gold"] in completion) * len(row.get("tags", ()))

def none(completion, row):
    return 1.0
"""


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "rewards.py"
    path.write_text(SOURCE)
    return path


def test_parameters_and_constant_keys_are_columns(file):
    assert set(function_columns(f"{file}:trl", "trl")) == {"prompts", "completions", "answer", "level", "unit", "style"}
    assert sorted(function_columns(f"{file}:plain", "plain")) == ["gold", "tags"]
    assert function_columns(f"{file}:none", "plain") == []


def test_of_a_task(file):
    own = Own(path=file.parent, verifier=OwnFunction(function=f"{file}:trl", style="trl")).build()
    assert sorted(columns_read(own)) == ["answer", "level", "style", "unit"]
    assert columns_read(Own(path=file.parent, verifier=OwnNumbers(column="gold")).build()) == ["gold"]
    assert columns_read(Arithmetic().build()) == []
