"""What a run says of itself: metrics, steps, checks, and what is needed to repeat it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from trueloop.records.problems import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A mean that merges exactly over micro-batches and ranks; its extremes keep a spike from being averaged away."""

    total: float
    count: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Metric | None:
        """The metric of a list of values; None for no values, since their mean was not computed."""
        return cls(total=math.fsum(values), count=len(values), low=min(values), high=max(values)) if values else None

    @property
    def mean(self) -> float:
        """Total over count."""
        return self.total / self.count

    def merge(self, other: Metric) -> Metric:
        """The metric of both sets of values together."""
        return Metric(
            total=self.total + other.total,
            count=self.count + other.count,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What one optimizer step did.  `version` counts optimizer steps taken, this one included.

    denominator  per stream: trained tokens (or rows, or pairs) that the loss was divided by
    metrics      means with extremes over every trained token, row or pair of the step, all ranks; a pair's values count
                 by its weight
    seconds      wall time by part of the step
    """

    step: int
    version: int
    loss: float
    grad_norm: float
    lr: float
    denominator: Mapping[str, float]
    metrics: Mapping[str, Metric]
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """A check's answer to its question.  `unknown` is never shown as pass; `advice` names the key or the command.

    allowed  why a fail does not stop the run, in the words of whoever allowed it; empty where nobody did
    """

    id: str
    status: Literal["pass", "warn", "fail", "unknown"]
    value: Json = None
    limit: Json = None
    evidence: str = ""
    advice: str = ""
    allowed: str = ""

    @property
    def refuses(self) -> bool:
        """Whether it stops the run."""
        return self.status == "fail" and not self.allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What is needed to repeat a run."""

    recipe: str
    config: Mapping[str, Json]
    difference: Mapping[str, Json]
    fingerprint: str
    commit: str | None
    dirty: bool | None
    packages: Mapping[str, str]
    seed: int
    data: Mapping[str, str]
    started_at: str
