"""Checks of rows: planted measurements fail, healthy ones pass, too few are unknown."""

import pytest

from trueloop.checks import data as checks


def test_what_is_read_is_written_down():
    result = checks.recorded({"t/train": 5}, {"t/train": "abc"})
    assert (result.status, result.value) == ("pass", {"t/train": {"rows": 5, "hash": "abc"}})


def test_ids_stand_for_one_row():
    assert checks.ids_clash([], 9).status == "pass"
    assert checks.ids_clash(["t-0"], 9).status == "fail"


@pytest.mark.parametrize(
    ("rows", "distinct", "near", "status"),
    [(100, 100, 0, "pass"), (32, 1, 0, "fail"), (100, 90, 0, "warn"), (100, 100, 8, "warn")],
)
def test_repeats(rows, distinct, near, status):
    assert checks.repeated_rows(rows, distinct, near, "Q: 1+1").status == status


def test_a_step_asks_different_problems():
    assert checks.fewer_than_a_step(8, 8).status == "pass"
    assert checks.fewer_than_a_step(4, 8).status == "warn"


def test_contradictions():
    assert checks.contradictions([], 0, 100).status == "pass"
    assert checks.contradictions(["1+1"], 2, 1000).status == "warn"
    assert checks.contradictions(["1+1"], 20, 100).status == "fail"
    assert checks.contradictions([], 0, 0).status == "unknown"


def overlap(exact, near, rows, same=False, evaluated=True):
    return checks.train_eval_overlap("t/test", exact, near, rows, same_split=same, evaluated=evaluated).status


def test_overlap_of_training_and_evaluation():
    assert overlap([], [], 20) == "pass"
    assert overlap(["q"], [], 20) == "fail"
    assert overlap(["q"], [], 1000) == "warn"
    assert overlap([], ["q"], 60) == "warn"
    assert overlap([], ["q"] * 6, 60) == "fail"
    assert overlap(["q"], [], 20, evaluated=False) == "warn"
    assert overlap([], [], 20, same=True) == "fail"
    assert overlap([], [], 0) == "unknown"


def test_a_guard_of_four_sees_nothing():
    assert checks.guard_size(4).status == "warn"
    assert checks.guard_size(200).status == "pass"


def test_answers_vary():
    assert checks.answers_vary([str(k % 20) for k in range(100)]).status == "pass"
    assert checks.answers_vary(["B"] * 80 + ["A"] * 20).status == "warn"
    assert checks.answers_vary(["B"] * 100).status == "fail"
    assert checks.answers_vary(["B"] * 3).status == "unknown"


def test_answers_in_prompts_against_chance():
    assert checks.answer_in_prompt(0, 0, 12, 14, 256).status == "pass"
    assert checks.answer_in_prompt(256, 0, 256, 10, 256).status == "fail"
    assert checks.answer_in_prompt(0, 0, 250, 10, 256).status == "warn"
    assert checks.answer_in_prompt(0, 0, 256, 256, 256).status == "pass"
    assert checks.answer_in_prompt(0, 0, 0, 0, 3).status == "unknown"


def test_prompts_and_answers_fit():
    assert checks.prompts_too_long([10] * 200, 511, "the model's context").status == "pass"
    assert checks.prompts_too_long([10] * 100 + [600] * 100, 511, "the model's context").status == "fail"
    assert checks.prompts_too_long([], 511, "the model's context").status == "unknown"
    assert checks.answers_cut(0, {}, 256, 64).status == "pass"
    assert checks.answers_cut(0, {"=": 200}, 256, 64).status == "fail"
    result = checks.answers_cut(20, {}, 256, 64)
    assert (result.status, result.advice) == ("warn", "raise the task's max_tokens")


def test_demonstrations_are_answers_and_differ():
    varied = [f"it is {k}" for k in range(20)]
    assert checks.demonstrations(varied, 20).status == "pass"
    assert checks.demonstrations([], 0).status == "fail"
    assert checks.demonstrations(["same"] * 20, 20).status == "fail"
    assert checks.demonstrations(["A"] * 12 + ["B"] * 8, 2).status == "pass"
    assert checks.demonstrations(["", "", *varied], 20).status == "fail"
    assert checks.demonstrations(["", *varied * 2], 20).status == "warn"


def test_demonstrations_are_right():
    assert checks.demonstrations_right([], 200).status == "pass"
    assert checks.demonstrations_right(["wrong"] * 100, 200).status == "fail"
    assert checks.demonstrations_right([], 0).status == "unknown"


def test_a_curriculum_names_what_there_is():
    assert checks.order(100, [], 100).status == "pass"
    assert checks.order(100, ["t-x"], 100).status == "warn"
    assert checks.order(10, [], 100).status == "warn"


def test_columns_exist_and_vary():
    assert checks.columns_exist(["answer"], {"answer": 0}, 20, ["answer"]).status == "pass"
    assert checks.columns_exist(["anwser"], {"anwser": 20}, 20, ["answer"]).status == "fail"
    assert checks.columns_exist(["answer"], {"answer": 1}, 40, ["answer"]).status == "warn"
    assert checks.columns_exist([], {}, 20, ["answer"]).status == "unknown"
    varied, same = [str(k) for k in range(20)], ["x"] * 20
    assert checks.columns_vary({"answer": varied}).status == "pass"
    assert checks.columns_vary({"answer": varied, "source": same}).status == "warn"
    assert checks.columns_vary({"answer": same}).status == "fail"
    assert checks.columns_vary({"answer": ["x"]}).status == "unknown"
