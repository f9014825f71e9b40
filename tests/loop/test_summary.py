from dataclasses import replace

from pytest import approx

from trueloop.loop.summary import group_metrics
from trueloop.records import Completion, Group, Problem, Rollout, Score, to_rollout

PROBLEM = Problem.create(prompt="1+1=", target="2", task="sums", split="train")


def rollout(k: int, reward: float, *, length: int = 2, finish: str = "stop", audit: float = 0.0) -> Rollout:
    completion = Completion(
        tokens=(5,) * length,
        logprobs=(-1.0,) * length,
        policy_logprobs=(-1.0,) * length,
        finish=finish,  # type: ignore[arg-type]
        stop="<eos>" if finish == "stop" else None,
        version=0,
        text=f"t{k % 2}",
    )
    score = Score(status="scored", reward=reward, passed=reward > 0.5, parts={"strict": reward}, audit={"hack": audit})
    return replace(to_rollout(PROBLEM, k, (3, 4), completion), score=score)


def group(*rollouts: Rollout) -> Group:
    return Group(problem=PROBLEM, rollouts=rollouts)


def test_rewards_of_used_and_of_all_groups_are_told_apart() -> None:
    used = [group(rollout(0, 1.0), rollout(1, 0.0))]
    filtered = [group(rollout(2, 0.0), rollout(3, 0.0))]
    found = group_metrics(used, filtered)
    assert found["reward/mean"] == 0.5
    assert found["reward/std"] == 0.5
    assert found["reward/all"] == 0.25
    assert found["groups/flat"] == found["groups/none_passed"] == 0.5
    assert found["groups/all_passed"] == 0.0


def test_a_group_that_was_never_sampled_counts_as_filtered_and_nowhere_else() -> None:
    found = group_metrics([group(rollout(0, 1.0), rollout(1, 0.0))], [group()])
    assert found["groups/filtered"] == 1.0
    assert found["groups/all_passed"] == found["groups/flat"] == 0.0


def test_lengths_and_cut_share() -> None:
    found = group_metrics([group(rollout(0, 1.0, length=2), rollout(1, 0.0, length=6, finish="length"))], [])
    assert (found["length/mean"], found["length/max"], found["length/cut"]) == (4.0, 6.0, 0.5)
    assert found["length/distinct"] == 1.0


def test_parts_and_audit_keep_their_own_names() -> None:
    found = group_metrics([group(rollout(0, 1.0, audit=1.0), rollout(1, 0.0), rollout(2, 0.0))], [])
    assert found["parts/strict"] == approx(1 / 3)
    assert found["audit/hack"] == approx(1 / 3)


def test_what_was_not_computed_is_absent() -> None:
    unscored = replace(rollout(0, 1.0), score=None)
    found = group_metrics([group(unscored)], [])
    assert not any(name.startswith(("reward/", "parts/", "groups/flat")) for name in found)
