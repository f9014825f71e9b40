import math

import pytest

from trueloop.checks import pair_steps as p


def status(result):
    return result.status


@pytest.mark.parametrize(
    ("factor", "expected"), [(1.0, "pass"), (1.01, "warn"), (-1.0, "fail"), (8.0, "fail"), (0.1, "fail")]
)
def test_margins_are_what_is_declared(factor, expected):
    declared = [0.5, -1.25, 2.0, 0.0]
    found = p.match_objectives("short", [factor * d for d in declared], declared)
    assert found.status == expected and found.value["slope"] == pytest.approx(factor)


def test_an_objective_without_a_difference_cannot_be_matched():
    assert status(p.match_objectives("short", [0.0] * 4, [0.0] * 4)) == "unknown"


@pytest.mark.parametrize(("deviation", "expected"), [(1.0, "pass"), (4.0, "warn"), (9.0, "fail"), (0.0, "fail")])
def test_margins_have_the_size_of_labels(deviation, expected):
    assert status(p.scale("short", deviation, 0.5)) == expected
    assert status(p.scale("short", deviation, 0.0)) == "unknown"


def test_pairs_have_a_say():
    assert p.effective_pairs([0.5] * 20, 0.5).value == pytest.approx(1.0)
    assert status(p.effective_pairs([0.5] * 20, 0.5)) == "pass"
    assert status(p.effective_pairs([1.0] * 14 + [0.0] * 6, 0.5)) == "warn"
    half = p.effective_pairs([1.0] * 10 + [0.0] * 10, 0.1)
    assert (half.status, half.value) == ("fail", 0.5)
    assert status(p.effective_pairs([0.5] * 3, 0.5)) == "unknown"


@pytest.mark.parametrize(
    ("w", "beta", "expected"),
    [
        ((0.5, 0.5), 0.1, "pass"),
        ((1.0,), 0.1, "pass"),
        ((0.01, 0.99), 0.1, "fail"),
        ((0.5, -0.5), 0.1, "fail"),
        ((0.5, 0.5), 0.0, "fail"),
        ((0.5, math.nan), 0.1, "fail"),
    ],
)
def test_weights_are_ones_that_the_loss_is_defined_at(w, beta, expected):
    assert status(p.weights(w, beta)) == expected


def test_hard_labels_beside_margins_are_named():
    assert [status(p.hard_labels(*x)) for x in ((0, 0, 9), (1, 9, 9), (1, 0, 9))] == ["pass", "pass", "warn"]


def test_the_optimum_has_signs_and_sizes():
    wanted = {"labels": 8.0, "short": 2.0}
    assert status(p.optimum(wanted, wanted)) == "pass"
    assert status(p.optimum({"labels": 8.0, "short": -2.0}, wanted)) == "fail"
    assert status(p.optimum({"labels": 8.0, "short": 0.0}, wanted)) == "fail"
    assert status(p.optimum({"labels": 4.0, "short": 2.0}, wanted)) == "warn"


def test_the_reference_is_the_start_and_stays():
    assert [status(p.is_the_start(x)) for x in ([1e-6], [1e-6, 0.01], [math.nan], [])] == [
        *("pass", "fail", "fail", "unknown")
    ]
    assert [status(p.stays(*x)) for x in (([0.0], [0.1]), ([0.1], [0.1]), ([0.0], [0.0]), ([], []))] == [
        *("pass", "fail", "unknown", "unknown")
    ]
    assert [status(p.starts_from_what_is_named("x", same)) for same in (False, True, None)] == [
        *("pass", "fail", "unknown")
    ]


def test_the_first_loss_is_known():
    assert status(p.loss_at_start(math.log(2) + 1e-5, math.log(2))) == "pass"
    assert status(p.loss_at_start(0.71, math.log(2))) == status(p.loss_at_start(math.nan, 0.7)) == "fail"


def test_a_step_goes_the_labels_way():
    assert status(p.direction([0.2, -0.1], [0.5, 0.5])) == "pass"
    assert status(p.direction([0.2, -0.1], [-0.5, 0.5])) == "fail"
    assert status(p.direction([0.0], [0.5])) == status(p.direction([math.nan], [0.5])) == "fail"
    assert status(p.direction([0.2], [0.0])) == "unknown"


@pytest.mark.parametrize(
    ("change", "expected"), [(0.03, "pass"), (0.5, "warn"), (3.0, "fail"), (math.nan, "fail"), (0.0, "fail")]
)
def test_a_step_has_a_size(change, expected):
    assert status(p.size(change, 1e-4, 50)) == expected


def test_the_warm_up_ends():
    assert status(p.warmup(1e-4, 1e-4, 5, 50)) == "pass"
    assert status(p.warmup(1e-4, 1e-4, 40, 50)) == "warn"
    assert status(p.warmup(1e-6, 1e-4, 50, 50)) == "fail"


def test_one_step_settles_no_pair():
    assert [status(p.saturation(x, 0.1)) for x in ([0.1] * 12, [-9.0] * 12, [math.nan] * 12, [9.0] * 2)] == [
        *("pass", "fail", "fail", "unknown")
    ]


def test_what_trains_moves_and_nothing_else():
    assert status(p.policy_moves(["a"], [], ["b"])) == "pass"
    assert status(p.policy_moves(["a"], ["b"], [])) == status(p.policy_moves([], [], ["a"])) == "fail"
    assert status(p.trains_the_policy_alone([], [], 4, 9)) == "pass"
    assert status(p.trains_the_policy_alone(["w"], [], 4, 9)) == "fail"
    assert status(p.trains_the_policy_alone([], ["w"], 4, 9)) == "fail"
    assert status(p.trains_the_policy_alone([], [], 0, 9)) == "fail"


def test_an_adapter_can_learn():
    assert status(p.adapter_can_learn(["a", "b"], [], [], False, 2)) == "pass"
    assert status(p.adapter_can_learn(["a", "b"], [], [], True, 2)) == "fail"
    assert status(p.adapter_can_learn([], ["a"], [], False, 2)) == "fail"
    assert status(p.adapter_can_learn([], [], ["a"], False, 2)) == "fail"
    assert status(p.adapter_can_learn([], [], [], False, 0)) == "unknown"


def test_numbers_are_finite():
    assert [status(p.finite(*x)) for x in (([], [], 4), (["w"], [], 4), ([], ["r"], 4))] == ["pass", "fail", "fail"]
