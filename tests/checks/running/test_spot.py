import pytest

from trueloop.checks.running import spot
from trueloop.checks.running.seen import Seen, Setup


def seen(*rows, rewarded=True):
    found = Seen(Setup(steps=99, lr=1e-3, rewarded=rewarded))
    for k, row in enumerate(rows, 1):
        found.add({"step": k, "version": k, **row})
    return found


def test_texts_are_their_tokens():
    assert spot.text_is_tokens(seen({"rollouts/texts_read": 16.0, "rollouts/texts_off": 0.0})).status == "pass"
    assert spot.text_is_tokens(seen({"rollouts/texts_read": 16.0, "rollouts/texts_off": 1.0})).status == "fail"
    assert spot.text_is_tokens(seen({})).status == "unknown"


def test_weights_are_the_credit():
    sound, off = ({"credit/rows": 64.0, "credit/misweighted": n} for n in (0.0, 3.0))
    assert spot.weights_are_credit(seen(sound)).status == "pass"
    assert spot.weights_are_credit(seen(off)).status == "fail"
    assert spot.weights_are_credit(seen(off, rewarded=False)).status == "unknown"


def test_passes_earn_more():
    def verdicts(earned):
        return {"verdicts/passed": 20.0, "verdicts/failed": 44.0, "verdicts/earned_passed": earned} | {
            "verdicts/earned_failed": 11.0
        }

    assert spot.follow_passes(seen(verdicts(20.0))).status == "pass"
    assert spot.follow_passes(seen(verdicts(2.0))).status == "fail"
    assert spot.follow_passes(seen({**verdicts(2.0), "verdicts/passed": 3.0})).status == "unknown"


@pytest.mark.parametrize(
    ("rewards", "status"),
    [
        ([0.2, 0.25, 0.22, 0.21, 0.26, 0.23, 0.2, 0.24, 0.8, 0.78], "warn"),
        ([0.2, 0.25, 0.22, 0.21, 0.26, 0.23, 0.2, 0.24, 0.8, 0.24], "pass"),  # a single step may be odd
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85], "pass"),  # it learns fast
        ([0.2, 0.25, 0.22], "unknown"),
    ],
)
def test_a_reward_that_jumps_between_two_steps(rewards, status):
    assert spot.jump(seen(*({"reward/all": r} for r in rewards))).status == status
