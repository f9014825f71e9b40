from __future__ import annotations

import math
import random

from trueloop.checks.numerics.cause import FLOAT32, beyond, explain, gap

DICE = random.Random(0)
TRUE = [-DICE.expovariate(1.0) for _ in range(200)]


def test_a_gap_has_mean_extreme_and_direction() -> None:
    found = gap([-1.0, -2.0], [-1.5, -2.0])
    assert (found.n, found.mean, found.high, found.bias) == (2, 0.25, 0.5, 0.25)
    assert found.rms == math.sqrt(0.125)
    assert gap([math.nan], [-1.0]).high == math.inf


def test_beyond_is_the_worse_of_mean_and_largest() -> None:
    assert beyond(gap([1e-4, 0.0], [0.0, 0.0]), FLOAT32) == 0.5
    assert beyond(gap([1e-2] + [0.0] * 999, [0.0] * 1000), FLOAT32) == 10.0


def test_the_hypothesis_that_leaves_nothing_is_named() -> None:
    half = [v / 2 - 0.1 for v in TRUE]
    assert explain(half, TRUE, {"wrong": [v - 1 for v in TRUE], "right": [v + 1e-6 for v in half]}) == "right"


def test_scales_signs_and_probabilities_need_no_model() -> None:
    assert "base 2" in explain([v / math.log(2) for v in TRUE], TRUE, {})
    assert "sign turned" in explain([-v for v in TRUE], TRUE, {})
    assert "times 3" in explain([3 * v for v in TRUE], TRUE, {})
    assert "instead of their logarithms" in explain([math.exp(v) for v in TRUE], TRUE, {})


def test_one_value_at_all_wrong_tokens_is_a_default() -> None:
    some = [-100.0 if k % 9 == 0 else v for k, v in enumerate(TRUE)]
    assert explain(some, TRUE, {}).startswith("23 of 200 tokens have the same value -100")


def test_what_is_left_is_noise_of_a_precision_or_of_its_own_or_unexplained() -> None:
    noisy = [v + DICE.gauss(0, 0.02) for v in TRUE]
    assert explain(noisy, TRUE, {}, {"computed in bfloat16": 0.015}) == "computed in bfloat16"
    assert explain(noisy, TRUE, {}, {"computed in bfloat16": 0.001}).startswith("noise without direction")
    lifted = [v + abs(DICE.gauss(0, 0.5)) for v in TRUE]
    assert explain(lifted, TRUE, {}) == "none of the causes that were tried explains it"
