from dataclasses import replace

import pytest

from trueloop.faults import judging
from trueloop.formulas.reduce import token_mean
from trueloop.loop.flow import Fixed, Flow
from trueloop.recipes.losses import Distillation, ReverseKl
from trueloop.records import Sample, Teacher
from trueloop.tasks.worlds.arithmetic import Arithmetic
from trueloop.train.batch import Stream


def test_a_guard_is_given_other_parts_and_the_run_keeps_its_own():
    task = Arithmetic().build()
    problem = task.first("validation", 1)[0]
    asked = judging._other_prompt({"task": task})["task"]
    assert asked.prompt(problem) == task.prompt(problem).rstrip() != task.prompt(problem)
    judged = judging._other_verifier({"task": task})["task"]
    assert judged.verifier.id != task.verifier.id == Arithmetic().build().verifier.id


def test_advantages_are_shuffled_within_their_group_later():
    from online_toys import make

    with judging._shuffled_later(1):
        credit = make(Flow(problems_per_step=1, samples=Fixed(n=2))).seams.credit
    credit([])
    assert credit([]) == []


def sample(k):
    said = Teacher(ids=((k, 9), (k + 1, 9), (k + 2, 9)), logprobs=((-0.1, -3.0),) * 3)
    mask = (False, True, True, True)
    return Sample(id=str(k), tokens=(0, k, k + 1, k + 2), loss_mask=mask, weights=(0.0, 1.0, 1.0, 1.0), teacher=said)


@pytest.mark.parametrize(("change", "first"), [(judging._later, (2, 9)), (judging._of_the_next, (4, 9))])
def test_a_teachers_words_are_laid_on_other_tokens(change, first):
    samples = [sample(1), sample(4)]
    moved = change([s.teacher for s in samples])
    assert moved[0].ids[0] == first and len(moved[0].ids) == 3
    stream = Stream(
        name="distill",
        samples=[replace(s, teacher=t) for s, t in zip(samples, moved, strict=True)],
        loss=Distillation(ReverseKl()),
        reduction=token_mean,
    )
    assert stream.samples[0].tokens == samples[0].tokens
