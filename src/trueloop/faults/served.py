"""Faults in a run that began well: from some step on the sampler serves other weights than those that are trained, or a
part of them is trained no more."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from trueloop.engines.local import LocalEngine
from trueloop.faults import seams
from trueloop.faults.base import Fault
from trueloop.models import lora
from trueloop.models.reference import FrozenCopy
from trueloop.records import Completion, Request
from trueloop.train.batch import Stream
from trueloop.train.step import Trainer

HEALTHY = 3
"""Version after which the faults begin."""

STEPS = 8

Weights = Mapping[str, Tensor]
Alter = Callable[[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]], dict[str, Tensor]]
"""(weights given, those given before them, those of the first time) -> the weights that are loaded instead"""


def loading(alter: Alter) -> Any:
    """The engine loads what `alter` makes of the weights, and takes their version."""

    def changed(engine: LocalEngine) -> LocalEngine:
        original, first, last = engine.load_weights, dict[str, Tensor](), dict[str, Tensor]()

        async def load(source: Weights, version: int) -> None:
            given = {name: tensor.detach().clone() for name, tensor in source.items()}
            first.update({} if first else given)
            await original(alter(given, last or given, first) if version > HEALTHY else given, version)
            last.update(given)

        engine.load_weights = load  # type: ignore[method-assign]
        return engine

    return seams.engine(changed)


def ignoring(*, bumped: bool) -> Any:
    """The engine loads nothing any more; it takes the version all the same if `bumped`."""

    def changed(engine: LocalEngine) -> LocalEngine:
        original = engine.load_weights

        async def load(source: Weights, version: int) -> None:
            if version <= HEALTHY:
                await original(source, version)
            elif bumped:
                engine._scheduler.version = version

        engine.load_weights = load  # type: ignore[method-assign]
        return engine

    return seams.engine(changed)


def handing_over(wrong: Callable[[Trainer], dict[str, Tensor]]) -> Any:
    """The policy hands other weights to whoever samples."""

    def changed(trainer: Trainer) -> None:
        policy, original = trainer.policy, trainer.policy.engine_weights

        def handed() -> dict[str, Tensor]:
            return wrong(trainer) if trainer.version > HEALTHY else original()

        policy.engine_weights = handed  # type: ignore[method-assign]

    return seams.trainer(changed)


def before_each_step(act: Callable[[Trainer], None]) -> Any:
    """Something is done to the trainer before every step from the fourth on."""

    def changed(trainer: Trainer) -> None:
        original = trainer.step

        def step(streams: Sequence[Stream]) -> Any:
            if trainer.version >= HEALTHY:
                act(trainer)
            return original(streams)

        trainer.step = step  # type: ignore[method-assign]

    return seams.trainer(changed)


def _half(given: dict[str, Tensor], before: dict[str, Tensor], first: dict[str, Tensor]) -> dict[str, Tensor]:
    names = sorted(given)
    return given | {name: before[name] for name in names[: len(names) // 2]}


def _late(given: dict[str, Tensor], before: dict[str, Tensor], first: dict[str, Tensor]) -> dict[str, Tensor]:
    return before


def _first(given: dict[str, Tensor], before: dict[str, Tensor], first: dict[str, Tensor]) -> dict[str, Tensor]:
    return first


def _old_head(given: dict[str, Tensor], before: dict[str, Tensor], first: dict[str, Tensor]) -> dict[str, Tensor]:
    return given | {name: first[name] for name in given if "embed" in name or "lm_head" in name}


def _rounded(given: dict[str, Tensor], before: dict[str, Tensor], first: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.to(torch.bfloat16).to(t.dtype) if t.is_floating_point() else t for name, t in given.items()}


def _bare_base(trainer: Trainer) -> dict[str, Tensor]:
    return lora.base_weights(trainer.policy.model)


def _twice_merged(trainer: Trainer) -> dict[str, Tensor]:
    base, merged = lora.base_weights(trainer.policy.model), lora.merged_weights(trainer.policy.model)
    return {name: 2 * tensor - base[name] for name, tensor in merged.items()}


def _freeze_a_layer(trainer: Trainer) -> None:
    for name, parameter in trainer.trainable.items():
        if ".layers.1." in name:
            parameter.requires_grad_(False)


def _forget_a_layer(trainer: Trainer) -> None:
    lost = {id(p) for name, p in trainer.trainable.items() if ".layers.1." in name}
    for group in trainer._optimizer.param_groups:
        group["params"] = [p for p in group["params"] if id(p) not in lost]


def _cached(engine: LocalEngine) -> LocalEngine:
    """An answer to a request that was answered before comes from a cache, under the version of now."""
    original, known = engine.generate, dict[tuple[Any, ...], Completion]()

    async def generate(requests: Sequence[Request]) -> AsyncGenerator[tuple[str, Completion], None]:
        fresh = []
        for request in requests:
            if (found := known.get((request.prompt, request.sampling))) is not None:
                yield request.id, replace(found, version=engine.version)
            else:
                fresh.append(request)
        asked = {request.id: request for request in fresh}
        async for id, completion in original(fresh):
            known[asked[id].prompt, asked[id].sampling] = completion
            yield id, completion

    engine.generate = generate  # type: ignore[method-assign]
    return engine


def _following() -> Any:
    """A frozen copy that takes over the policy's weights before every step from the fourth on."""

    def refresh(reference: FrozenCopy, step: int) -> bool:
        if step >= HEALTHY:
            reference._copy = reference._snapshot()
        return step >= HEALTHY

    return mock.patch.object(FrozenCopy, "refresh", refresh)


