import pytest
from pydantic import ValidationError

from trueloop.tasks.schedule import Constant, Linear, Piecewise, extremes


def test_constant():
    assert [Constant(at=3).value(step) for step in (0, 1, 1000)] == [3, 3, 3]


def test_linear_ramps_between_its_steps_and_holds_outside():
    ramp = Linear(start=1.0, end=0.0, begin=10, finish=20)
    assert [ramp.value(step) for step in (0, 10, 15, 20, 99)] == [1.0, 1.0, 0.5, 0.0, 0.0]
    assert Linear(start=2.0, end=4.0, finish=2).value(1) == 3.0


def test_piecewise_holds_until_the_next_point():
    steps = Piecewise(points=((0, 4.0), (5, 2.0), (9, 0.0)))
    assert [steps.value(step) for step in (0, 4, 5, 8, 9, 100)] == [4, 4, 2, 2, 0, 0]


@pytest.mark.parametrize("points", [(), ((1, 4.0),), ((0, 4.0), (0, 2.0)), ((0, 1.0), (5, 1.0), (3, 1.0))])
def test_piecewise_points_must_begin_at_zero_and_rise(points):
    with pytest.raises(ValidationError, match="rising"):
        Piecewise(points=points)


def test_a_ramp_must_have_a_length():
    with pytest.raises(ValidationError, match="finish must be after begin"):
        Linear(start=1.0, end=0.0, begin=5, finish=5)


def test_the_extremes_bound_every_value() -> None:
    schedules = [Constant(at=2.0), Linear(start=1.0, end=0.25, finish=9), Piecewise(points=((0, 3.0), (4, 1.0)))]
    for schedule in schedules:
        values = [schedule.value(step) for step in range(20)]
        assert (min(extremes(schedule)), max(extremes(schedule))) == (min(values), max(values))
