import json

import pytest

from doctor_toys import healthy_run
from trueloop.doctor.record import COLUMNS, _turn, named_in, read_record, spaced
from trueloop.errors import StoreError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return healthy_run(tmp_path_factory.mktemp("record") / "run")


def test_what_a_run_says(run):
    record = read_record(run)
    assert (record.kind, record.recipe, record.state, record.step) == ("run", "rlvr", "finished", 20)
    assert (len(record.metrics), len(record.turns), len(record.evaluations)) == (20, 320, 5)
    assert record.turns[0].logprobs == (pytest.approx(-0.3), pytest.approx(-0.2), pytest.approx(-0.1))
    assert not any(t.whole_softmax for t in record.turns)
    assert record.versions[:2] == [(1, 0), (2, 1)] and record.damaged == []
    assert record.curve("lr")[-1] == (20, 1e-4) and record.setting("guard", "metric") == "strict"


def test_log_probabilities_are_the_policy_s_before_truncation():
    row = dict.fromkeys(COLUMNS) | {"prompt": "p", "prompt_length": 1, "problem_id": "a", "step": 1}
    row |= {"logprobs": [0.0, 0.0], "policy_logprobs": [0.0, -0.4]}
    assert _turn(row, warm=True).logprobs == (-0.4,) and _turn(row, warm=True).whole_softmax
    assert _turn(row | {"policy_logprobs": None}, warm=False).logprobs == (0.0,)


def test_damage_is_told_and_the_rest_is_read(run, tmp_path):
    copy = healthy_run(tmp_path / "run")
    lines = (copy / "metrics.jsonl").read_text().splitlines()
    (copy / "metrics.jsonl").write_text("\n".join([*lines[:5], "{damage", *lines[6:]]) + "\n")
    (copy / "rollouts/step-000003.parquet").write_bytes(b"nothing")
    (copy / "status.json").unlink()
    record = read_record(copy)
    assert (len(record.metrics), len(record.turns), record.state) == (19, 304, "unknown")
    assert len(record.damaged) == 3


def test_a_run_that_has_only_begun(tmp_path):
    copy = healthy_run(tmp_path / "run")
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        (copy / name).unlink()
    for part in (copy / "rollouts").iterdir():
        part.unlink()
    (copy / "status.json").write_text(json.dumps({"state": "running", "why": "", "step": None}))
    assert (read_record(copy).state, read_record(copy).turns) == ("killed", [])


def test_another_directory_is_refused(tmp_path):
    with pytest.raises(StoreError, match="is not a run directory"):
        read_record(tmp_path)


def test_spaced():
    assert spaced([1, 2, 3], 5) == [1, 2, 3]
    assert spaced(list(range(101)), 5) == [0, 25, 50, 75, 100]


def test_checks_that_stopped_a_run_are_named_in_its_reason():
    why = "CheckFailed: 1 check says\n  sampling.signal: none of 8\n    take easier ones\nto go on: --allow a.b"
    assert [(r.id, r.status, r.evidence) for r in named_in(why)] == [("sampling.signal", "fail", "none of 8")]
    assert [r.id for r in named_in("CheckFailed: step 9: rollouts.distinct: one text; look")] == ["rollouts.distinct"]
    assert named_in("all 9 steps done") == []
