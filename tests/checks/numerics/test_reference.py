from __future__ import annotations

from trueloop.checks.numerics import reference

TRUE = [-0.5, -1.5, -0.01, -3.0]


def test_the_reference_is_the_policy_before_the_first_step() -> None:
    assert reference.reference_is_policy(TRUE, TRUE).status == "pass"
    away = reference.reference_is_policy([v - 0.1 for v in TRUE], TRUE, cause="another model")
    assert away.status == "fail" and "+0.1 nats" in away.evidence and "another model" in away.evidence
    assert reference.reference_is_policy([], []).status == "unknown"


def test_the_ratio_is_one_before_the_first_step() -> None:
    assert reference.ratio_starts_at_one(TRUE, [v + 1e-5 for v in TRUE]).status == "pass"
    assert reference.ratio_starts_at_one(TRUE, [v + 2e-4 for v in TRUE]).status == "warn"
    assert reference.ratio_starts_at_one(TRUE, [v * 0.6 for v in TRUE]).status == "fail"
    assert reference.ratio_starts_at_one([], []).status == "unknown"
