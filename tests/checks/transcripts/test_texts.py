import pytest

from trueloop.checks.transcripts import texts
from trueloop.checks.transcripts.turns import Turn


def rows(completion=lambda i: f"a line about {i}", n=64, prompt=lambda i: f"Q: {i}?\nA: ", **kwargs):
    made = []
    for i in range(n):
        extra = {k: v(i) if callable(v) else v for k, v in kwargs.items()}
        made.append(
            Turn(**{"prompt": prompt(i), "completion": completion(i), "reward": 0.0, "group": prompt(i), **extra})
        )
    return made


LOOP = "and so it goes on " * 12

CASES = [
    (texts.cut_at_limit, rows(finish="length"), rows(finish="stop"), rows()),
    (texts.cut_at_limit, rows(length=lambda i: 9 if i % 4 else i % 9), rows(length=lambda i: i), rows(length=5)),
    (texts.not_empty, rows(lambda i: " \n"), rows(), []),
    (texts.ends_in_loops, rows(lambda i: LOOP), rows(), []),
    (texts.scaffold_in_completions, rows(lambda i: "x<|im_end|>"), rows(), []),
    (texts.template_once, rows(prompt=lambda i: f"Human:\nHuman: {i}"), rows(), []),
    (texts.goes_on, rows(lambda i: f"{i}\nQ: what?\nA: 3"), rows(), []),
    (texts.prompts_distinct, rows(prompt=lambda i: "same", group=str), rows(), rows(n=4)),
    (
        texts.completions_differ,
        rows(lambda i: "x", group=lambda i: str(i % 16)),
        rows(group=lambda i: str(i % 16)),
        rows(),
    ),
    (texts.not_one_text, rows(lambda i: "7"), rows(), rows(n=3)),
]


@pytest.mark.parametrize(("check", "bad", "good", "little"), CASES)
def test_fail_pass_unknown(check, bad, good, little):
    assert [check(part).status for part in (bad, good, little)] == ["fail", "pass", "unknown"]


def test_a_few_are_a_warning():
    assert texts.cut_at_limit(rows(n=200, finish=lambda i: "length" if i % 4 == 0 else "stop")).status == "warn"
    assert texts.prompts_distinct(rows(prompt=lambda i: str(i % 5), group=str, step=1)).status == "warn"


def test_an_example_is_shown():
    assert "and so it goes on" in texts.ends_in_loops(rows(lambda i: LOOP)).evidence


def test_a_format_that_is_lost():
    def said(lost):
        return lambda i: f"so {i}" if i >= 64 - lost else f"The answer is {i}."

    def status(lost):
        return texts.format_steady(rows(said(lost), step=lambda i: i // 8)).status

    assert [status(0), status(16), status(8)] == ["pass", "fail", "pass"]
    assert texts.format_steady(rows()).status == "unknown"
    many = rows(
        lambda i: f"so {i}" if i > 300 and i % 3 == 0 else f"The answer is {i}.", n=400, step=lambda i: i // 100
    )
    assert texts.format_steady(many).status == "warn"
