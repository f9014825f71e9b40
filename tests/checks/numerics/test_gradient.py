from __future__ import annotations

import math
from dataclasses import replace

from trueloop.checks.numerics import gradient

OWN = gradient.Layout(words="own", distance=0.0, norm_ratio=1.0, loss=0.2, denominators={"policy": 10.0})
SAME = replace(OWN, words="one by one", distance=1e-6)


def test_a_step_does_not_depend_on_the_layout() -> None:
    assert gradient.layout_invariant(OWN, [SAME]).status == "pass"
    assert gradient.layout_invariant(OWN, [SAME, replace(SAME, distance=0.4)]).status == "fail"
    assert gradient.layout_invariant(OWN, [replace(SAME, distance=math.nan)]).status == "fail"
    assert gradient.layout_invariant(OWN, [replace(SAME, denominators={"policy": 5.0})]).status == "fail"
    assert gradient.layout_invariant(OWN, [replace(SAME, loss=0.5)]).status == "fail"
    assert gradient.layout_invariant(None, []).status == "unknown"


def test_a_report_says_what_is() -> None:
    right = gradient.Reported(name="loss", reported=1.0, recomputed=1.0001)
    assert gradient.report_is_true([right]).status == "pass"
    assert gradient.report_is_true([replace(right, reported=2.0)]).status == "fail"
    assert gradient.report_is_true([replace(right, reported=math.nan)]).status == "fail"
    assert gradient.report_is_true([gradient.Reported(name="l", reported=1e-7, recomputed=0.0, scale=1.0)]).status == (
        "pass"
    )
    assert gradient.report_is_true([right], ["entropy is exactly 0 at every token"]).status == "warn"
    assert gradient.report_is_true([]).status == "unknown"


def test_a_gradient_is_the_slope() -> None:
    assert gradient.gradient_is_slope(1.0, 0.95).status == "pass"
    assert gradient.gradient_is_slope(2.0, 1.0).status == "fail"
    assert gradient.gradient_is_slope(1.0, -1.0).status == "fail"
    assert gradient.gradient_is_slope(0.0, math.nan).status == "unknown"


def test_a_gradient_has_a_size_to_work_with() -> None:
    fine = {"max_norm": 1.0, "median": 1e-4, "eps": 1e-8, "mean_weight": 1.0}
    assert gradient.gradient_size(1.3, **fine).status == "pass"
    assert gradient.gradient_size(1e5, **fine).status == "warn"
    assert gradient.gradient_size(1.3, **{**fine, "max_norm": 1e-6}).status == "warn"
    assert gradient.gradient_size(1.3, **{**fine, "eps": 0.1}).status == "warn"
    assert gradient.gradient_size(math.inf, **fine).status == "fail"
    assert gradient.gradient_size(0.0, **fine).status == "unknown"
