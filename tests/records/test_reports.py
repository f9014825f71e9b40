from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from trueloop.records import Metric

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20)


@given(values, values)
def test_metrics_merge_exactly(a: list[float], b: list[float]) -> None:
    first, second, whole = Metric.of(a), Metric.of(b), Metric.of(a + b)
    assert first is not None and second is not None and whole is not None
    merged = first.merge(second)
    assert merged.mean == approx(whole.mean, abs=1e-6)
    assert (merged.count, merged.low, merged.high) == (whole.count, whole.low, whole.high)


def test_the_mean_of_nothing_was_not_computed() -> None:
    assert Metric.of([]) is None
