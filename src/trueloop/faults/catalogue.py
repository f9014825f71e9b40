"""Every fault, by id."""

from __future__ import annotations

from trueloop.faults import stepping
from trueloop.faults.base import Fault

FAULTS: dict[str, Fault] = {fault.id: fault for theme in (stepping,) for fault in theme.FAULTS}
