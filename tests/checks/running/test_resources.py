"""Each check of what the run stands on."""

from trueloop.checks.running import resources


def test_disk():
    assert resources.disk(10**9, None, 0.0).status == "unknown"
    assert resources.disk(10**9, 10**7, 10**6).status == "pass"
    assert resources.disk(3 * 10**7, 10**7, 10**6).status == "warn"
    assert resources.disk(10**7, 10**7, 10**6).status == "fail"


def test_memory():
    assert resources.memory(None, None).status == "unknown"
    assert [resources.memory(n, 1000).status for n in (500, 40, 5)] == ["pass", "warn", "fail"]


def test_the_age_of_the_last_checkpoint():
    assert resources.checkpoint_age(30, 0, 10).status == "pass"
    assert resources.checkpoint_age(31, None, 10).status == "warn"
    assert resources.checkpoint_age(31, 20, 10).status == "pass"


def test_verdicts_that_take_longer_than_at_the_start():
    began = [0.01, 0.02, 0.01, 0.01, 0.01]
    assert resources.verifier_seconds(began[:4], []).status == "unknown"
    assert resources.verifier_seconds(began, [0.02, 0.9]).status == "pass"
    assert resources.verifier_seconds(began, [0.2, 0.9]).status == "warn"
    assert resources.verifier_seconds(began, [2.0, 3.0]).status == "fail"
    assert resources.verifier_seconds([1e-4] * 5, [0.05, 0.05]).status == "pass"
