from trueloop.faults.recorded import RECORDED
from trueloop.faults.recorded.base import records


def test_families_number_their_failures():
    first, second = records("f", {"1": "what"}, {"2b": ("other", "why")})
    assert (first.id, first.what, first.unplanted) == ("f 1", "what", "")
    assert (second.id, second.unplanted) == ("f 2b", "why")


def test_every_failure_on_record_is_told_once():
    assert len({r.what for r in RECORDED.values()}) == len(RECORDED) > 150
