import pytest
import torch
from tests.stepping_toys import rehearsal

from trueloop.preflight.undo import on_cpu, undone


def test_a_step_is_undone_bit_by_bit():
    with rehearsal() as whole:
        first = whole.trainer.step(whole.streams)
        before = whole.policy.fingerprint()
        moments = {name: m.clone() for name, m in whole.trainer.state_dict()["moments"].items()}
        with undone(whole.trainer) as weights:
            whole.trainer.step(whole.streams)
            assert whole.policy.fingerprint() != before
            assert weights.keys() == whole.trainer.trainable.keys()
        assert whole.policy.fingerprint() == before and whole.trainer.version == first.version
        again = whole.trainer.state_dict()["moments"]
        assert moments.keys() == again.keys() and all(again[n].equal(m) for n, m in moments.items())


def test_it_is_undone_where_the_inside_raises():
    with rehearsal() as whole:
        before = whole.policy.fingerprint()
        with pytest.raises(RuntimeError, match="on purpose"), undone(whole.trainer):
            whole.trainer.step(whole.streams)
            raise RuntimeError("on purpose")
        assert whole.policy.fingerprint() == before


def test_copies_on_the_cpu_are_of_their_own():
    given = {"a": torch.ones(2)}
    copies = on_cpu(given)
    given["a"].zero_()
    assert copies["a"].tolist() == [1.0, 1.0] and copies["a"].device.type == "cpu"
