"""Every fault, by id."""

from __future__ import annotations

from trueloop.faults import (
    crediting,
    data,
    directions,
    following,
    losses,
    numerics,
    pair_training,
    pairs,
    peers,
    prompts,
    references,
    running,
    sampled,
    schedule,
    served,
    stepping,
    tasks,
    updates,
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
        peers,
        numerics,
        references,
        losses,
        updates,
        crediting,
        running,
    )
    for fault in theme.FAULTS
}
