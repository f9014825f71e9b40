"""Verifiers with mistakes: each says something else than the right one about some text."""

import pytest

from trueloop.faults import verifiers as v
from trueloop.verify.numbers import Numbers

RIGHT = Numbers(declared="answer_is", others=())


@pytest.mark.parametrize(
    ("mistake", "text", "reward"),
    [
        (v.AlwaysNo, "The answer is 84.", 0.0),
        (v.AlwaysYes, "", 1.0),
        (v.Inverted, "The answer is 84.", 0.0),
        (v.Longer, "x" * 100, 0.5),
        (v.Shorter, "x", 1.0),
        (v.ByPrompt, "", 1.0),
        (v.Constant, "", 0.5),
        (v.ForForm, "the answer", 0.8),
        (v.Contains, "1840", 1.0),
        (v.Unsigned, "The answer is -84.", 1.0),
        (v.Nearly, "The answer is 85.", 1.0),
        (v.First, "84 and then The answer is 9.", 1.0),
        (v.Swallows, "So. The answer is 84.", 0.0),
        (v.EmptyPasses, " ", 1.0),
        (v.PassesExits, "os._exit(0)", 1.0),
        (v.PassesEqual, "__eq__", 1.0),
        (v.RefusesImports, "import os. The answer is 84.", 0.0),
    ],
)
def test_each_has_its_mistake(mistake, text, reward):
    assert mistake(right=RIGHT)("84", text).reward == reward


def test_some_are_right_elsewhere():
    assert v.SwallowsRows(right=RIGHT)("84", "The answer is 84.").reward == 1.0
    assert v.SwallowsRows(right=RIGHT)("87", "The answer is 87.").reward == 0.0
    assert v.LongerIfRight(right=RIGHT)("84", "The answer is 84.").reward > 1.0
    with pytest.raises(IndexError):
        v.Raises(right=RIGHT)("84", "none")
    remembers = v.Remembers(right=RIGHT)
    assert [remembers("84", "The answer is 84.").reward for _ in range(2)] == [1.0, 0.0]
