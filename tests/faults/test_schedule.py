from pathlib import Path

from trueloop.faults import schedule
from trueloop.preflight import resources


def test_the_machine_looks_smaller_inside():
    with schedule._full_disk():
        assert resources.free_disk(Path()) == 10**7
    with schedule._small_memory():
        assert resources.device_memory(None) == 10**8
    assert resources.free_disk(Path()) != 10**7
