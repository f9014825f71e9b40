"""The table of faults that begin while a run trains."""

from trueloop.checks.catalogue import CATALOGUE
from trueloop.faults.running import FAULTS


def test_each_is_caught_by_checks_that_exist_within_the_steps_that_it_is_given():
    assert len({fault.id for fault in FAULTS}) == len(FAULTS) >= 30
    for fault in FAULTS:
        assert fault.when == "during" and fault.steps >= 8
        assert fault.caught_by and set(fault.caught_by) <= set(CATALOGUE)
