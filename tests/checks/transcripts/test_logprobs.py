import math
import random
from dataclasses import replace

import pytest

from trueloop.checks.transcripts.logprobs import logprobs_agree, logprobs_sound
from trueloop.checks.transcripts.turns import Turn

RNG = random.Random(0)
TRAINER = [[-RNG.expovariate(1.0) - 0.01 for _ in range(10)] for _ in range(20)]


def rows(sampler, trainer=None):
    return [
        Turn(
            prompt=str(i),
            completion="c",
            reward=0.0,
            group=str(i),
            logprobs=tuple(s),
            whole_softmax=True,
            trainer_logprobs=None if trainer is None else tuple(trainer[i]),
        )
        for i, s in enumerate(sampler)
    ]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda v, k: v, "pass"),
        (lambda v, k: 0.0, "fail"),
        (lambda v, k: -v, "fail"),
        (lambda v, k: None if k == 0 else v, "fail"),
        (lambda v, k: math.nan if k == 0 else v, "fail"),
        (lambda v, k: -100.0 if k == 0 else v, "fail"),
        (lambda v, k: 0.0 if k < 3 else v, "warn"),
    ],
)
def test_sound(change, status):
    assert logprobs_sound(rows([[change(v, k) for k, v in enumerate(row)] for row in TRAINER])).status == status


def test_nothing_to_look_at():
    bare = [Turn(prompt="p", completion="c", reward=0.0, group="p")]
    assert logprobs_sound(bare).status == logprobs_agree(bare).status == "unknown"


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        (lambda row: row, "pass", "0.0000"),
        (lambda row: [v * 0.6 for v in row], "fail", "part of the vocabulary"),
        (lambda row: [v * 1.6 for v in row], "fail", "times 1.6"),
        (lambda row: [-0.5, *row[:-1]], "fail", "shifted by one"),
        (lambda row: [v + (0.05 if k % 2 else -0.05) for k, v in enumerate(row)], "warn", "noise"),
        (lambda row: row[:-1], "fail", "another number"),
    ],
)
def test_agreement_and_the_cause(change, status, words):
    result = logprobs_agree(rows([change(row) for row in TRAINER], TRAINER))
    assert result.status == status
    assert words in result.evidence


def test_zeros_of_a_sure_or_a_truncated_policy_are_no_fallback():
    sure = rows([[0.0] * 8 + [-1e-5, -0.7]] * 20)
    assert logprobs_sound(sure).status == "pass"
    for zeros, status in ((10, "warn"), (8, "unknown"), (2, "pass")):
        drawn = rows([[0.0] * zeros + [-0.3] * (10 - zeros)] * 20)
        assert logprobs_sound([replace(t, whole_softmax=False) for t in drawn]).status == status
