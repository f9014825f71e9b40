from tests.stepping_toys import groups, rehearsal

from trueloop.faults import directions
from trueloop.recipes.policy import give_advantages


def test_advantages_are_turned_shifted_and_swapped():
    credited = give_advantages(groups([[0, 1, 1, 1], [1, 0, 0, 0]]), "dr_grpo")
    first, second = (g.advantages for g in credited)
    assert [g.advantages for g in directions._negated(credited)] == [
        tuple(-a for a in first),
        tuple(-a for a in second),
    ]
    assert directions._rotated(credited)[0].advantages == (*first[1:], first[0])
    assert [g.advantages for g in directions._next_group(credited)] == [second, first]


def test_a_flipped_loss_turns_the_gradient_round():
    with rehearsal() as whole:
        right, wrong = whole.trainer.backward(whole.streams), whole.trainer.backward(directions._flip(whole.streams))
        name = next(iter(right))
        assert (right[name] + wrong[name]).abs().max() < 1e-6 < right[name].abs().max()
        silent = directions._silenced(whole.streams)
        assert all(not any(s.weights) for s in silent[0].samples)
