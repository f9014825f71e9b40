"""Faults of what follows a step: what samples, and what is saved, is not what was trained."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from trueloop.engines.local import LocalEngine
from trueloop.faults import seams
from trueloop.faults.base import Fault
from trueloop.models import Policy
from trueloop.records import Completion, Request
from trueloop.train.step import Trainer


class _Engine:
    """An engine with another way to take over weights or to answer."""

    def __init__(self, inner: LocalEngine) -> None:
        self._inner, self._loaded = inner, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _KeepsFirst(_Engine):
    """Takes weights once and says that it took them after."""

    async def load_weights(self, source: Mapping[str, Tensor], version: int) -> None:
        if not self._loaded:
            await self._inner.load_weights(source, version)
        self._loaded = True
        self._inner._scheduler.version = version


class _TakesHalf(_Engine):
    """After the first time, the second half of the layers' tensors never arrives."""

    async def load_weights(self, source: Mapping[str, Tensor], version: int) -> None:
        if not self._loaded:
            self._first = {name: t.clone() for name, t in source.items()}
        names = [name for name in source if ".layers." in name]
        late = names[len(names) // 2 :] if self._loaded else []
        self._loaded = True
        await self._inner.load_weights({**source, **{name: self._first[name] for name in late}}, version)


class _OneBehind(_Engine):
    """Always samples with the weights of the step before."""

    _waiting: Mapping[str, Tensor]

    async def load_weights(self, source: Mapping[str, Tensor], version: int) -> None:
        previous = self._waiting if self._loaded else source
        self._loaded, self._waiting = True, {name: t.clone() for name, t in source.items()}
        await self._inner.load_weights(previous, version)


class _SameVersion(_Engine):
    """Takes the weights, and counts them as the first ones for ever."""

    async def load_weights(self, source: Mapping[str, Tensor], version: int) -> None:
        await self._inner.load_weights(source, 0)


class _ForgivesAdapters(_Engine):
    """Answers requests for any adapter with what it has."""

    def generate(self, requests: Sequence[Request]) -> AsyncGenerator[tuple[str, Completion], None]:
        return self._inner.generate([replace(r, adapter=None) for r in requests])


class _DrawsFromOld(_Engine):
    """Scores with new weights and draws with old ones, as a stale copy or cache does."""

    def __init__(self, inner: LocalEngine) -> None:
        super().__init__(inner)
        self._old: Mapping[str, Tensor] | None = None
        self._new: Mapping[str, Tensor] = {}

    async def load_weights(self, source: Mapping[str, Tensor], version: int) -> None:
        self._new = {name: t.clone() for name, t in source.items()}
        self._old = self._old or self._new
        await self._inner.load_weights(source, version)

    async def generate(self, requests: Sequence[Request]) -> AsyncGenerator[tuple[str, Completion], None]:
        version = self._inner.version
        await self._inner.load_weights(self._old or {}, version)
        try:
            async for item in self._inner.generate(requests):
                yield item
        finally:
            await self._inner.load_weights(self._new, version)


@contextmanager
def _without_adapter() -> Iterator[None]:
    """The engine is given the base alone."""
    from trueloop.models import lora

    with mock.patch.object(Policy, "engine_weights", lambda self: lora.base_weights(self.model)):
        yield


@contextmanager
def _half_scaled() -> Iterator[None]:
    """The adapter is merged with half of its scale."""
    from trueloop.models import lora

    own = lora.merged_weights

    def merged(model: Any) -> dict[str, Tensor]:
        base, whole = lora.base_weights(model), own(model)
        return {name: base[name] + 0.5 * (t - base[name]) if name in base else t for name, t in whole.items()}

    with mock.patch.object(lora, "merged_weights", merged):
        yield


@contextmanager
def _stale_saves() -> Iterator[None]:
    """A checkpoint holds the weights that the policy was loaded with."""
    kept: dict[int, dict[str, Tensor]] = {}
    save = Policy.save

    def stale(self: Policy, directory: Path) -> None:
        now = {n: p.detach().clone() for n, p in self.trainable().items()}
        with torch.no_grad():
            for n, p in self.trainable().items():
                p.copy_(kept[id(self)][n])
            save(self, directory)
            for n, p in self.trainable().items():
                p.copy_(now[n])

    def keep(policy: Policy) -> None:
        kept[id(policy)] = {n: p.detach().clone() for n, p in policy.trainable().items()}

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(Policy, "save", stale))
        stack.enter_context(seams.policy(keep))
        yield


