"""What the faults of verdicts change."""

from trueloop.faults import tasks
from trueloop.tasks.worlds.arithmetic import Arithmetic


def test_one_row_in_eight_is_unreadable():
    task = Arithmetic(lowest=10, highest=19).build()
    tasks.unreadable(task)
    targets = [p.target for p in task.problems("train")]
    assert targets.count("see above") == -(-len(targets) // 8)


def test_tests_of_programs_are_spoilt():
    row = {"test_list": ["assert f(1) == 2"], "test_setup_code": ""}
    assert tasks.text_for_numbers("mbpp_train.jsonl", [row])[0]["test_list"] == ["assert f(1) == '2'"]
    assert tasks.wrapped_asserts("mbpp_train.jsonl", [row])[0]["test_setup_code"] == "assert (assert True)"


def test_ids_are_unique_and_name_known_checks():
    assert len({f.id for f in tasks.FAULTS}) == len(tasks.FAULTS)
    assert all(f.caught_by or f.refused for f in tasks.FAULTS)