HOLDS, RATIO = "served.sampler_holds_trainer_weights", "policy.ratio"
GAP, FOLLOWS, MOVES = "served.probe_gap", "served.probe_follows", "served.tensor_never_moves"


def _stale(id: str, what: str, plant: Callable[[], Any], *, caught_by: tuple[str, ...], bed: str = "rlvr") -> Fault:
    return Fault(
        id=id,
        mechanism="stale sampler",
        what=what,
        caught_by=caught_by,
        when="during",
        bed=bed,
        plant=plant,
        overrides=("loop.liveness.sampler_every=5", "loop.liveness.probe_every=5"),
        steps=STEPS,
    )


FAULTS = (
    _stale(
        "engine_stops_loading",
        "from the fourth step on the engine ignores the weights that it is given",
        lambda: ignoring(bumped=False),
        caught_by=(HOLDS, FOLLOWS, RATIO),
    ),
    _stale(
        "engine_takes_the_version_alone",
        "from the fourth step on the engine takes the version of the weights and not the weights",
        lambda: ignoring(bumped=True),
        caught_by=(HOLDS, GAP, FOLLOWS, RATIO),
    ),
    _stale(
        "engine_loads_half",
        "from the fourth step on half of the tensors stay as they were a step before",
        lambda: loading(_half),
        caught_by=(HOLDS, GAP, RATIO),
    ),
    _stale(
        "sync_is_one_step_late",
        "from the fourth step on the engine is given the weights of the step before",
        lambda: loading(_late),
        caught_by=(HOLDS, GAP, RATIO),
    ),
    _stale(
        "engine_goes_back_to_the_start",
        "from the fourth step on the engine holds the weights of the run's start",
        lambda: loading(_first),
        caught_by=(HOLDS, GAP, RATIO),
    ),
    _stale(
        "engine_loads_the_adapters_base",
        "from the fourth step on the engine holds the adapter's base without the adapter",
        lambda: loading(_first),
        caught_by=(HOLDS, GAP, RATIO),
        bed="lora",
    ),
    _stale(
        "tied_head_stays_old",
        "from the fourth step on the embeddings and the tied head keep their first values in the sampler",
        lambda: loading(_old_head),
        caught_by=(HOLDS, GAP, RATIO),
    ),
    _stale(
        "engine_rounds_weights",
        "from the fourth step on the engine rounds the weights that it is given to bfloat16",
        lambda: loading(_rounded),
        caught_by=(HOLDS, GAP, RATIO),
    ),
    _stale(
        "adapter_switched_off_for_sampling",
        "from the fourth step on the policy hands over its base without the adapter",
        lambda: handing_over(_bare_base),
        caught_by=(GAP, RATIO),
        bed="lora",
    ),
    _stale(
        "adapter_merged_twice",
        "from the fourth step on the adapter is merged twice into what the policy hands over",
        lambda: handing_over(_twice_merged),
        caught_by=(GAP, RATIO),
        bed="lora",
    ),
    _stale(
        "engine_caches_answers",
        "the engine answers a request that it knows from a cache that outlives the weights",
        lambda: seams.engine(_cached),
        caught_by=(GAP, FOLLOWS),
    ),
    Fault(
        id="reference_follows_the_policy",
        mechanism="reference",
        what="from the fourth step on the frozen reference is the policy of the step before",
        caught_by=("policy.reference_fixed", "policy.metric_frozen"),
        when="during",
        plant=_following,
        overrides=("kl={coefficient=0.001}",),
        steps=10,
    ),
    Fault(
        id="layer_frozen_during_run",
        mechanism="frozen weights",
        what="from the fourth step on one layer's parameters require no gradient",
        caught_by=(MOVES,),
        when="during",
        plant=lambda: before_each_step(_freeze_a_layer),
        steps=STEPS,
    ),
    Fault(
        id="optimizer_forgets_a_layer",
        mechanism="frozen weights",
        what="from the fourth step on the optimizer holds all parameters but those of one layer",
        caught_by=(MOVES,),
        when="during",
        plant=lambda: before_each_step(_forget_a_layer),
        steps=STEPS,
    ),
)
