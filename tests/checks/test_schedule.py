import math

import pytest

from trueloop.checks import schedule


def test_learning_rate():
    assert schedule.learning_rate({1: 1e-4, 10: 1e-4}, 1e-4).status == "pass"
    assert schedule.learning_rate({1: 1e-6, 10: 1e-5 / 2}, 1e-4).status == "fail"  # a twentieth is the highest
    assert schedule.learning_rate({1: 1e-6, 10: 4e-5}, 1e-4).status == "warn"
    dead = {k: 1e-4 if k < 4 else 0.0 for k in range(1, 11)}
    assert schedule.learning_rate(dead, 1e-4).status == "fail"
    assert schedule.learning_rate({k: 1e-4 if k < 9 else 0.0 for k in range(1, 11)}, 1e-4).status == "warn"


def test_travel():
    assert schedule.travel(0.01, 1e-4, 0.02).status == "pass"
    assert schedule.travel(10.0, 1.0, 0.02).status == "fail"
    assert schedule.travel(1e-30, 1e-31, 0.02).status == "fail"
    assert schedule.travel(1e-8, 1e-9, 0.02).status == "warn"
    assert schedule.travel(10.0, 1e-3, 0.02).status == "warn"
    assert schedule.travel(0.01, 1e-4, None).status == "unknown"


def test_adapter_scale():
    assert [schedule.adapter_scale(x, 1e-4).status for x in (2.0, 128.0, 1000.0)] == ["pass", "warn", "fail"]


def test_checkpoints():
    assert schedule.checkpoints(80, 10, 1, None).status == "pass"
    assert schedule.checkpoints(80, 1000, 1, None).status == "warn"
    assert schedule.checkpoints(80, 1000, 1, 20).status == "pass"  # an evaluation saves one
    assert schedule.checkpoints(80, 10, 7, None).value["first"] == 70  # only where both are due
    assert schedule.checkpoints(5, 5, 1, None).status == "pass"  # too short to matter


def test_guard():
    assert schedule.guard(80, 20, None, 0.9).status == "pass"
    assert schedule.guard(80, 1000, None, None).status == "warn"
    assert schedule.guard(80, 20, 50, None).status == "warn"
    assert schedule.guard(80, 20, None, 90).status == "warn"
    assert schedule.guard(80, None, None, None).status == "unknown"


def test_weight_decay():
    assert schedule.weight_decay(80 * 1e-4, 0.1).status == "pass"
    assert schedule.weight_decay(80 * 1e-4, 20.0).status == "warn"
    assert schedule.weight_decay(80 * 1e-4, 1000.0).status == "fail"
    assert schedule.weight_decay(2.0, 0.5).value == pytest.approx(1 - math.exp(-1))


def test_entropy_bonus():
    assert [schedule.entropy_bonus(c).status for c in (0.0, 0.01, -0.01, 1.0)] == ["pass", "pass", "warn", "warn"]


def test_passes():
    assert schedule.passes(1000, 10, 100, None).value["passes"] == 1
    assert schedule.passes(1000, 10, 20000, None).status == "warn"
    assert schedule.passes(1000, 10, 120, 1).status == "warn"  # the data ends after 100 of 120
    assert schedule.passes(1000, 10, 300, 1).status == "warn"


def test_batch():
    assert schedule.batch(16, 8, True).status == "pass"
    assert schedule.batch(16, 2, True).status == "warn"
    assert schedule.batch(64, 1, True).status == "fail"
    assert schedule.batch(64, 1, False).status == "pass"
    assert schedule.batch(4, 1, False).status == "warn"


def test_staleness():
    assert schedule.staleness(1, 32, 1000).status == "pass"
    assert schedule.staleness(100, 32, 1000).status == "warn"
    assert schedule.staleness(2, 48, 10).status == "warn"


def test_what_is_there_is_left_out_of_a_healthy_answer():
    for needs, much in ((schedule.memory, 0.8), (schedule.disk, 0.5)):
        assert needs(100, 10**6).evidence == needs(100, 10**7).evidence
        assert needs(100, 10**6).status == "pass"
        assert needs(100, round(100 / much) - 1).status == "warn"
        assert needs(100, 99).status == "fail"
        assert needs(100, None).status == "unknown"


def test_time():
    assert schedule.time(1e12, 1e11).status == "pass"
    assert schedule.time(1e20, 1e11).status == "warn"


def test_longest_row():
    assert schedule.longest_row(100, 200, 512, 65536).status == "pass"
    assert schedule.longest_row(400, 200, 512, 65536).status == "warn"
    assert schedule.longest_row(100, 512, 512, 65536).status == "fail"
    assert "cache_tokens" in schedule.longest_row(100, 200, None, 128).evidence


def test_retention():
    assert schedule.retention(100, 1000).status == "pass"
    assert schedule.retention(1000, 100).status == "warn"
