"""Faults of what judges: the guard measures something else, credit goes astray, the teacher speaks of other tokens."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from trueloop.engines.local import LocalEngine
from trueloop.faults import seams
from trueloop.faults.base import Fault
from trueloop.records import Group, Prompt, Sample, Teacher
from trueloop.train.batch import Stream
from trueloop.verify.numbers import Numbers

Parts = dict[str, Any]
GUARDED = {"caught_by": ("guard.as_promised",), "mechanism": "guard measures something else", "when": "during"}


def _other_split(parts: Parts) -> Parts:
    return {**parts, "config": parts["config"].model_copy(update={"split": "train"})}


def _other_verifier(parts: Parts) -> Parts:
    task = copy.copy(parts["task"])
    task.verifier = Numbers(declared="hash", others=("answer_is", "equals"))
    return {**parts, "task": task}


def _other_prompt(parts: Parts) -> Parts:
    task = copy.copy(parts["task"])

    def stripped(problem: Any, shots: Any = ()) -> Prompt:
        return str(parts["task"].prompt(problem, shots)).rstrip()

    task.prompt = stripped
    return {**parts, "task": task}


def _first_weights(parts: Parts) -> Parts:
    held: list[Any] = []

    async def once() -> Any:
        if not held:
            held.append(await parts["sync"]())
            held.append({k: v.clone() for k, v in parts["policy"].engine_weights().items()})
        await held[0].load_weights(held[1], 0)
        return held[0]

    return {**parts, "sync": once}


def _shuffled_later(calls: int) -> AbstractContextManager[None]:
    """After so many calls of credit, each group's advantages are in another order."""
    made = [0]

    def change(groups: Sequence[Group]) -> Sequence[Group]:
        made[0] += 1
        if made[0] <= calls:
            return groups
        draw = random.Random(made[0])
        return [replace(g, advantages=tuple(draw.sample(g.advantages or (), len(g.rollouts)))) for g in groups]

    return seams.credit(change)


def _misweighted_later(calls: int) -> AbstractContextManager[None]:
    """After so many calls of streams, each sample has the next one's weights, as far as they fit."""
    made = [0]

    def other(sample: Sample, weights: Sequence[float]) -> Sample:
        value = next((w for w in reversed(weights) if w), 0.0)
        return replace(sample, weights=tuple(value if on else 0.0 for on in sample.loss_mask))

    def change(streams: Sequence[Stream]) -> list[Stream]:
        made[0] += 1
        if made[0] <= calls:
            return list(streams)
        return [
            replace(
                s,
                samples=[other(a, b.weights) for a, b in zip(s.samples, [*s.samples[1:], *s.samples[:1]], strict=True)],
            )
            for s in streams
        ]

    return seams.streams(change)


def _swapped_later(calls: int) -> AbstractContextManager[None]:
    """After so many completions each has the text of the one before it."""
    seen: list[str] = []

    def change(engine: LocalEngine) -> LocalEngine:
        generate = engine.generate

        async def swapped(requests: Any) -> Any:
            async for id, completion in generate(requests):
                seen.append(completion.text)
                late = len(seen) > calls
                yield id, replace(completion, text=seen[-2]) if late else completion

        engine.generate = swapped  # type: ignore[method-assign]
        return engine

    return seams.engine(change)


def _retaught(change: Callable[[Sequence[Teacher]], Sequence[Teacher]]) -> AbstractContextManager[None]:
    def changed(stream: Stream) -> Stream:
        said = change([s.teacher for s in stream.samples if s.teacher is not None])
        rows: Iterable[Sample] = (replace(s, teacher=t) for s, t in zip(stream.samples, said, strict=True))
        return replace(stream, samples=tuple(rows))

    return seams.streams(lambda streams: [changed(s) if s.samples[0].teacher is not None else s for s in streams])


def _later(said: Sequence[Teacher]) -> list[Teacher]:
    return [replace(t, ids=(*t.ids[1:], t.ids[-1]), logprobs=(*t.logprobs[1:], t.logprobs[-1])) for t in said]


def _of_the_next(said: Sequence[Teacher]) -> list[Teacher]:
    """Each row has the next one's words, as far as they reach."""
    found = []
    for own, other in zip(said, [*said[1:], *said[:1]], strict=True):
        n = len(own.ids)
        found.append(replace(own, ids=(other.ids + own.ids)[:n], logprobs=(other.logprobs + own.logprobs)[:n]))
    return found


def _guard(id: str, what: str, change: Callable[[Parts], Parts], **more: Any) -> Fault:
    settings: Any = {**GUARDED, "steps": 4, "overrides": ("guard.every=2",), **more}
    return Fault(id=id, what=what, plant=lambda: seams.guard(change), **settings)


FAULTS = (
    _guard("guard_reads_training_rows", "the guard evaluates rows that are trained on, under another split's name",
           _other_split, recorded=("rlvr 97", "rlvr 96")),
    _guard("guard_has_another_verifier", "the guard judges with another verifier than the one that was declared",
           _other_verifier, recorded=("rlvr 95",)),
    _guard("guard_has_another_prompt", "the guard's prompts lack their last character", _other_prompt,
           recorded=("rlvr 34",)),
    _guard("guard_measures_first_weights", "the guard evaluates the weights of the start, over and over",
           _first_weights, recorded=("belief 1",)),
    Fault(
        id="advantages_are_shuffled_under_way",
        mechanism="credit goes astray",
        what="from the fifth step on each group's advantages are in another order",
        caught_by=("rewards.credit",),
        when="during",
        steps=10,
        plant=lambda: _shuffled_later(6),
    ),
    Fault(
        id="rows_are_misweighted_under_way",
        mechanism="credit goes astray",
        what="from the fifth step on each row is trained with the next row's weights",
        caught_by=("flow.weights_are_credit",),
        when="during",
        steps=10,
        plant=lambda: _misweighted_later(6),
    ),
    Fault(
        id="texts_are_swapped_under_way",
        mechanism="text is not the tokens",
        what="after some thousand completions the engine gives each the text of the one before",
        caught_by=("rollouts.text_is_tokens",),
        when="during",
        steps=10,
        plant=lambda: _swapped_later(400),
    ),
    Fault(
        id="entropy_is_punished",
        mechanism="loss term",
        what="the entropy bonus has the wrong sign",
        caught_by=("schedule.entropy_bonus",),
        overrides=("entropy=-1.0",),
    ),
    Fault(
        id="weight_decay_of_another_scale",
        mechanism="update",
        what="a weight decay that was meant per run and is taken per step",
        caught_by=("schedule.weight_decay", "liveness.step_is_sane"),
        overrides=("optim.weight_decay=30.0", "loop.steps=80"),
    ),
    Fault(
        id="teacher_is_one_token_late",
        mechanism="teacher misread",
        what="the teacher's words are laid one token too early",
        caught_by=("numerics.teacher_reads_rows",),
        bed="distill",
        plant=lambda: _retaught(_later),
    ),
    Fault(
        id="teacher_of_the_next_row",
        mechanism="teacher misread",
        what="each row is taught with what the teacher said of the next one",
        caught_by=("numerics.teacher_reads_rows",),
        bed="distill",
        plant=lambda: _retaught(_of_the_next),
    ),
)  # fmt: skip
