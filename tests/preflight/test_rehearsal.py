import pytest
from tests.stepping_toys import groups, rehearsal

from trueloop.loop.rollouts import Outcome
from trueloop.preflight.rehearsal import problems_asked


@pytest.mark.parametrize(
    ("per_step", "samples", "asked"), [(16, 8, 16), (64, 8, 16), (4, 8, 4), (64, 256, 8), (512, 1, 128)]
)
def test_a_rehearsal_is_small_and_has_several_problems(per_step, samples, asked):
    assert problems_asked(per_step, samples) == asked


def test_rollouts_of_filtered_groups_count():
    from dataclasses import replace

    used, dropped = groups([[0, 1], [1, 1]])
    outcomes = [Outcome(ticket=None, group=used), Outcome(ticket=None, group=dropped, filtered="zero_variance")]
    with rehearsal() as whole:
        assert replace(whole, outcomes=outcomes).rollouts == [*used.rollouts, *dropped.rollouts]
