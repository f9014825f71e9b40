import json

import pytest

from trueloop.checks.transcripts.turns import Turn
from trueloop.doctor.foreign import read_turns
from trueloop.errors import DataError


def written(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_a_row_of_our_names(tmp_path):
    row = {"prompt": "1+1=?", "completion": "2", "reward": 1, "logprobs": [-0.5, None], "step": 3, "finish": "length"}
    assert read_turns(written(tmp_path, row)) == [
        Turn(
            prompt="1+1=?",
            completion="2",
            reward=1.0,
            group="1+1=?",
            step=3,
            finish="length",
            length=2,
            logprobs=(-0.5, None),
        )
    ]


def test_a_row_of_trl_holds_a_group_in_lists(tmp_path):
    row = {"step": 1, "prompt": ["a", "a"], "completion": ["x", "y"], "advantage": [1, -1]}
    row |= {"accuracy_reward": [1.0, 0.0]}
    with pytest.raises(DataError, match=r"line 1: no reward; found step, .*; expected one of reward, rewards"):
        read_turns(written(tmp_path, row))
    turns = read_turns(written(tmp_path, {**row, "reward": [1.0, 0.0]}))
    assert [(t.prompt, t.completion, t.reward, t.step) for t in turns] == [("a", "x", 1.0, 1), ("a", "y", 0.0, 1)]


def test_reward_functions_of_trl_are_added_up(tmp_path):
    row = {"prompt": "a", "completion": "x", "format_reward": 0.5, "accuracy_reward": 1.0}
    assert read_turns(written(tmp_path, row))[0].reward == 1.5


def test_a_row_of_verl(tmp_path):
    row = {"input": "q", "output": "o", "score": 0.0, "gts": "7", "step": 2, "acc": True}
    (turn,) = read_turns(written(tmp_path, row))
    assert (turn.prompt, turn.completion, turn.reward, turn.target, turn.passed) == ("q", "o", 0.0, "7", True)


def test_a_row_of_prime_rl_with_messages(tmp_path):
    prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1?"}]
    row = {"prompt": prompt, "completion": [{"role": "assistant", "content": "2"}], "reward": 1.0}
    row |= {"example_id": 5, "is_truncated": True, "answer": 2}
    (turn,) = read_turns(written(tmp_path, row))
    assert (turn.prompt, turn.completion, turn.group) == ("Be brief.\n1+1?", "2", "5")
    assert (turn.finish, turn.target) == ("length", "2")


def test_one_array_is_rows_too(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"prompt": "a", "completion": "b", "reward": None}] * 2))
    assert [t.reward for t in read_turns(path)] == [None, None]


GOOD = {"prompt": "a", "completion": "b", "reward": 0}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 2: not JSON"),
        ("3", "line 2: expected an object with prompt, completion and reward, got int '3'"),
        ({"prompt": "a", "reward": 1}, "line 2: no completion; found prompt, reward"),
        ({**GOOD, "reward": "high"}, "line 2: field reward: expected a number, got str 'high'"),
        ({**GOOD, "prompt": 3}, "line 2: field prompt: expected text or messages, got int"),
        ({**GOOD, "step": 1.5}, "line 2: field step: expected a whole number, got 1.5"),
        ({**GOOD, "logprobs": 1.0}, "line 2: field logprobs: expected a list with one number per token"),
        ({**GOOD, "logprobs": [0, "x"]}, r"line 2: field logprobs\[1\]: expected a number"),
        ({**GOOD, "completion": ["x", "y"], "reward": [1]}, "line 2: field reward has 1 entries for 2 completions"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_field(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        read_turns(written(tmp_path, GOOD, row))


def test_a_file_without_rows(tmp_path):
    with pytest.raises(DataError, match="no rows"):
        read_turns(written(tmp_path))
