from trueloop.checks.running import guard
from trueloop.checks.running.seen import Seen, Setup

PROMISED = {"task": "sums", "split": "validation", "sampling": {"stop": ("\n",), "max_tokens": 8}, "grader": "G.1.ab"}
ROW = {**PROMISED, "sampling": {"max_tokens": 8, "stop": ["\n"]}, "versions": [3, 3]}


def said(row, *, promised=PROMISED, version=3):
    seen = Seen(Setup(steps=9, lr=1e-3, guard=promised))
    if version:
        seen.add({"version": version})
    if row is not None:
        seen.add_evaluation(row)
    return guard.as_promised(seen)


def test_a_guard_that_is_what_was_promised():
    assert said(ROW).status == "pass"
    assert said({**ROW, "versions": [0, 0]}, version=0).status == "pass"  # before the first step
    assert said({**ROW, "versions": []}).status == "pass"  # nothing was drawn


def test_another_evaluation_than_the_promised_one_is_named():
    for key, other in (("split", "train"), ("grader", "G.1.cd"), ("task", "more"), ("sampling", {})):
        found = said({**ROW, key: other})
        assert found.status == "fail" and found.value == [key] and key in found.evidence


def test_answers_of_other_weights_are_no_evaluation_of_these():
    assert said({**ROW, "versions": [0, 0]}).value == ["versions"]
    assert said({**ROW, "versions": [2, 3]}).status == "fail"


def test_without_a_guard_nothing_is_known():
    assert said(None).status == "unknown" and said(ROW, promised=None).status == "unknown"
