"""Every fault, by id."""

from __future__ import annotations

from collections import Counter

from trueloop.faults import (
    crediting,
    data,
    directions,
    following,
    judging,
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

THEMES = (
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
    judging,
)

FAULTS: dict[str, Fault] = {fault.id: fault for theme in THEMES for fault in theme.FAULTS}

if repeated := [id for id, n in Counter(f.id for theme in THEMES for f in theme.FAULTS).items() if n > 1]:
    raise ValueError(f"two faults have the id {repeated[0]!r}")
