import random
from dataclasses import replace

import pytest

from doctor_toys import healthy_run, share
from trueloop.checks.catalogue import CATALOGUE
from trueloop.checks.transcripts.turns import Turn
from trueloop.doctor.asking import ask, points, rewarded, with_error
from trueloop.doctor.record import Record, read_record
from trueloop.formulas.stats import Estimate


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return read_record(healthy_run(tmp_path_factory.mktemp("asking") / "run"))


def test_a_healthy_run_passes_what_can_be_asked(record):
    found = {r.id: r.status for r in ask(record)}
    assert {"fail", "warn"}.isdisjoint(found.values())
    assert found["outcome.effect"] == found["transcripts.right_is_rewarded"] == "pass"
    assert found["outcome.seeds"] == found["outcome.nothing_overridden"] == "unknown"


def test_every_answer_is_one_of_a_check_in_the_catalogue(record):
    assert {r.id for r in ask(record)} <= set(CATALOGUE)


def test_rows_are_asked_what_rows_can_tell(tmp_path):
    rows = [Turn(prompt=str(i), completion=str(i), reward=0.0, group=str(i)) for i in range(20)]
    record = Record(path=tmp_path, kind="rows", turns=rows)
    found = {r.id: r.status for r in ask(record)}
    assert rewarded(record) and found["transcripts.reward_varies"] == "fail"
    assert all(id.startswith("transcripts.") for id in found)


def test_points_are_of_one_figure(record):
    assert [(p.step, p.figure.mean) for p in points(record, "strict")] == [
        (0, 0.2),
        (5, pytest.approx(0.35)),
        (10, 0.5),
        (15, pytest.approx(0.65)),
        (20, pytest.approx(0.8)),
    ]
    assert points(record, "nonsense") == []


def test_an_interval_gives_an_error_where_there_is_none():
    flat = Estimate(mean=0.0, se=0.0, low=0.0, high=0.0196, n=200, clusters=200)
    assert with_error(flat).se == pytest.approx(0.005)
    assert with_error(share(0.5)).se == share(0.5).se


def test_groups_without_signal_cost_time_and_no_problems(record):
    filtered = [{**row, "fates/filtered": 12.0 * row["step"], "filtered/zero_variance": 12.0} for row in record.metrics]
    dropped = {r.id: r.status for r in ask(replace(record, metrics=filtered))}
    assert dropped["outcome.problems_used"] == "pass"
    lost = [{**row, "fates/filtered": 12.0 * row["step"]} for row in record.metrics]
    assert {r.id: r.status for r in ask(replace(record, metrics=lost))}["outcome.problems_used"] == "fail"


def test_a_policy_that_learned_to_stop_is_healthy(record):
    shorter = [
        {**row, "length/mean": 400.0 - 18 * row["step"], "reward/all": 0.03 * row["step"]} for row in record.metrics
    ]
    assert {r.id: r.status for r in ask(replace(record, metrics=shorter))}["outcome.length_kept"] == "pass"
    idle = [{**row, "reward/all": 0.5} for row in shorter]
    assert {r.id: r.status for r in ask(replace(record, metrics=idle))}["outcome.length_kept"] == "fail"


def test_letters_as_answers_are_healthy(tmp_path):
    draw = random.Random(0)
    rows = [
        Turn(
            prompt=f"question {i}",
            completion=said,
            reward=float(said == "abcd"[i % 4].upper()),
            group=str(i),
            step=i // 32,
            target="ABCD"[i % 4],
        )
        for i in range(256)
        for said in draw.choices("ABCD", k=8)
    ]
    found = {r.id: r.status for r in ask(Record(path=tmp_path, kind="rows", turns=rows))}
    assert found["transcripts.sometimes_right"] == "unknown"
    assert "fail" not in found.values()
