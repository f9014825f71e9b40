from dataclasses import replace

from trueloop.loop.audit import with_audit, without_audit
from trueloop.records import Completion, Group, Probe, Problem, Score, to_rollout

PROBLEM = Problem.create(prompt="1+1=", target="2", task="sums", split="train")
ANSWER = Completion(
    tokens=(7, 1), logprobs=(-1.0, -2.0), policy_logprobs=(-1.0, -2.0), finish="length", stop=None, version=0, text="2"
)
SCORE = Score(status="scored", reward=0.5, passed=True, why="equal", parts={"strict": 1.0}, audit={"exploited": 1.0})


def group(*scores: Score | None) -> Group:
    rollouts = [replace(to_rollout(PROBLEM, k, (3,), ANSWER), score=score) for k, score in enumerate(scores)]
    return Group(problem=PROBLEM, rollouts=tuple(rollouts))


def test_only_the_audit_is_taken_away() -> None:
    found = without_audit(group(SCORE, None, replace(SCORE, audit={})))
    assert found == group(replace(SCORE, audit={}), None, replace(SCORE, audit={}))


def test_the_audit_comes_back_beside_what_was_found_since() -> None:
    original = group(SCORE, SCORE, None)
    first, second, third = without_audit(original).rollouts
    probe = Probe(name="belief", start=1, stop=2, value=0.5)
    assert first.score is not None
    judged = replace(first, probes=(probe,), score=replace(first.score, reward=0.0, audit={"judge": 0.25}))
    found = with_audit(Group(problem=PROBLEM, rollouts=(judged, second, third)), original)
    assert found.rollouts[0].probes == (probe,)
    assert found.rollouts[0].score == replace(SCORE, reward=0.0, audit={"exploited": 1.0, "judge": 0.25})
    assert found.rollouts[1:] == original.rollouts[1:]
