from dataclasses import replace

from trueloop.checks import liveness
from trueloop.checks.liveness import TensorStep

STEP = TensorStep(name="a", reached=100, changed=100, moved=1e-4, expected=1e-4, along=-1.0, weight=0.02)


def test_a_tensor_step_knows_its_ratio_and_what_rounds_away():
    assert abs(replace(STEP, moved=3e-4).ratio - 3) < 1e-9
    assert not STEP.rounds_away and replace(STEP, expected=1e-12).rounds_away


def test_trained_tensors():
    meant = {"a": 10, "b": 30}
    assert liveness.trained_tensors(meant, meant, False).status == "pass"
    assert liveness.trained_tensors({"b": 30}, meant, False).status == "warn"  # a quarter is frozen
    assert liveness.trained_tensors({"a": 10}, meant, False).status == "fail"  # three quarters
    assert liveness.trained_tensors({}, meant, True).status == "fail"
    assert liveness.trained_tensors({**meant, "base": 5}, meant, True).status == "warn"


def test_tensors_moved():
    still = replace(STEP, name="b", changed=0)
    assert liveness.tensors_moved([STEP], []).status == "pass"
    assert liveness.tensors_moved([STEP, still], []).status == "fail"
    assert liveness.tensors_moved([still], []).status == "fail"
    assert liveness.tensors_moved([], ["a"]).status == "fail"
    assert liveness.tensors_moved([STEP, replace(still, expected=1e-12)], []).status == "warn"  # rounds away
    assert liveness.tensors_moved([STEP], ["c"]).status == "warn"  # without a gradient


def test_frozen_tensors():
    assert liveness.frozen_tensors([], 3).status == "pass"
    assert liveness.frozen_tensors(["base"], 3).status == "fail"


def test_update_size():
    assert liveness.update_size([STEP], 1e-4, 2.0, False).value["lr_times_scaling"] == 2e-4
    assert liveness.update_size([STEP], 1e-4, None, False).status == "pass"
    assert liveness.update_size([STEP, replace(STEP, moved=1e-6)], 1e-4, None, False).status == "fail"
    assert liveness.update_size([replace(STEP, moved=1e-6)], 1e-4, None, True).status == "unknown"  # altered
    assert liveness.update_size([replace(STEP, changed=50)], 1e-4, None, False).status == "warn"
    assert liveness.update_size([replace(STEP, changed=0)], 1e-4, None, False).status == "unknown"


def test_downhill():
    assert liveness.downhill([STEP]).status == "pass"
    assert liveness.downhill([replace(STEP, along=1.0)]).status == "fail"
    assert liveness.downhill([replace(STEP, along=-0.1)]).status == "warn"
    assert liveness.downhill([replace(STEP, changed=0)]).status == "unknown"
