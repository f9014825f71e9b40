import pytest
from pytest import approx

from pair_toys import config, pairing
from trueloop.faults import pairs_bed


@pytest.fixture(scope="module")
def made():
    return pairing()


def test_pairs_are_right_and_wrong_and_lengths_do_not_tell(made):
    rewards = [
        (made.task.grade(p.problem, p.chosen, 1.0), made.task.grade(p.problem, p.rejected, 1.0)) for p in made.given
    ]
    assert all(right.passed and not wrong.reward for right, wrong in rewards)
    longer = sum(len(p.chosen) > len(p.rejected) for p in made.given)
    assert 5 < longer < 35 and len({p.problem.id for p in made.given}) == 40


def test_the_loss_at_the_start_is_what_the_margins_say(made):
    row = made.rows[0]
    stream = made.stream([row])
    z = -made.w[1] * row.margins["short"] / made.w[0]
    found = made.trainer.step([stream])
    assert found.metrics["pairs/logit"].mean == approx(z, abs=1e-4)


def test_a_row_is_cut_at_its_limit(made):
    pair = made.given[0]
    whole, cut = (pairs_bed.row(made.task, made.policy, pair, pair.chosen, "x", n) for n in (999, 20))
    assert whole.tokens[:20] == cut.tokens and len(cut.tokens) == 20 and whole.tokens[-1] in made.policy.end_ids


def test_only_a_saved_adapter_is_named():
    assert pairs_bed.named(config()) is None
