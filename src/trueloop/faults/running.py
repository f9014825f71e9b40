"""Faults that begin while a run trains: what the checks before the first step cannot see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trueloop.faults.base import Fault
from trueloop.faults.under_way import (
    Again,
    Begun,
    Plant,
    Slow,
    after,
    afterwards,
    always,
    asked,
    at_each_step,
    audited,
    dead_metric,
    dropping,
    fewer,
    forgetting,
    full_disk,
    full_memory,
    hardly,
    hidden_rate,
    judged,
    keeps_version,
    keeps_weights,
    louder,
    miscounted,
    nan_weight,
    never_drained,
    noise,
    one_seed,
    other_reference,
    raising,
    shorter,
    skipping,
    sloppy,
    stepping,
    streamed,
    warmer,
)
from trueloop.records import Request, Score
from trueloop.train.batch import Stream
from trueloop.train.step import Trainer


def _fault(id: str, mechanism: str, what: str, caught_by: tuple[str, ...], plant: Plant, **more: Any) -> Fault:
    return Fault(
        id=id, mechanism=mechanism, what=what, caught_by=caught_by, plant=plant, when="during", **{"steps": 8, **more}
    )


def _stepped(change: Callable[[Trainer, int], None]) -> Callable[[Begun], Any]:
    return lambda begun: at_each_step(begun, change)


def _streamed(change: Callable[[Sequence[Stream], int], Sequence[Stream]]) -> Callable[[Begun], Any]:
    return lambda begun: streamed(begun, change)


def _asked(change: Callable[[Request], Request]) -> Callable[[Begun], Any]:
    return lambda begun: asked(begun, change)


def _judged(change: Callable[[Score, int], Score]) -> Callable[[Begun], Any]:
    return lambda begun: judged(begun, change)


FAULTS = (
    _fault(
        "engine_keeps_its_weights",
        "stale sampler",
        "the engine takes each new version's number and keeps the weights of step 2",
        ("policy.ratio", "served.sampler_holds_trainer_weights"),
        after(2, keeps_weights),
        recorded=("rlvr 9",),
    ),
    _fault(
        "engine_stops_at_a_version",
        "stale sampler",
        "transfers to the engine stop arriving after step 2",
        ("flow.version_lag", "policy.ratio", "served.sampler_holds_trainer_weights"),
        after(2, keeps_version),
    ),
    _fault(
        "temperature_changes_under_way",
        "sampler drifts",
        "after step 3 the engine samples at another temperature than the trainer scores at",
        ("policy.ratio",),
        after(3, _asked(warmer)),
        recorded=("rlvr 1", "rlvr 2"),
    ),
    _fault(
        "seeds_repeat_under_way",
        "variety lost",
        "after step 3 all samples of a problem are drawn with one seed",
        ("rollouts.distinct", "rewards.signal"),
        after(3, _asked(one_seed)),
        recorded=("rlvr 32",),
    ),
    _fault(
        "limit_shrinks_under_way",
        "cut at the limit",
        "after step 3 completions may have three tokens only",
        ("rollouts.cut", "rollouts.length"),
        after(3, _asked(shorter)),
        recorded=("rlvr 19",),
    ),
    _fault(
        "completions_get_lost",
        "lost rollouts",
        "every ninth completion never comes back after step 3",
        ("flow.failed", "flow.lost"),
        after(3, dropping),
        recorded=("rlvr 68",),
        refused="problems were lost after",
    ),
    _fault(
        "verifier_breaks_under_way",
        "verifier breaks",
        "after step 3 the verifier raises at every call",
        ("flow.verdicts",),
        after(3, _judged(raising)),
        refused="verifier of task .* errors in",
    ),
    _fault(
        "verifier_slows_down",
        "verifier breaks",
        "after step 6 every sixth verdict takes a hundred times as long",
        ("resources.verifier_seconds",),
        after(6, lambda begun: judged(begun, Slow())),
        recorded=("rlvr 44", "hacking 10"),
        steps=10,
    ),
    _fault(
        "verifier_says_yes_under_way",
        "reward dies",
        "after step 4 every answer is right",
        ("rewards.constant", "rewards.signal"),
        after(4, _judged(always(1.0))),
    ),
    _fault(
        "verifier_says_no_under_way",
        "reward dies",
        "after step 4 every answer is wrong",
        ("rewards.constant", "rewards.signal"),
        after(4, _judged(always(0.0))),
        recorded=("rlvr 19", "trl 1"),
    ),
    _fault(
        "verifier_gets_stingy",
        "reward collapses",
        "after step 9 only one right answer in sixteen is still found right",
        ("rewards.collapse", "rewards.constant", "rewards.signal"),
        after(9, _judged(hardly)),
        recorded=("rlvr 99",),
        steps=16,
    ),
    _fault(
        "format_is_lost",
        "reward hacked",
        "after step 8 answers are paid that the strict reading does not find",
        ("rewards.format",),
        after(8, _judged(sloppy)),
        recorded=("rlvr 35",),
        overrides=("leniency={kind='constant', at=1.0}",),
        steps=16,
    ),
    _fault(
        "reward_leaves_the_truth",
        "reward hacked",
        "after step 9 what is paid is no longer what the audit finds good",
        ("rewards.audit",),
        after(9, audited),
        steps=16,
    ),
    _fault(
        "weights_lose_a_number",
        "not finite",
        "one number of the weights becomes nan after step 4",
        ("optimizer.finite",),
        after(4, lambda begun: afterwards(begun, nan_weight)),
        refused="is nan|not finite|nan or inf",
    ),
    _fault(
        "weights_are_written_by_another",
        "weights drift",
        "after step 8 something besides the optimizer adds noise to the weights",
        ("optimizer.update_size", "optimizer.memory"),
        after(8, lambda begun: afterwards(begun, noise)),
        steps=12,
    ),
    _fault(
        "rate_leaps",
        "learning rate",
        "the schedule gives a hundred times the learning rate after step 4",
        ("optimizer.learning_rate",),
        after(4, lambda begun: stepping(begun, "learning_rate", lambda lr: 100 * lr)),
        recorded=("rlvr 19", "trl 12"),
    ),
    _fault(
        "rate_leaps_unseen",
        "learning rate",
        "the optimizer uses a hundred times the learning rate that the step reports",
        ("optimizer.update_size",),
        after(4, hidden_rate),
    ),
    _fault(
        "rate_ends_early",
        "learning rate",
        "the schedule is at 0 from step 3 of 16 on",
        ("optimizer.learning_rate", "optimizer.weights_moved", "policy.metric_frozen"),
        after(3, lambda begun: stepping(begun, "learning_rate", lambda lr: 0.0)),
        steps=16,
    ),
    _fault(
        "steps_are_skipped",
        "frozen weights",
        "the optimizer says that it steps and does not, after step 3",
        ("optimizer.weights_moved",),
        after(3, _stepped(skipping(1))),
    ),
    _fault(
        "every_second_step_is_skipped",
        "frozen weights",
        "the optimizer leaves out every second step, after step 3",
        ("optimizer.weights_moved",),
        after(3, _stepped(skipping(2))),
        steps=12,
    ),
    _fault(
        "moments_are_lost",
        "optimizer reset",
        "the optimizer is made anew after step 7",
        ("optimizer.memory",),
        after(7, _stepped(forgetting)),
        steps=10,
    ),
    _fault(
        "gradient_is_cut_off",
        "gradient dies",
        "the gradient is lost on its way after step 3",
        ("optimizer.gradient_vanished",),
        after(3, lambda begun: stepping(begun, "gradient_norm", lambda norm: 0.0)),
    ),
    _fault(
        "advantages_explode",
        "gradient explodes",
        "weights of the samples are a thousand times as large after step 9",
        ("optimizer.gradient_spike",),
        after(9, _streamed(louder(1000.0))),
        steps=12,
    ),
    _fault(
        "advantages_grow",
        "gradient explodes",
        "weights of the samples grow by a third with every step after step 8",
        ("optimizer.gradient_trend", "optimizer.gradient_spike"),
        after(8, _streamed(louder(1.33))),
        steps=24,
    ),
    _fault(
        "reference_is_another",
        "distance explodes",
        "after step 3 the reference is another model",
        ("policy.kl",),
        after(3, _streamed(other_reference)),
        recorded=("rlvr 5", "rlvr 12"),
        overrides=("kl={coefficient=0.001}",),
    ),
    _fault(
        "groups_are_fed_again",
        "stale groups",
        "after step 3 each step trains on the groups of step 4",
        ("flow.trained", "policy.ratio"),
        after(3, lambda begun: streamed(begun, Again())),
        recorded=("rlvr 78",),
    ),
    _fault(
        "samples_get_lost",
        "lost rollouts",
        "every fifth sample does not reach the trainer, after step 3",
        ("flow.trained",),
        after(3, _streamed(fewer)),
    ),
    _fault(
        "entropy_is_not_computed",
        "dead metric",
        "the entropy is 0 from step 4 on, since it is no longer computed",
        ("policy.metric_frozen",),
        after(3, dead_metric),
        recorded=("rlvr 20",),
        overrides=("entropy=1e-4",),
        steps=10,
    ),
    _fault(
        "ledger_miscounts",
        "accounts",
        "a group is counted as used that never was, after step 3",
        ("flow.ledger",),
        after(3, miscounted),
        recorded=("rlvr 73",),
    ),
    _fault(
        "buffer_is_never_drained",
        "accounts",
        "open groups pile up after step 3",
        ("flow.buffer", "flow.ledger"),
        after(3, never_drained),
        recorded=("rlvr 74",),
    ),
    _fault(
        "disk_fills_up",
        "resources",
        "next to nothing is free on the disk after step 3",
        ("resources.disk",),
        after(3, full_disk),
    ),
    _fault(
        "memory_fills_up",
        "resources",
        "next to nothing of the memory is available after step 3",
        ("resources.memory",),
        after(3, full_memory),
    ),
)
