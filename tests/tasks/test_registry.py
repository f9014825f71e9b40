from pathlib import Path

import pytest
from pydantic import TypeAdapter

from trueloop.errors import DataError
from trueloop.tasks.gsm8k import Gsm8k
from trueloop.tasks.registry import Mix, Sequential, Share, TaskConfig, Turn, Weighted, get_task, open_mix
from trueloop.tasks.worlds.arithmetic import Arithmetic

FIXTURES = Path(__file__).parents[1] / "fixtures"


def test_the_kind_selects_the_task():
    for table, name in [({"kind": "arithmetic"}, "arithmetic"), ({"kind": "gsm8k", "path": FIXTURES}, "gsm8k")]:
        assert get_task(TypeAdapter(TaskConfig).validate_python(table)).name == name


def test_a_mix_of_tasks_serves_the_shares_set():
    mix = Weighted(parts=(Share(task=Arithmetic(), weight=3.0), Share(task=Gsm8k(path=FIXTURES))))
    tasks, source = open_mix(mix, seed=0)
    drawn = [source.next().problem.task for _ in range(40)]
    assert {name: drawn.count(name) for name in tasks} == {"arithmetic": 30, "gsm8k": 10}


def test_a_curriculum_file_sets_the_order(tmp_path):
    ids = [p.id for p in Gsm8k(path=FIXTURES).build().problems("train")][::-1]
    (tmp_path / "order.txt").write_text("\n".join(ids))
    turns = (Turn(task=Gsm8k(path=FIXTURES), order=tmp_path / "order.txt", count=6), Turn(task=Arithmetic()))
    _, source = open_mix(Sequential(parts=turns), seed=0)
    drawn = [source.next().problem for _ in range(8)]
    assert [p.id for p in drawn[:6]] == [*ids, ids[0]]
    assert {p.task for p in drawn[6:]} == {"arithmetic"}


def test_one_task_cannot_stand_in_a_mix_twice():
    with pytest.raises(DataError, match="parts have a name more than once, such as arithmetic"):
        open_mix(Weighted(parts=(Share(task=Arithmetic()), Share(task=Arithmetic(highest=50)))), seed=0)


def test_a_mix_is_told_by_its_kind():
    table = {"kind": "sequential", "parts": ({"task": {"kind": "arithmetic"}, "count": 3},), "epochs": 1}
    mix = TypeAdapter(Mix).validate_python(table)
    assert isinstance(mix, Sequential) and mix.parts[0].count == 3
