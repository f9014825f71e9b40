import math
from copy import copy
from dataclasses import replace

import pytest
import torch

from helpers import tiny_policy
from rehearsal_toys import results
from trueloop.preflight import sampled as measured
from trueloop.preflight.sampled import TEMPERATURES, Drawn, draw_again, likelihoods, sampled
from trueloop.records import Rollout, Sampling


def _statuses(found):
    return {id: r.status for id, r in found.items()}


def test_a_healthy_batch_is_whole_and_drawn_as_asked():
    found = _statuses(results(sampled, lambda r: replace(r, learned=False)))
    assert {found[f"sampling.{x}"] for x in ("lost", "groups_whole", "finished", "stops_in_force")} == {"pass"}
    assert {found[f"sampling.{x}"] for x in ("text_is_tokens", "version", "logprobs_valid", "as_asked")} == {"pass"}
    assert {found[f"sampling.{x}"] for x in ("cut_at_limit", "runs_on", "loops", "coherent", "signal")} == {"unknown"}


def test_a_random_policy_that_should_have_learned_is_incoherent():
    found = _statuses(results(sampled))
    assert found["sampling.coherent"] == "fail"
    assert found["sampling.signal"] == "pass"


def _each_rollout(change):
    def changed(rehearsal):
        outcomes = [
            replace(o, group=replace(o.group, rollouts=tuple(change(r) for r in o.group.rollouts)))
            for o in rehearsal.outcomes
        ]
        return replace(rehearsal, outcomes=outcomes)

    return changed


@pytest.mark.parametrize(
    ("id", "change"),
    [
        ("sampling.version", lambda r: replace(r, version=3)),
        ("sampling.text_is_tokens", lambda r: replace(r, text=r.text[1:])),
        ("sampling.groups_whole", lambda r: replace(r, id="same")),
        ("sampling.logprobs_valid", lambda r: replace(r, logprobs=(0.0,) * len(r.tokens))),
        ("sampling.finished", lambda r: replace(r, finish="abort", stop=None)),
    ],
)
def test_what_is_wrong_with_rollouts_is_seen(id, change):
    assert results(sampled, _each_rollout(change))[id].status == "fail"


def test_truncation_that_was_asked_for_and_is_not_in_force_is_seen():
    cold = results(sampled, lambda r: replace(r, sampling=replace(r.sampling, top_k=3)))["sampling.as_asked"]
    assert cold.status == "fail"
    assert cold.value["outside"] > 0


def test_sums_under_the_asked_distribution_are_those_of_the_logits(monkeypatch):
    policy = tiny_policy()
    tokens = (5, 9, 12, 7)
    rollout = Rollout(
        id="a", problem_id="p", tokens=tokens, loss_mask=(False, False, True, True), logprobs=(0.0,) * 4,
        policy_logprobs=(0.0,) * 4, finish="length", stop=None, version=0, text="",
    )  # fmt: skip
    drawn = Drawn()
    own = draw_again(policy, rollout, Sampling(max_tokens=4, temperature=0.5), drawn)
    with torch.no_grad():
        logits = policy.model(torch.tensor([tokens])).logits[0, 1:3]
    logp = (logits / 0.5).log_softmax(-1)
    expected = [float(logp[0, 12]), float(logp[1, 7])]
    assert own[2:] == pytest.approx(expected, abs=1e-4)
    assert drawn.surprise == pytest.approx(-sum(expected), abs=1e-4)
    entropy = -(logp.exp() * logp).sum(-1)
    assert drawn.entropy == pytest.approx(float(entropy.sum()), abs=1e-4)
    variance = (logp.exp() * (logp + entropy[:, None]) ** 2).sum()
    assert drawn.variance == pytest.approx(float(variance), abs=1e-3)
    assert (drawn.tokens, drawn.outside) == (2, 0)
    at_half = min(range(len(TEMPERATURES)), key=lambda i: abs(TEMPERATURES[i] - 0.5))
    exact = (logits / TEMPERATURES[at_half]).log_softmax(-1)
    fitted = likelihoods(policy, [rollout])
    assert fitted[at_half] == pytest.approx(float(exact[0, 12] + exact[1, 7]), abs=1e-3)
    monkeypatch.setattr(measured, "LOGITS", 1)
    in_parts = Drawn()
    assert draw_again(policy, rollout, Sampling(max_tokens=4, temperature=0.5), in_parts) == pytest.approx(own)
    assert in_parts.surprise == pytest.approx(drawn.surprise) and in_parts.tokens == 2
    assert likelihoods(policy, [rollout]) == pytest.approx(fitted)


def test_temperatures_are_fitted_only_where_tokens_are_odd():
    assert not Drawn(surprise=101.0, entropy=100.0, variance=1.0).suspicious and Drawn().fitted is None
    assert Drawn(surprise=97.0, entropy=100.0, variance=1.0).suspicious
    likelihood = tuple(-abs(t - 0.5) for t in TEMPERATURES)
    assert Drawn(likelihood=likelihood).fitted == min(TEMPERATURES, key=lambda t: abs(t - 0.5))


def test_tokens_outside_of_top_k_are_counted_apart():
    policy = tiny_policy()
    rollout = Rollout(
        id="a", problem_id="p", tokens=(5, 9, 12), loss_mask=(False, False, True), logprobs=(0.0,) * 3,
        policy_logprobs=(0.0,) * 3, finish="length", stop=None, version=0, text="",
    )  # fmt: skip
    with torch.no_grad():
        likeliest = int(policy.model(torch.tensor([[5, 9]])).logits[0, -1].argmax())
    drawn = Drawn()
    draw_again(policy, rollout, Sampling(max_tokens=4, top_k=1), drawn)
    assert (drawn.tokens, drawn.outside) == ((1, 0) if likeliest == 12 else (0, 1))
    assert math.isfinite(drawn.surprise)


def _with_another_task(rehearsal):
    """Every second problem is one of another task, with its own label, limit and stops, and runs on in its own way."""
    task = next(iter(rehearsal.tasks.values()))
    other = copy(task)
    other.name, other.max_tokens, other.stops = "other", 32, ("!",)
    outcomes = list(rehearsal.outcomes)
    for k, o in enumerate(outcomes[1::2]):
        problem = replace(o.ticket.problem, task="other", prompt=f"Sum: {k}+{k}=?")
        rollouts = tuple(replace(r, text="4\nSum: 3+3=?") for r in o.group.rollouts)
        group = replace(o.group, problem=problem, rollouts=rollouts)
        outcomes[2 * k + 1] = replace(o, ticket=replace(o.ticket, problem=problem), group=group)
    return replace(rehearsal, tasks={task.name: task, "other": other}, outcomes=outcomes)


def test_each_rollout_is_held_to_its_own_task():
    found = results(sampled, _with_another_task)
    assert (found["sampling.runs_on"].value, found["sampling.runs_on"].status) == (0.5, "warn")
    assert "'Sum:'" in found["sampling.runs_on"].advice
    assert "cut at 16, 32 tokens" in found["sampling.cut_at_limit"].evidence
    assert found["sampling.finished"].value.keys() == {"cut before its limit"}
