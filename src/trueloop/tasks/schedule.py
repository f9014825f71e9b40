"""Values that change over the steps of a run: few-shot examples in the prompt, leniency of the reward."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from trueloop.config import Config


class Constant(Config):
    """The same value at every step."""

    kind: Literal["constant"] = "constant"
    at: float

    def value(self, step: int) -> float:
        """The value at an optimizer step."""
        return self.at


class Linear(Config):
    """`start` up to step `begin`, `end` from step `finish` on, a straight line between."""

    kind: Literal["linear"] = "linear"
    start: float
    end: float
    begin: int = Field(default=0, ge=0)
    finish: int

    @model_validator(mode="after")
    def _in_order(self) -> Linear:
        if self.finish <= self.begin:
            raise ValueError(f"finish must be after begin, got begin {self.begin} and finish {self.finish}")
        return self

    def value(self, step: int) -> float:
        """The value at an optimizer step."""
        done = (step - self.begin) / (self.finish - self.begin)
        return self.start + (self.end - self.start) * min(max(done, 0.0), 1.0)


class Piecewise(Config):
    """`points` are (step, value): a value holds from its step until the next point's.  The first point is at
    step 0."""

    kind: Literal["piecewise"] = "piecewise"
    points: tuple[tuple[int, float], ...]

    @model_validator(mode="after")
    def _in_order(self) -> Piecewise:
        steps = [step for step, _ in self.points]
        if steps[:1] != [0] or any(a >= b for a, b in pairwise(steps)):
            raise ValueError(f"points must begin at step 0 and have rising steps, got steps {steps}")
        return self

    def value(self, step: int) -> float:
        """The value at an optimizer step."""
        return max((s, v) for s, v in self.points if s <= step)[1]


Schedule = Annotated[Constant | Linear | Piecewise, Field(discriminator="kind")]


def extremes(schedule: Constant | Linear | Piecewise) -> tuple[float, ...]:
    """The values that a schedule is given by, between which all its values lie."""
    if isinstance(schedule, Constant):
        return (schedule.at,)
    if isinstance(schedule, Linear):
        return (schedule.start, schedule.end)
    return tuple(value for _, value in schedule.points)
