import pytest

from trueloop.checks.transcripts.turns import (
    Turn,
    early_and_late,
    format_of,
    groups_of,
    plain,
    stated,
    target_of,
    templated,
    wrapped_twice,
)


def turn(prompt="p", completion="c", reward=0.0, **kwargs):
    return Turn(prompt=prompt, completion=completion, reward=reward, **{"group": prompt, **kwargs})


@pytest.mark.parametrize(
    ("text", "answer", "form"),
    [
        (r"so \boxed{12}", "12", "boxed"),
        ("3 and 4\n#### 1,234", "1234", "hash"),
        ("12+3=15. The answer is 15.", "15", "answer_is"),
        ("x <answer> 7.0 </answer>", "7", "tag"),
        ("first 3, then -4", "-4", None),
        ("9+3=12", "12", None),
        ("none", None, None),
    ],
)
def test_the_stated_answer(text, answer, form):
    assert (stated(text), format_of(text)) == (answer, form)


@pytest.mark.parametrize(("answer", "same"), [("$1,000.", "1000"), ("7.00", "7"), ("A B", "ab"), ("0.5", "0.5")])
def test_plain_answers(answer, same):
    assert plain(answer) == same


@pytest.mark.parametrize(
    ("prompt", "target"),
    [("Q: 12+30=?\nA: ", "42"), ("2 * 3 - 10 = ?", "-4"), ("12+3=?\n15\n5-7=?", "-2"), ("What is it?", None)],
)
def test_a_plain_sum_tells_its_target(prompt, target):
    assert target_of(turn(prompt)) == target


def test_a_logged_target_counts_first():
    assert target_of(turn("1+1=?", target="so it is\n#### 3")) == "3"


def test_groups_are_of_one_step():
    rows = [turn("a", step=1), turn("b", step=1), turn("a", step=1), turn("a", step=2)]
    assert [len(g) for g in groups_of(rows)] == [2, 1, 1]


def test_first_and_last_quarter():
    rows = [turn(step=s) for s in range(8)]
    early, late = early_and_late(rows)
    assert ([t.step for t in early], [t.step for t in late]) == ([0, 1], [6, 7])
    assert early_and_late(rows[:1]) == ([], [])


def test_templates():
    assert wrapped_twice("Human:\n\n\nHuman: hi") and wrapped_twice("<s> <s>hi") and not wrapped_twice("Q: 1\nA: ")
    assert templated("<|im_start|>user\nhi") and not templated("Q: hi")
