"""Rows that faults are planted into."""

import json

from trueloop.faults import rows
from trueloop.tasks.own import Own, OwnFunction
from trueloop.tasks.programs.mbpp import Mbpp


def test_own_rows_are_graded_by_their_reward(tmp_path):
    rows.write_own(tmp_path, train=6, test=3)
    function = OwnFunction(function=f"{tmp_path}/rewards.py:right", style="trl")
    task = Own(path=tmp_path, completion="completion", verifier=function).build()
    assert (len(task.problems("train")), len(task.problems("test"))) == (6, 3)
    assert all(task.grade(d.problem, d.completion).passed for d in task.demonstrations("train"))
    assert not task.grade(task.problems("train")[0], "").passed
    with rows.rewarded_by("by_prompt"):
        assert function.build().function.endswith(":by_prompt")
    assert function.build().function.endswith(":right")


def test_programs_are_right(tmp_path):
    rows.write_programs(tmp_path, train=3, test=2)
    task = Mbpp(path=tmp_path).build()
    written = [json.loads(line) for line in (tmp_path / "mbpp_train.jsonl").read_text().splitlines()]
    for row in written:
        scope = {}
        exec("\n".join([row["code"], *row["test_list"]]), scope)
    assert len(task.problems("test")) == 2


def test_rows_are_changed_as_they_are_read(tmp_path):
    rows.write_own(tmp_path, train=4, test=2)
    task = Own(path=tmp_path).build()
    with rows.changed(lambda file, found: found[:1] if file == "train.jsonl" else found):
        assert (len(task.problems("train")), len(task.problems("test"))) == (1, 2)
