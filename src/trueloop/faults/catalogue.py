"""Every fault, by id."""

from __future__ import annotations

from trueloop.faults import (
    data,
    directions,
    following,
    pair_training,
    pairs,
    prompts,
    running,
    sampled,
    schedule,
    served,
    stepping,
    tasks,
)
from trueloop.faults.base import Fault

FAULTS: dict[str, Fault] = {
    fault.id: fault
    for theme in (
        tasks,
        data,
        prompts,
        sampled,
        stepping,
        directions,
        following,
        schedule,
        served,
        pairs,
        pair_training,
        running,
    )
    for fault in theme.FAULTS
}
