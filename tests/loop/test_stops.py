import asyncio

import pytest

from trueloop.errors import ConfigError
from trueloop.loop.stops import Guard, GuardConfig, Patience, Target


def measured(config: GuardConfig, values: list[float]) -> Guard:
    queue = list(values)

    async def evaluate() -> dict[str, float]:
        return {"accuracy": queue.pop(0), "length": 3.0}

    guard = Guard(config, evaluate)
    for step in range(len(values)):
        asyncio.run(guard.measure(step))
    return guard


def test_target_stops_when_it_is_reached_and_not_before() -> None:
    config = GuardConfig(every=1, metric="accuracy", stop=Target(value=0.5))
    assert measured(config, [0.2, 0.49]).verdict() is None
    assert "reached 0.5" in str(measured(config, [0.2, 0.5]).verdict())


def test_patience_counts_evaluations_since_the_best() -> None:
    config = GuardConfig(every=1, metric="accuracy", stop=Patience(evaluations=2, min_gain=0.01))
    assert measured(config, [0.3, 0.305]).verdict() is None
    assert measured(config, [0.3, 0.305, 0.32]).verdict() is None
    assert "has not risen above 0.3" in str(measured(config, [0.3, 0.305, 0.3]).verdict())


def test_a_plateau_runs_out_of_patience_also_without_a_least_gain() -> None:
    config = GuardConfig(every=1, metric="accuracy", stop=Patience(evaluations=3))
    assert measured(config, [0.5] * 3).verdict() is None
    assert "has not risen above 0.5 in 3 evaluations" in str(measured(config, [0.5] * 4).verdict())
    assert measured(config, [0.5, 0.5, 0.5, 0.51]).verdict() is None
    assert measured(GuardConfig(every=1, metric="accuracy", stop=None), [0.5] * 50).verdict() is None


def test_patience_goes_on_exactly_after_a_resume() -> None:
    config = GuardConfig(every=1, metric="accuracy", stop=Patience(evaluations=2))
    first = measured(config, [0.5, 0.4])
    second = measured(config, [])
    second.restore(first.state())
    assert second.history == first.history
    assert second.verdict() is None


def test_a_metric_that_the_evaluation_lacks_is_named_beside_those_it_has() -> None:
    with pytest.raises(ConfigError, match=r"'acuracy' is not in the evaluation; it has \['accuracy', 'length'\]"):
        measured(GuardConfig(every=1, metric="acuracy"), [0.1])


def test_due_includes_the_model_before_training() -> None:
    guard = measured(GuardConfig(every=5, metric="accuracy"), [])
    assert [s for s in range(11) if guard.due(s)] == [0, 5, 10]
