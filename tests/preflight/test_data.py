"""The rows of a run, looked at before it."""

import json

import pytest

from trueloop.preflight.data import Reads, Room, data_checks
from trueloop.tasks.own import Own, OwnNumbers
from trueloop.tasks.worlds.arithmetic import Arithmetic


class Letters:
    """One token a character."""

    bos_token_id = None

    def encode(self, text, *, add_special_tokens=True):
        return [ord(c) for c in text]


ROOM = Room(tokenizer=Letters(), prompt_tokens=200, whose="the model's context", context=256)


def asked(train, guard=None, *, per_step=8, room=ROOM, imitated=None):
    found = {}
    for result in data_checks([train], guard, per_step=per_step, room=room, imitated=imitated):
        found.setdefault(result.id, []).append(result.status)
    return found


@pytest.fixture
def world():
    return Arithmetic(lowest=10, highest=39).build()


@pytest.fixture
def own(tmp_path):
    def make(rows, test=()):
        for name, some in (("train", rows), ("test", test)):
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in some))
        return Own(path=tmp_path, verifier=OwnNumbers(), max_tokens=64).build()

    return make


def rows(n, form="What is {k} plus {k}, if you count them all one by one?"):
    return [{"prompt": form.format(k=k, answer=2 * k), "answer": str(2 * k)} for k in range(100, 100 + n)]


def test_healthy_rows_pass_all(world):
    guard = Reads(task=world, split="validation", most=30)
    found = asked(Reads(task=world, split="train"), guard, imitated=world.demonstrations("train"))
    assert {status for statuses in found.values() for status in statuses} == {"pass"}
    assert len(found["data.train_eval_overlap"]) == 2  # the guard's split, and the test split


def test_the_guard_on_the_training_split(world):
    found = asked(Reads(task=world, split="train"), Reads(task=world, split="train", most=30))
    assert found["data.train_eval_overlap"][0] == "fail"


def test_rows_in_both_splits_in_another_spelling(own):
    copies = [{**row, "prompt": row["prompt"].upper() + "!"} for row in rows(20)[:10]]
    task = own(rows(20), [*copies, *rows(40)[30:]])
    found = asked(Reads(task=task, split="train"), Reads(task=task, split="test", most=20))
    assert found["data.train_eval_overlap"] == ["fail"]


def test_repeats_contradictions_and_leaks(own):
    assert asked(Reads(task=own(rows(1) * 32), split="train"))["data.repeated_rows"] == ["fail"]
    contradicting = [*rows(20), *({**row, "answer": "1"} for row in rows(2))]
    assert asked(Reads(task=own(contradicting), split="train"))["data.contradictions"] == ["fail"]
    leaking = rows(40, "Of {k} and {k} one makes #### {answer} in all, as is well known.")
    assert asked(Reads(task=own(leaking), split="train"))["data.answer_in_prompt"] == ["fail"]
    hinting = rows(40, "Of {k} and {k} one makes ({answer}) in all, as is well known.")
    assert asked(Reads(task=own(hinting), split="train"))["data.answer_in_prompt"] == ["warn"]


def test_columns_and_constant_answers(own):
    constant = [{**row, "answer": "4"} for row in rows(100)]
    found = asked(Reads(task=own(constant), split="train"))
    assert (found["data.columns_vary"], found["data.answers_vary"]) == (["fail"], ["fail"])
    missing = [{"prompt": row["prompt"]} for row in rows(40)]
    assert asked(Reads(task=own(missing), split="train"))["data.columns_exist"] == ["fail"]


def test_limits_are_measured_on_rows(world):
    tight = Room(tokenizer=Letters(), prompt_tokens=5, whose="flow.max_prompt_tokens")
    assert asked(Reads(task=world, split="train"), room=tight)["data.prompts_too_long"] == ["fail"]
    short = Room(tokenizer=Letters(), prompt_tokens=200, whose="the model's context", context=20)
    assert asked(Reads(task=world, split="train"), room=short)["data.answers_cut"] == ["fail"]
    world.stops = ("=",)
    assert asked(Reads(task=world, split="train"))["data.answers_cut"] == ["fail"]


def test_a_curriculum(world):
    ids = [p.id for p in world.problems("train")]
    assert asked(Reads(task=world, split="train", order=ids))["data.order"] == ["pass"]
    assert asked(Reads(task=world, split="train", order=[*ids, "arithmetic-other"]))["data.order"] == ["warn"]
