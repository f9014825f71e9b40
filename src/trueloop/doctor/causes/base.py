"""What can be wrong with a run, and which answers of which checks speak for it or against it.

Weights are natural logarithms of likelihood ratios, rounded: how much more often a check gives this answer in runs with
the cause than in runs without it.  exp(3) is 20 to 1, so that one such answer outweighs the prior of 1 to 20.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Signs = Mapping[str, tuple[float, float, float]]
"""Check id -> weight of its fail, of its warn, of its pass.  `unknown` says nothing."""

PRIOR = -3.0
"""Of every cause: 1 to 20 before anything was looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that can be wrong.

    id      the anchor of its section in docs/checks.md
    says    it in one sentence
    then    the next command or key
    signs   of the checks that the doctor asks
    record  the same for checks that are on record only: patterns of their ids
    curve   the metric that shows it; "" for one of transcripts: the mean reward, step by step
    shows   which completions are examples: all, cut, looping, unrewarded_right, rewarded_wrong, scaffold, running_on,
            empty, unscored, last
    """

    id: str
    says: str
    then: str
    signs: Signs
    record: Signs = field(default_factory=dict)
    curve: str = "reward/mean"
    shows: str = "last"


HEALTHY, UNCLEAR, NOTHING = "healthy", "unclear", "too-little-to-tell"
"""What is said where no cause is likelier than not: nothing contradicts; something does; too little is on record."""
