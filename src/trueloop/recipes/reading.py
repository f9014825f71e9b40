"""What a recipe's configuration reads and grades, as the checks of data and tasks take it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from trueloop.models import Policy
from trueloop.models.teacher import context_limit
from trueloop.preflight.data import Reads, Room, data_checks
from trueloop.preflight.tasks import is_judged, task_checks
from trueloop.recipes import wiring
from trueloop.records import CheckResult
from trueloop.tasks.base import Task
from trueloop.tasks.schedule import extremes
from trueloop.tasks.source import read_order

if TYPE_CHECKING:
    from trueloop.recipes import sampling, sft


def sampled(config: sampling.Common, tasks: Mapping[str, Task], policy: Policy) -> Iterator[CheckResult]:
    """The data and the tasks of a run that samples."""
    train = [
        Reads(
            task=tasks[part.task.build().name],
            split=part.split,
            order=None if part.order is None else read_order(part.order),
        )
        for part in config.tasks.parts
    ]
    first = train[0].task
    guard = _guard(config.guard, first)
    imitated = first.demonstrations(train[0].split) if config.warm_start is not None or _mixes(config) else None
    yield from data_checks(
        train, guard, per_step=config.flow.problems_per_step, room=_room(config, train, policy), imitated=imitated
    )
    for task in tasks.values():
        splits = [r.split for r in [*train, *([guard] if guard is not None else [])] if r.task is task]
        yield from task_checks(
            task,
            splits,
            workers=config.verifier_workers,
            most_errors=config.max_verifier_errors,
            imitated=imitated is not None and task is first,
        )


def supervised(config: sft.Config, task: Task, policy: Policy) -> Iterator[CheckResult]:
    """The data of a supervised run, and its task where it judges something."""
    from trueloop.recipes.sft import demonstrations

    rows = demonstrations(config, task)
    train, guard = [Reads(task=task, split=config.split)], _guard(config.guard, task)
    context = context_limit(policy)
    room = Room(
        tokenizer=wiring.tokenizer_of(policy),
        prompt_tokens=context - 1 if context is not None else config.engine.cache_tokens,
        whose="the model's context",
        context=context,
    )
    yield from data_checks(train, guard, per_step=config.rows_per_step, room=room, imitated=rows)
    if guard is not None or is_judged(task):
        splits = [r.split for r in [*train, *([guard] if guard is not None else [])]]
        yield from task_checks(task, splits, workers=1, most_errors=0.01, imitated=True)


def _guard(config: wiring.Evaluating | None, task: Task) -> Reads | None:
    return None if config is None else Reads(task=task, split=config.split, most=config.problems)


def _mixes(config: sampling.Common) -> bool:
    """Whether demonstrations are trained beside the rollouts."""
    return any(getattr(config, name, None) is not None for name in ("sft_mix", "demonstrations"))


def _room(config: sampling.Common, train: Sequence[Reads], policy: Policy) -> Room:
    """The shortest of three limits on a prompt: the configuration's, the engine's, the model's."""
    longest, cache, context = max(r.task.max_tokens for r in train), config.engine.cache_tokens, context_limit(policy)
    room = (cache - longest) // 2
    limits = {"flow.max_prompt_tokens": config.flow.max_prompt_tokens, "engine.cache_tokens": room}
    if context is not None:
        limits |= {"engine.cache_tokens": max(room, cache - context), "the model's context": context - 1}
    known = {name: limit for name, limit in limits.items() if limit is not None}
    whose = min(known, key=lambda name: known[name])
    return Room(
        tokenizer=wiring.tokenizer_of(policy),
        prompt_tokens=known[whose],
        whose=whose,
        context=context,
        shots=round(max(extremes(config.shots))),
    )
