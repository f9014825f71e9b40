"""A task's verdict, tried on texts whose worth is known."""

import asyncio
import json
from pathlib import Path

import pytest

from trueloop.checks.base import worst
from trueloop.faults import verifiers
from trueloop.preflight.tasks import CANARIES, completion_checks, is_judged, right_answers, task_checks
from trueloop.tasks.gsm8k import Gsm8k
from trueloop.tasks.maths import Math
from trueloop.tasks.minerva import MinervaMath
from trueloop.tasks.mmlu import Mmlu
from trueloop.tasks.own import Own, OwnMaths, OwnNumbers
from trueloop.tasks.programs.mbpp import Mbpp
from trueloop.tasks.worlds.arithmetic import Arithmetic
from trueloop.verify.programs.canaries import canaries

FIXTURES = Path(__file__).parents[1] / "fixtures"


def asked(task, splits=("train",)):
    results = task_checks(task, splits, workers=1, most_errors=0.01, imitated=True)
    return {result.id: result for result in results}


def small():
    return Arithmetic(lowest=10, highest=29).build()


def test_a_healthy_task_passes_all():
    assert worst(list(asked(small(), ["train", "validation"]).values())) == "pass"


@pytest.mark.parametrize(
    ("mistake", "id"),
    [
        (verifiers.AlwaysNo, "task.gold_scores"),
        (verifiers.AlwaysYes, "task.junk_scores"),
        (verifiers.Contains, "task.wrong_scores"),
        (verifiers.Hashes, "task.verdicts_repeat"),
        (verifiers.Constant, "task.reward_separates"),
        (verifiers.Raises, "task.verifier_errors"),
        (verifiers.Swallows, "task.length_pays"),
    ],
)
def test_mistakes_are_seen(mistake, id):
    task = small()
    task.verifier = mistake(right=task.verifier)
    assert asked(task)[id].status == "fail"


@pytest.mark.parametrize("settings", [Gsm8k, Math, MinervaMath, Mbpp])
def test_right_answers_are_right(settings):
    task = settings(path=FIXTURES).build()
    answers = right_answers(task, "train")
    assert answers
    problems = {p.id: p for p in task.problems("train")}
    for id, answer in answers.items():
        score = task.grade(problems[id], answer)
        assert (score.status, score.reward) in (("scored", 1.0), ("unscorable", None)), (answer, score)


def test_right_answers_of_letters_and_own_rows(tmp_path):
    mmlu = Mmlu(path=FIXTURES, files={"dev": "mmlu_dev.jsonl", "test": "mmlu_test.jsonl"}).build()
    assert {len(a) for a in right_answers(mmlu, "test").values()} == {1}
    rows = [{"prompt": "2+2", "answer": "4"}, {"prompt": "2+3", "answer": "5"}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    numbers = Own(path=tmp_path, verifier=OwnNumbers()).build()
    assert list(right_answers(numbers, "train").values()) == ["#### 4", "#### 5"]
    maths = Own(path=tmp_path, verifier=OwnMaths()).build()
    assert list(right_answers(maths, "train").values()) == [r"\boxed{4}", r"\boxed{5}"]
    unjudged = Own(path=tmp_path).build()
    assert (right_answers(unjudged, "train"), is_judged(unjudged), is_judged(numbers)) == ({}, False, True)


def test_every_canary_that_is_named_exists():
    assert set(CANARIES) <= {c.name for c in canaries() if c.kind == "function" and not c.endless}


def test_nothing_is_said_of_completions_that_there_are_not():
    class Nothing:
        tasks, outcomes, learned = {"arithmetic": small()}, (), True

    assert asyncio.run(completion_checks(Nothing(), most_errors=0.01, leniency=0.0)) == []
