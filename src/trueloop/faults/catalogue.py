"""Every fault, by id."""

from __future__ import annotations

from trueloop.faults import directions, following, pair_training, pairs, prompts, running, sampled, served, stepping
from trueloop.faults.base import Fault

FAULTS: dict[str, Fault] = {
    fault.id: fault
    for theme in (prompts, sampled, stepping, directions, following, served, pairs, pair_training, running)
    for fault in theme.FAULTS
}
