from __future__ import annotations

from trueloop.checks.catalogue import CATALOGUE
from trueloop.faults import updates


def test_every_fault_names_checks_that_exist() -> None:
    assert len({fault.id for fault in updates.FAULTS}) == len(updates.FAULTS) > 4
    assert {id for fault in updates.FAULTS for id in fault.caught_by} <= CATALOGUE.keys()
