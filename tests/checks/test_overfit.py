from trueloop.checks import overfit


def test_reward():
    assert overfit.reward([0.2] * 5 + [0.95] * 5, 1.0, 10).status == "pass"
    assert overfit.reward([0.2] * 5 + [0.6] * 5, 1.0, 10).status == "warn"
    assert overfit.reward([0.2] * 10, 1.0, 10).status == "fail"
    assert overfit.reward([0.0] * 10, 0.0, 10).status == "unknown"  # nothing was ever rewarded
    assert overfit.reward([0.2] * 3, 1.0, 10).status == "unknown"


def test_loss():
    assert overfit.loss([3.0] * 5 + [0.05] * 5, 10).status == "pass"
    assert overfit.loss([3.0] * 5 + [1.0] * 5, 10).status == "warn"
    assert overfit.loss([3.0] * 10, 10).status == "fail"
    assert overfit.loss([3.0] * 5 + [float("nan")] * 5, 10).status == "fail"
    assert overfit.loss([3.0], 10).status == "unknown"
