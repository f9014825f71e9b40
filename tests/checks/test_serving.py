import math

from trueloop.checks import serving

MOVED = [0.5, -0.4, 0.3, 0.6]


def test_sampler_follows():
    assert serving.sampler_follows(MOVED, MOVED, 1e-6, 1, 1).status == "pass"
    assert serving.sampler_follows(MOVED, [0.0] * 4, 1e-6, 1, 1).status == "fail"
    assert serving.sampler_follows(MOVED, [x / 2 for x in MOVED], 1e-6, 1, 1).value["slope"] == 0.5
    assert serving.sampler_follows(MOVED, [math.nan] * 4, 1e-6, 1, 1).status == "fail"
    assert serving.sampler_follows(MOVED, [0.8 * x for x in MOVED], 1e-6, 1, 1).status == "warn"
    assert serving.sampler_follows(MOVED, MOVED, 1e-6, 0, 1).status == "fail"  # the version stays behind
    assert serving.sampler_follows(MOVED, [0.0] * 4, 1.0, 1, 1).status == "unknown"  # they never agreed
    assert serving.sampler_follows(None, None, 0.0, 0, 0).status == "unknown"


def test_sampler_draws_from_new():
    assert serving.sampler_draws_from_new([-1.0, -2.0], [-1.0, -2.0], [-1.5, -1.0]).status == "pass"
    assert serving.sampler_draws_from_new([-1.5, -1.0], [-1.0, -2.0], [-1.5, -1.0]).status == "fail"
    assert serving.sampler_draws_from_new([-1.1, -1.8], [-1.0, -2.0], [-1.5, -1.0]).status == "warn"
    assert serving.sampler_draws_from_new([-1.0], [-1.0], [-1.0]).status == "unknown"
    assert serving.sampler_draws_from_new([], [], []).status == "unknown"


def test_unknown_adapter_refused():
    assert serving.unknown_adapter_refused(False).status == "pass"
    assert serving.unknown_adapter_refused(True).status == "fail"


def test_checkpoint_loads():
    assert serving.checkpoint_loads(MOVED, [0.0] * 4, 0).status == "pass"
    assert serving.checkpoint_loads(MOVED, [-x for x in MOVED], 0).status == "fail"  # the weights from before
    assert serving.checkpoint_loads(MOVED, [0.2 * x for x in MOVED], 0).status == "warn"
    assert serving.checkpoint_loads(MOVED, [0.0] * 4, 2).status == "fail"  # a resume loses tensors
    assert serving.checkpoint_loads(None, None, 0).status == "unknown"