@contextmanager
def _partial_resume() -> Iterator[None]:
    """Going back to a checkpoint brings half of the tensors back."""
    from trueloop.train import checkpoint

    own = checkpoint.read

    def half(directory: Path, trainer: Trainer) -> None:
        names = list(trainer.trainable)[::2]
        now = {n: trainer.trainable[n].detach().clone() for n in names}
        own(directory, trainer)
        with torch.no_grad():
            for n in names:
                trainer.trainable[n].copy_(now[n])

    with mock.patch.object(checkpoint, "read", half):
        yield


FOLLOWING, SAVING = "sampler weights", "saving"

FAULTS = (
    Fault(
        id="engine_keeps_first_weights",
        mechanism=FOLLOWING,
        what="new weights are accepted by the engine and not used",
        caught_by=("liveness.sampler_follows",),
        recorded=("rlvr 12", "belief 1"),
        plant=lambda: seams.engine(_KeepsFirst),
    ),
    Fault(
        id="engine_takes_half",
        mechanism=FOLLOWING,
        what="half of the tensors never arrive in the engine",
        caught_by=("liveness.sampler_follows",),
        recorded=("rlvr 12",),
        plant=lambda: seams.engine(_TakesHalf),
    ),
    Fault(
        id="engine_one_step_behind",
        mechanism=FOLLOWING,
        what="the engine samples with the weights of one sync before",
        caught_by=("liveness.sampler_follows",),
        plant=lambda: seams.engine(_OneBehind),
    ),
    Fault(
        id="engine_never_counts",
        mechanism=FOLLOWING,
        what="the engine says that its weights are of version 0 for ever",
        caught_by=("liveness.sampler_follows",),
        plant=lambda: seams.engine(_SameVersion),
    ),
    Fault(
        id="engine_draws_from_old",
        mechanism=FOLLOWING,
        what="the engine scores with new weights and draws from old ones",
        caught_by=("liveness.sampler_draws_from_new",),
        plant=lambda: seams.engine(_DrawsFromOld),
    ),
    Fault(
        id="engine_serves_base",
        mechanism=FOLLOWING,
        what="the engine is given the base without the adapter",
        caught_by=("liveness.sampler_follows",),
        recorded=("belief 1", "belief 2"),
        bed="lora",
        plant=_without_adapter,
    ),
    Fault(
        id="adapter_half_scaled",
        mechanism=FOLLOWING,
        what="the adapter is merged for the engine with half of its scale",
        caught_by=("liveness.sampler_follows",),
        recorded=("belief 2",),
        bed="lora",
        plant=_half_scaled,
    ),
    Fault(
        id="engine_answers_for_any_adapter",
        mechanism=FOLLOWING,
        what="the engine answers with the base for an adapter that it does not have",
        caught_by=("liveness.unknown_adapter_refused",),
        recorded=("belief 1", "belief 2"),
        bed="lora",
        plant=lambda: seams.engine(_ForgivesAdapters),
    ),
    Fault(
        id="checkpoint_is_stale",
        mechanism=SAVING,
        what="a checkpoint holds the weights that the run began with",
        caught_by=("liveness.checkpoint_loads",),
        recorded=("rlvr 13", "preference 30"),
        plant=_stale_saves,
    ),
    Fault(
        id="adapter_checkpoint_is_stale",
        mechanism=SAVING,
        what="the adapter in a checkpoint is the one that the run began with, its B zero",
        caught_by=("liveness.checkpoint_loads",),
        recorded=("preference 9", "belief 2"),
        bed="lora",
        plant=_stale_saves,
    ),
    Fault(
        id="resume_brings_half",
        mechanism=SAVING,
        what="going back to a checkpoint brings half of the weights back",
        caught_by=("liveness.checkpoint_loads",),
        recorded=("rlvr 12",),
        plant=_partial_resume,
    ),
)
