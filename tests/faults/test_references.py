from __future__ import annotations

from trueloop.checks.catalogue import CATALOGUE
from trueloop.faults import references


def test_every_fault_names_checks_that_exist() -> None:
    assert len({fault.id for fault in references.FAULTS}) == len(references.FAULTS) > 4
    assert {id for fault in references.FAULTS for id in fault.caught_by} <= CATALOGUE.keys()
