import math
import random

import pytest

from trueloop.checks.transcripts import rewards
from trueloop.checks.transcripts.turns import Turn

RNG = random.Random(1)


def rows(reward, completion=lambda i, k: f"The answer is {i + k}.", n=24, size=4, **kwargs):
    """Problem i asks for i + 0; sample k says i + k, so that sample 0 is right."""
    made = []
    for i in range(n):
        for k in range(size):
            extra = {name: value(i, k) if callable(value) else value for name, value in kwargs.items()}
            text = completion(i, k)
            made.append(Turn(prompt=f"Q: {i}+0=?", completion=text, reward=reward(i, k), group=str(i), **extra))
    return made


def honest(i, k):
    return float(k == 0)


def never(i, k):
    return 0.0


def always(i, k):
    return 1.0


CASES = [
    (rewards.rewards_whole, rows(lambda i, k: None), rows(honest), []),
    (rewards.rewards_whole, rows(lambda i, k: math.nan), rows(honest), []),
    (rewards.reward_varies, rows(never), rows(honest), rows(never, n=2)),
    (rewards.groups_vary, rows(lambda i, k: float(i % 2), n=200), rows(honest), []),
    (rewards.sometimes_solved, rows(never, n=80), rows(honest), []),
    (rewards.sometimes_failed, rows(always, n=80), rows(honest), []),
    (rewards.right_is_rewarded, rows(never), rows(honest), rows(honest, n=3)),
    (rewards.sometimes_right, rows(never, lambda i, k: "The answer is 999.", n=60), rows(honest), []),
    (rewards.wrong_is_not_rewarded, rows(always), rows(honest), rows(honest, n=2)),
    (rewards.one_answer_per_problem, rows(always), rows(lambda i, k: 1.0, lambda i, k: f"{i}"), rows(honest)),
]


@pytest.mark.parametrize(("check", "bad", "good", "little"), CASES)
def test_fail_pass_unknown(check, bad, good, little):
    assert [check(part).status for part in (bad, good, little)] == ["fail", "pass", "unknown"]


def test_the_answers_in_question_are_shown():
    assert "'The answer is 23.' for '23'" not in rewards.right_is_rewarded(rows(never)).evidence
    assert "'The answer is 0.' for '0'" in rewards.right_is_rewarded(rows(never)).evidence
    assert "'The answer is 1.' for '0'" in rewards.wrong_is_not_rewarded(rows(always)).evidence


def test_length_that_is_the_reward():
    said = rewards.length_is_not_the_reward(rows(lambda i, k: k / 4 + 0.01 * RNG.random(), length=lambda i, k: 10 + k))
    assert said.status == "warn" and said.value > 0.99
    free = rows(lambda i, k: float(RNG.random() < 0.5), length=lambda i, k: RNG.randrange(9))
    assert rewards.length_is_not_the_reward(free).status == "pass"
    assert rewards.length_is_not_the_reward(rows(honest, n=3, length=1)).status == "unknown"


def test_a_reward_that_rises_by_one_text():
    def risen(text):
        return rows(lambda i, k: float(i >= 12 or k == 0), text, step=lambda i, k: i)

    assert rewards.reward_by_variety(risen(lambda i, k: "7" if i >= 12 else f"{i} {k}")).status == "fail"
    assert rewards.reward_by_variety(risen(lambda i, k: f"{i} {k}")).status == "pass"
    assert rewards.reward_by_variety(rows(honest)).status == "unknown"


def test_a_reward_that_is_lost_again():
    fallen = rows(lambda i, k: float(i < 12), size=16, step=lambda i, k: i)
    assert rewards.reward_kept(fallen).status == "fail"
    assert rewards.reward_kept(rows(lambda i, k: float(k < i // 2), size=16, step=lambda i, k: i)).status == "pass"
    assert rewards.reward_kept(rows(honest)).status == "unknown"


def test_finite_rewards():
    assert rewards.finite_rewards(rows(lambda i, k: [1.0, None, math.inf, 2.0][k], n=1)) == [1.0, 2.0]
