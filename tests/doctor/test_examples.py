from trueloop.checks.transcripts.turns import Turn
from trueloop.doctor.examples import examples


def turn(prompt, completion, reward=0.0, **kwargs):
    return Turn(prompt=prompt, completion=completion, reward=reward, group=prompt, **kwargs)


def test_examples_are_of_their_kind_and_the_latest():
    turns = [turn("a", "x", finish="length"), turn("b", "y"), turn("c", "z", finish="length")]
    assert [t.completion for t in examples(turns, "cut")] == ["z", "x"]


def test_right_and_wrong_answers():
    turns = [turn("Q: 1+1=?", "2", 0.0), turn("Q: 1+2=?", "4", 1.0), turn("Q: 1+3=?", "4", 1.0)]
    assert [t.prompt for t in examples(turns, "unrewarded_right")] == ["Q: 1+1=?"]
    assert [t.prompt for t in examples(turns, "rewarded_wrong")] == ["Q: 1+2=?"]


def test_without_any_of_the_kind_the_last_are_shown():
    turns = [turn(str(i), "x") for i in range(5)]
    assert [t.prompt for t in examples(turns, "empty")] == ["4", "3", "2"]
