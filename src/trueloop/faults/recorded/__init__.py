"""Failures on record: what has gone wrong, unnoticed, in real post-training work, by family and number.

Each is planted as one or more faults of `faults.catalogue`, or says why it cannot be planted here.
"""

from __future__ import annotations

from trueloop.faults.recorded import belief, hacking, preference, rlvr, trl
from trueloop.faults.recorded.base import Recorded

RECORDED: dict[str, Recorded] = {
    record.id: record for family in (rlvr, trl, preference, belief, hacking) for record in family.RECORDS
}
