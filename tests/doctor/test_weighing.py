import re

from trueloop.checks.catalogue import CATALOGUE
from trueloop.doctor.causes import CAUSES
from trueloop.doctor.weighing import diagnose
from trueloop.records import CheckResult


def result(id, status, **kwargs):
    return CheckResult(id=id, status=status, **kwargs)


FINE = [result("outcome.trained", "pass"), result("outcome.effect", "pass")]


def ids(asked, recorded=()):
    return [d.id for d in diagnose(asked, recorded)]


def test_healthy_only_if_nothing_contradicts():
    assert ids(FINE) == ["healthy"]
    assert ids([*FINE, result("outcome.seeds", "unknown")]) == ["healthy"]
    assert ids(FINE, [result("sampling.length", "warn")]) == ["healthy"]
    assert ids(FINE, [result("made.up", "fail")]) == ["unclear"]
    assert ids([*FINE, result("outcome.made_up", "fail")]) == ["unclear"]
    assert ids(FINE, [result("made.up", "fail", allowed="a control")]) == ["healthy"]


def test_without_evidence_nothing_is_said():
    assert ids([]) == ids([result("outcome.trained", "unknown")]) == ["too-little-to-tell"]


def test_evidence_adds_up_and_is_told():
    cut = result("transcripts.cut_at_limit", "fail", evidence="all of them")
    (found,) = diagnose([*FINE, cut], [])
    assert (found.id, found.link) == ("answers-are-cut", "docs/checks.md#answers-are-cut")
    assert [(r.result.evidence, r.weight) for r in found.reasons] == [("all of them", 5.0)]
    assert round(found.odds, 2) == 7.39


def test_what_speaks_against_a_cause_counts():
    constant, hard = result("transcripts.reward_varies", "fail"), result("transcripts.sometimes_solved", "fail")
    none, rejected = result("transcripts.sometimes_right", "fail"), result("transcripts.right_is_rewarded", "fail")
    assert ids([constant, hard, none])[0] == "problems-too-hard"
    assert ids([constant, hard, rejected])[0] == "verifier-rejects-right-answers"
    assert ids([constant, hard])[0] == "every-reward-is-the-same"


def test_a_recorded_fail_of_a_known_kind_is_a_diagnosis():
    assert ids(FINE, [result("optimizer.weights_moved", "fail")])[0] == "nothing-was-trained"


def test_the_gravest_answer_on_record_counts():
    rows = [result("optimizer.weights_moved", s) for s in ("pass", "fail", "pass")]
    assert ids(FINE, rows)[0] == "nothing-was-trained"


def test_causes_rest_on_checks_that_exist():
    missing = [(c.id, id) for c in CAUSES for id in c.signs if id not in CATALOGUE]
    assert missing == []
    assert len({c.id for c in CAUSES}) == len(CAUSES) >= 15
    assert all(re.compile(pattern) for c in CAUSES for pattern in c.record)
