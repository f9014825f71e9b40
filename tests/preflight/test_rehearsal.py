from dataclasses import replace

import pytest
from tests.stepping_toys import groups, rehearsal

from trueloop.loop.rollouts import Outcome
from trueloop.preflight.rehearsal import paid, problems_asked, rewards_alone


@pytest.mark.parametrize(
    ("per_step", "samples", "asked"), [(16, 8, 16), (64, 8, 16), (4, 8, 4), (64, 256, 8), (512, 1, 128)]
)
def test_a_rehearsal_is_small_and_has_several_problems(per_step, samples, asked):
    assert problems_asked(per_step, samples) == asked


def test_rollouts_of_filtered_groups_count():
    used, dropped = groups([[0, 1], [1, 1]])
    outcomes = [Outcome(ticket=None, group=used), Outcome(ticket=None, group=dropped, filtered="zero_variance")]
    with rehearsal() as whole:
        assert replace(whole, outcomes=outcomes).rollouts == [*used.rollouts, *dropped.rollouts]


def test_penalties_have_a_say_in_the_advantages():
    with rehearsal() as whole:
        assert rewards_alone(whole) and rewards_alone(replace(whole, configured={"kl": {"where": "loss"}}))
        assert not rewards_alone(replace(whole, configured={"kl": {"where": "reward"}}))


def test_what_is_paid_is_the_reward_with_the_penalty_on_length():
    with rehearsal() as whole:
        group = whole.credited[0]
        assert paid(whole, group) == list(group.rewards())
        length = group.rollouts[0].completion_length
        whole = replace(whole, configured={"overlong": {"limit": length, "cache": length, "weight": 0.5}})
        assert rewards_alone(whole)
        assert paid(whole, group)[0] == group.rewards()[0] - 0.5
