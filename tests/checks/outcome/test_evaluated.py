import pytest

from doctor_toys import share
from trueloop.checks.outcome import evaluated
from trueloop.checks.outcome.evaluated import Point
from trueloop.formulas.stats import Estimate


def points(*means, n=200):
    return [Point(step=10 * i, figure=share(mean, n)) for i, mean in enumerate(means)]


def test_the_change_and_its_interval():
    gain, low, high = evaluated.change(share(0.4), share(0.6))
    assert gain == pytest.approx(0.2)
    assert high - gain == pytest.approx(gain - low) == pytest.approx(1.972 * 2**0.5 * share(0.4).se, rel=1e-3)


def test_evaluated():
    assert [evaluated.evaluated(points(*m)).status for m in ((0.1, 0.2), (0.1,))] == ["pass", "warn"]


def test_effect():
    def status(*means, n=200):
        return evaluated.effect(points(*means, n=n)).status

    assert [status(0.4, 0.6), status(0.6, 0.4), status(0.5, 0.52), status(0.5)] == [
        "pass",
        "fail",
        "unknown",
        "unknown",
    ]
    assert status(0.5, 0.505, n=10_000) == "warn"


def test_best_of_several():
    assert evaluated.best_of_several(points(0.2, 0.6, 0.7, 0.8)).status == "pass"
    assert evaluated.best_of_several(points(0.4, 0.5, 0.51, 0.49, 0.5)).status == "warn"
    assert evaluated.best_of_several(points(0.4, 0.5, 0.49, 0.5, 0.51)).status == "pass", "nothing was chosen"
    assert evaluated.best_of_several(points(0.4, 0.42, 0.41)).status == "pass"
    assert evaluated.best_of_several(points(0.4, 0.5)).status == "unknown"


def test_kept_its_best():
    assert evaluated.kept_its_best(points(0.2, 0.9, 0.4)).status == "fail"
    assert evaluated.kept_its_best(points(0.2, 0.52, 0.48)).status == "pass"
    assert evaluated.kept_its_best(points(0.2, 0.5)).status == "unknown"


def test_like_with_like():
    refusal = "these evaluations are not alike:\n  grader: 'a' (x), 'b' (y)\nEvaluate again"
    assert evaluated.like_with_like(None, 2).status == "pass"
    assert "grader: 'a' (x), 'b' (y)" in evaluated.like_with_like(refusal, 2).evidence
    assert evaluated.like_with_like(None, 1).status == "unknown"


def test_cut():
    statuses = [evaluated.evaluation_not_cut(share, 500).status for share in (0.0, 0.06, 0.3, None)]
    assert statuses == ["pass", "warn", "fail", "unknown"]


def test_strict_and_lenient():
    def status(gap):
        return evaluated.strict_beside_lenient(share(0.5), share(0.5 + gap), share(gap)).status

    assert [status(0.02), status(0.18), status(0.4)] == ["pass", "warn", "fail"]
    assert evaluated.strict_beside_lenient(None, share(0.5), None).status == "unknown"
    assert evaluated.format_kept(points(0.7, 0.3), points(0.7, 0.75)).status == "fail"
    assert evaluated.format_kept(points(0.3, 0.7), points(0.7, 0.75)).status == "pass"
    assert evaluated.format_kept(points(0.3), points(0.7)).status == "unknown"


def test_reward_and_evaluation():
    check = evaluated.reward_and_evaluation_agree
    assert check((share(0.2), share(0.8)), (share(0.6), share(0.3))).status == "fail"
    assert check((share(0.2), share(0.8)), (share(0.5), share(0.5))).status == "warn"
    assert check((share(0.2), share(0.5)), (share(0.3), share(0.6))).status == "pass"
    assert check(None, (share(0.3), share(0.6))).status == "unknown"


def test_audits():
    assert evaluated.audit_kept({"exploited": (share(0.1), share(0.6))}).status == "fail"
    assert evaluated.audit_kept({"exploited": (share(0.1), share(0.12))}).status == "pass"
    assert evaluated.audit_kept({}).status == "unknown"


def test_answers_add_up():
    whole = {"problems": 100, "samples": 2, "answers": 200, "scored": 200, "errors": 0}
    assert evaluated.answers_add_up(whole).status == "pass"
    assert evaluated.answers_add_up({**whole, "scored": 190}).status == "fail"
    assert evaluated.answers_add_up({**whole, "scored": 190, "errors": 10}).status == "warn"
    assert evaluated.answers_add_up({**whole, "scored": 160, "lost": 40}).status == "fail"


def test_evaluations_that_are_one():
    assert evaluated.evaluations_differ([(10, [0.5]), (20, [0.5]), (30, [0.5])]).status == "fail"
    assert evaluated.evaluations_differ([(10, [0.5]), (20, [0.5]), (30, [0.6])]).status == "pass"
    assert evaluated.evaluations_differ([(10, [0.5])]).status == "unknown"


def test_no_error_no_change():
    bare = Estimate(mean=0.5, se=None, low=None, high=None, n=1, clusters=1)
    assert evaluated.change(bare, share(0.4)) is None
