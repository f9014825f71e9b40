import json
import random

import pytest

from doctor_toys import healthy_run
from trueloop.doctor import as_json, examine, expects, words
from trueloop.doctor.report import mean_rewards


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return healthy_run(tmp_path_factory.mktemp("report") / "run")


def jsonl(tmp_path, rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows(reward, completion=None, steps=10):
    rng = random.Random(0)
    made = []
    for step in range(steps):
        for problem in range(8):
            a, b = 10 + step * 8 + problem, 20
            for k in range(4):
                said = a + b if rng.random() < 0.5 else a + b + 1 + k
                text = completion(step, k) if completion else f"I think {'so' * k} The answer is {said}."
                made.append({"prompt": f"{a} and {b} are", "target": str(a + b), "completion": text, "step": step})
                made[-1]["reward"] = reward(said == a + b, step, k)
    return made


def test_a_healthy_run_in_words(run):
    text = words(examine(run))
    assert "healthy (odds 20 to 1)" in text and "docs/checks.md#healthy" in text
    assert "Not known:\n" in text and "outcome.seeds" in text
    assert "step  1" in text or "step " in text


@pytest.mark.parametrize(
    ("made", "diagnosis"),
    [
        (rows(lambda right, step, k: float(right)), "healthy"),
        (rows(lambda right, step, k: 0.0), "verifier-rejects-right-answers"),
        (rows(lambda right, step, k: 1.0), "verifier-accepts-wrong-answers"),
        (rows(lambda right, step, k: 0.0, lambda step, k: f"no idea {k}"), "problems-too-hard"),
        (rows(lambda right, step, k: float(right) if k < 3 else None), "verifier-fails"),
        (
            [
                row if row["step"] < 6 else row | {"completion": "x", "reward": 0.0}
                for row in rows(lambda right, step, k: float(right))
            ],
            "policy-collapsed",
        ),
        ([row | {"finish_reason": "length"} for row in rows(lambda r, s, k: float(r))], "answers-are-cut"),
        ([row | {"logprobs": [0.0] * 4} for row in rows(lambda r, s, k: float(r))], "log-probabilities-are-broken"),
        (
            [row | {"logprobs": [-0.5] * 4, "trainer_logprobs": [-0.9] * 4} for row in rows(lambda r, s, k: float(r))],
            "sampler-and-trainer-disagree",
        ),
    ],
)
def test_rows_of_another_trainer(made, diagnosis, tmp_path):
    report = examine(jsonl(tmp_path, made))
    assert report.diagnoses[0].id == diagnosis
    assert report.healthy == (diagnosis == "healthy")


def test_evidence_examples_and_the_next_step_are_in_words(tmp_path):
    text = words(examine(jsonl(tmp_path, rows(lambda right, step, k: 0.0))))
    assert "+4.0  fail transcripts.right_is_rewarded" in text
    assert "next: give it one of the answers below by hand" in text
    assert "completions:" in text and "reward 0, target '" in text


def test_json_has_all_of_it(run):
    found = json.loads(json.dumps(as_json(examine(run))))
    assert found["healthy"] and found["diagnoses"][0]["id"] == "healthy"
    assert {r["id"] for r in found["unknown"]} >= {"outcome.seeds"}


def test_a_run_that_is_unhealthy_on_purpose(run):
    assert expects(run, "healthy").status == "pass"
    assert expects(run, "problems-too-hard").status == "fail"


def test_mean_rewards(run):
    means = mean_rewards(examine(run).record.turns)
    assert len(means) == 20 and all(0 <= mean <= 1 for _, mean in means)
