from dataclasses import replace

from trueloop.checks import sampled
from trueloop.checks.sampled import Decoded
from trueloop.records import Group, Problem, Rollout

PROBLEM = Problem.create(prompt="1+1=", target="2", task="t", split="train")


def _rollout(**changes):
    fields = {
        "id": "p/0/0",
        "problem_id": PROBLEM.id,
        "tokens": (5, 6, 7, 1),
        "loss_mask": (False, False, True, True),
        "logprobs": (0.0, 0.0, -0.5, -0.1),
        "policy_logprobs": (0.0, 0.0, -0.5, -0.1),
        "finish": "stop",
        "stop": "<end>",
        "version": 0,
        "text": "2",
    }
    return Rollout(**{**fields, **changes})


ROW = Decoded(rollout=_rollout(), text="2<end>", body="2", ended=True, ends_inside=0)


def test_texts_are_their_tokens():
    assert sampled.text_is_tokens([ROW]).status == "pass"
    by_string = Decoded(rollout=_rollout(stop="\n"), text="2\nQ", body="2", ended=False, ends_inside=0)
    assert sampled.text_is_tokens([by_string]).status == "pass"
    assert sampled.text_is_tokens([replace(ROW, rollout=_rollout(text="3"))]).status == "fail"
    assert sampled.text_is_tokens([]).status == "unknown"


def test_completions_end_as_they_say():
    def check(row, limit=2, context=None):
        return sampled.finished([row], max_tokens={PROBLEM.id: limit}, context=context)

    cut = replace(ROW, rollout=_rollout(finish="length", stop=None), text="2 ", body="2", ended=False)
    assert check(ROW).status == "pass"
    assert check(cut).status == "pass"
    assert check(cut, limit=9).value == {"cut before its limit": 1}
    assert check(cut, limit=9, context=4).status == "pass"
    assert check(ROW, limit=1).value == {"longer than its limit": 1}
    assert check(replace(ROW, text="2", ended=False)).value == {"stopped without its stop": 1}
    assert check(replace(ROW, rollout=_rollout(finish="abort", stop=None))).value == {"ended by abort": 1}
    assert sampled.finished([], max_tokens={}, context=None).status == "unknown"


def test_stops_stop():
    def check(row):
        return sampled.stops_in_force([row], stops={PROBLEM.id: ("\n",)})

    assert check(ROW).status == "pass"
    assert check(replace(ROW, body="2\nQ")).status == "fail"
    assert check(replace(ROW, ends_inside=1)).status == "fail"
    assert sampled.stops_in_force([], stops={}).status == "unknown"


def test_what_is_lost_is_counted():
    assert sampled.lost(16, [], []).status == "pass"
    assert sampled.lost(16, ["engine: boom"], []).status == "warn"
    found = sampled.lost(16, [], ["prompt_too_long"] * 16)
    assert found.status == "fail"
    assert "prompt_too_long" in found.evidence
    assert sampled.lost(0, [], []).status == "unknown"


def test_versions_are_the_present_one():
    assert sampled.version([0, 0], 0).status == "pass"
    assert sampled.version([0, -1], 0).status == "fail"
    assert sampled.version([], 0).status == "unknown"


def test_log_probabilities_can_be_such():
    check = sampled.logprobs_valid
    own = (0.0, 0.0, -0.5, -0.1)
    assert check([(_rollout(), own)]).status == "pass"
    for bad in (float("nan"), 0.5, -100.0, 0.0):
        assert check([(_rollout(policy_logprobs=(0.0, 0.0, bad, -0.1)), own)]).status == "fail"
    alone = _rollout(logprobs=(0.0, 0.0, 0.0, -0.1))
    assert (check([(alone, own)]).status, check([(alone, own)], truncated=True).status) == ("fail", "pass")
    nothing = _rollout(policy_logprobs=(0.0, 0.0, 0.0, -0.1))
    assert check([(nothing, own)], truncated=True).status == "fail"
    sure = (0.0, 0.0, -1e-9, -0.1)
    assert check([(_rollout(policy_logprobs=(0.0, 0.0, 0.0, -0.1)), sure)]).status == "pass"
    assert check([]).status == "unknown"


def test_groups_are_whole():
    def group(*rollouts):
        return Group(problem=PROBLEM, rollouts=rollouts)

    two = (_rollout(), _rollout(id="p/0/1"))
    assert sampled.groups_whole([group(*two)], size=2).status == "pass"
    assert sampled.groups_whole([group(*two)], size=None).status == "pass"
    assert sampled.groups_whole([group(*two)], size=3).status == "fail"
    assert sampled.groups_whole([group(two[0], two[0])], size=2).status == "fail"
    assert sampled.groups_whole([group(two[0], replace(two[1], problem_id="q"))], size=2).status == "fail"
    assert sampled.groups_whole([group(two[0], replace(two[1], tokens=(5, 5, 7, 1)))], size=2).status == "fail"
    assert sampled.groups_whole([], size=2).status == "unknown"
