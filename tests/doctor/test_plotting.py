from trueloop.doctor.plotting import plot


def test_a_rising_curve_rises():
    lines = plot([(i, float(i)) for i in range(1, 9)], height=1)
    assert lines == ["1 |▁▂▃▄▅▆▇█", "step  1      8"] or lines[0].endswith("|▁▂▃▄▅▆▇█")


def test_extremes_are_named_and_what_is_not_finite_is_left_out():
    lines = plot([(1, 0.0), (2, float("nan")), (3, 10.0)], height=2)
    assert lines[0].startswith("   10 |") or lines[0].startswith("10 |")
    assert lines[-1].split() == ["step", "1", "3"] or lines[-1].endswith("3")


def test_one_value_is_no_curve():
    assert plot([(1, 2.0)]) == []
