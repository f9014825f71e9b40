from dataclasses import replace

import pytest

from pair_toys import config, pairing
from trueloop.faults import pair_seams as at
from trueloop.faults import pairs_bed


@pytest.fixture(scope="module")
def made():
    return pairing()


def test_pairs_are_changed_in_training_alone(made):
    with at.each(at.turned):
        (trained, *_), (held_out, *_) = (
            pairs_bed.read(made.task, s, n) for s, n in (("train", 40), ("validation", 10))
        )
    assert (trained.chosen, trained.rejected) == (made.given[0].rejected, made.given[0].chosen)
    assert held_out == made.held_out[0]
    assert pairs_bed.read(made.task, "train", 40) == made.given


def test_a_margin_is_computed_otherwise_than_declared(made):
    def rows():
        return pairs_bed.encode(made.task, made.policy, made.reference, made.given[:3], made.objectives, config())

    with at.margin(lambda objective, chosen, rejected: 7 + objective.margin(chosen, rejected)):
        other = rows()
    assert [r.margins["short"] - 7 for r in other] == [r.margins["short"] for r in rows()]


def test_a_loss_is_wrapped(made):
    with at.changed(at.margins_turned):
        turned = pairs_bed.stream(config(), made.rows[:1])
    plain = [replace(r, margins={"short": -r.margins["short"]}) for r in made.rows[:1]]
    found, expected = (made.trainer.backward([s]) for s in (turned, pairs_bed.stream(config(), plain)))
    assert all(found[n].equal(expected[n]) for n in expected)


def test_rows_are_damaged_as_said(made):
    row = made.rows[0].chosen
    prompt = row.loss_mask.index(True)
    assert sum(at.without_end(row).loss_mask) == sum(row.loss_mask) - 1
    assert at.shifted(row).loss_mask.index(True) == prompt + 1
    again = at.retold(replace(row, ref_logprobs=None))
    assert again.tokens == row.tokens[:3] + row.tokens and sum(again.loss_mask) == sum(row.loss_mask)
    assert sum(at.prompt_trained(row).loss_mask) == len(row.tokens) - 1


def test_labels_are_tossed_and_doubled(made):
    tossed = at.coin(list(made.given))
    assert 5 < sum(a != b for a, b in zip(tossed, made.given, strict=True)) < 35
    both = at.both_orders(list(made.given))
    assert len(both) == 40 and at.turned(both[0]) == both[20]
