"""When a run ends before its last step, and which checkpoint was best: decided by guard evaluations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Literal

from pydantic import Field

from trueloop.config import Config
from trueloop.errors import ConfigError
from trueloop.records import Json


class Target(Config):
    """Stop when the guard's metric reaches `value`."""

    kind: Literal["target"] = "target"
    value: float


class Patience(Config):
    """Stop when no evaluation of the last `evaluations` beats the best one before them by more than `min_gain`."""

    kind: Literal["patience"] = "patience"
    evaluations: Annotated[int, Field(ge=1)]
    min_gain: Annotated[float, Field(ge=0)] = 0.0


EarlyStop = Annotated[Target | Patience, Field(discriminator="kind")]


class GuardConfig(Config):
    """Evaluate on held-out problems every `every` steps; keep the checkpoint with the highest `metric`."""

    every: Annotated[int, Field(ge=1)]
    metric: str
    stop: EarlyStop | None = None


class Guard:
    """Runs guard evaluations and says when to stop.  Higher is better.

    Choosing the best of several checkpoints by the same evaluation is optimistic: judge the chosen one on other rows.
    """

    def __init__(self, config: GuardConfig, evaluate: Callable[[], Awaitable[Mapping[str, Json]]]) -> None:
        self.config, self._evaluate = config, evaluate
        self.history: list[tuple[int, float]] = []

    def due(self, step: int) -> bool:
        """Whether this step ends with an evaluation; step 0 is the model before training."""
        return step % self.config.every == 0

    async def measure(self, step: int) -> tuple[float, Mapping[str, Json]]:
        """The metric and the whole evaluation."""
        row = await self._evaluate()
        value = _number(row.get(self.config.metric))
        if value is None:
            numbers = sorted(k for k, v in row.items() if _number(v) is not None)
            raise ConfigError(f"guard.metric = {self.config.metric!r} is not in the evaluation; it has {numbers}")
        self.history.append((step, value))
        return value, row

    def verdict(self) -> str | None:
        """Why the run should stop now, or None."""
        stop = self.config.stop
        if stop is None or not self.history:
            return None
        values = [v for _, v in self.history]
        if stop.kind == "target":
            reached = values[-1] >= stop.value
            return f"{self.config.metric} reached {values[-1]:.4g} (target {stop.value:g})" if reached else None
        before, recent = values[: -stop.evaluations], values[-stop.evaluations :]
        if before and not max(recent) > max(before) + stop.min_gain:
            return f"{self.config.metric} has not risen above {max(before):.4g} in {stop.evaluations} evaluations"
        return None

    def state(self) -> Json:
        """The evaluations so far."""
        return [list(row) for row in self.history]

    def restore(self, state: Json) -> None:
        """Go on after the evaluations of `state`."""
        self.history = [(int(step), float(value)) for step, value in state]


def _number(value: Json) -> float | None:
    """A number, or the mean of an estimate with its interval."""
    if isinstance(value, Mapping):
        value = value.get("mean")
    return float(value) if isinstance(value, float | int) and not isinstance(value, bool) else None
