from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest

from rehearsal_toys import results
from trueloop.preflight.prompts import Evaluated, formats, prompting
from trueloop.recipes import wiring
from trueloop.tasks.worlds.arithmetic import Arithmetic


def _formats(change=lambda task: None, **guard):
    task = Arithmetic(highest=30).build()
    change(task)
    policy = wiring.build_policy(wiring.Tiny(), None, seed=0)
    how = Evaluated(**{"split": "validation", "stops": task.stops, "max_tokens": task.max_tokens, **guard})
    return {r.id: r.status for r in formats(task, "train", policy, guard=how)}


def test_the_arithmetic_world_is_asked_alike_and_survives_its_tokenizer():
    assert set(_formats().values()) == {"pass"}


def test_differences_and_losses_are_seen():
    assert _formats(stops=())["prompt.same_in_evaluation"] == "fail"
    assert _formats(shots=2)["prompt.same_in_evaluation"] == "warn"
    assert _formats(lambda t: setattr(t, "stops", (". ",)))["prompt.stops_spare_answers"] == "fail"

    def wide_plus(task):
        original = task.prompt
        task.prompt = lambda p, shots=(): original(p, shots).replace("+", "＋")

    assert _formats(wide_plus)["prompt.tokens_round_trip"] == "fail"


def test_a_healthy_first_batch_reads_and_trains_what_it_should():
    found = results(prompting)
    assert {r.status for r in found.values()} <= {"pass", "unknown"}
    assert found["prompt.as_the_task_says"].status == found["prompt.loss_mask_is_the_completion"].status == "pass"


def _masked(change):
    def changed(rehearsal):
        streams = [
            replace(s, samples=[replace(x, loss_mask=tuple(change(x))) for x in s.samples]) for s in rehearsal.streams
        ]
        return replace(rehearsal, streams=streams)

    return changed


@pytest.mark.parametrize(
    "change",
    [
        lambda x: [*x.loss_mask[:-1], False],
        lambda x: [i > 0 for i in range(len(x.tokens))],
        lambda x: [*x.loss_mask[1:], False],
    ],
)
def test_a_mask_that_is_not_the_completion_fails(change):
    assert results(prompting, _masked(change))["prompt.loss_mask_is_the_completion"].status == "fail"


def test_a_prompt_that_was_changed_on_the_way_fails():
    def cut(rehearsal):
        return replace(rehearsal, prompt=lambda p: f"Please: {p.prompt}")

    assert results(prompting, cut)["prompt.as_the_task_says"].status == "fail"


def test_a_sampler_that_stops_on_something_else_fails():
    def otherwise(rehearsal):
        return replace(rehearsal, engine=SimpleNamespace(end_ids=(0,)))

    assert results(prompting, otherwise)["prompt.sampler_stops_on_end"].status == "fail"


def _supervised(change=lambda sample: sample):
    def changed(rehearsal):
        task = next(iter(rehearsal.tasks.values()))
        rows = wiring.supervised(task, list(rehearsal.demonstrations), rehearsal.policy)
        stream = replace(rehearsal.streams[0], samples=[change(row) for row in rows])
        return replace(rehearsal, outcomes=(), streams=[stream])

    return {id: r.status for id, r in results(prompting, changed).items()}


def _without_last(sample):
    fields = {name: getattr(sample, name)[:-1] for name in ("tokens", "loss_mask", "weights")}
    return replace(sample, **fields)


def test_supervised_rows_are_read_too():
    assert set(_supervised().values()) == {"pass"}
    assert _supervised(_without_last)["prompt.end_token_is_trained"] == "fail"
    assert _supervised(lambda s: replace(s, tokens=(*s.tokens[:-3], 9, *s.tokens[-2:])))[
        "prompt.demonstrations_are_whole"
    ] == "fail"  # fmt: skip


def _with_another_task(rehearsal):
    """Every second problem is one of another task, which asks in its own way and has no stop strings."""
    task = next(iter(rehearsal.tasks.values()))
    other = copy(task)
    other.name, other.stops, other.prompt = "other", (), lambda problem: f"Sum: {task.prompt(problem)}"
    outcomes = list(rehearsal.outcomes)
    for k in range(1, len(outcomes), 2):
        ticket = outcomes[k].ticket
        outcomes[k] = replace(outcomes[k], ticket=replace(ticket, problem=replace(ticket.problem, task="other")))
    return replace(rehearsal, tasks={task.name: task, "other": other}, outcomes=outcomes)


def test_each_prompt_is_held_to_its_own_task():
    found = results(prompting, _with_another_task)["prompt.as_the_task_says"]
    assert (found.status, found.value) == ("fail", 2) and "Sum:" in found.evidence

    def on_a_stop_of_one(rehearsal):
        two = _with_another_task(rehearsal)
        next(iter(two.tasks.values())).stops = ("<end>",)
        return replace(two, engine=SimpleNamespace(end_ids=(0,)))

    assert results(prompting, on_a_stop_of_one)["prompt.sampler_stops_on_end"].status == "fail"
