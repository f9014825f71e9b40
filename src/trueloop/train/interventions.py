"""Interventions: what may act on a training step from outside the algorithm, as a chain of small objects.

A control arm is another object with the same methods, so that it takes the same path through the code.
"""

from __future__ import annotations

import difflib
import inspect
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Protocol

from torch import Tensor, nn

from trueloop.errors import ConfigError, TrainingError
from trueloop.records import Group, Metric
from trueloop.train.batch import Stream

Named = dict[str, Tensor]
"""One tensor per trained parameter, under the parameter's name and in its shape."""


class Backward(Protocol):
    """Gradients of the step's own or of other rows, on demand; what the step accumulated stays untouched."""

    streams: tuple[Stream, ...]
    """The streams of the step that is being taken; none while interventions are refreshed, before there are any."""

    def __call__(self, streams: Sequence[Stream], *, at: Mapping[str, Tensor] | None = None) -> Named:
        """Gradient of the summed loss of `streams`, under the forward interventions.

        at  displacements of some parameters, by name: the gradient is taken at weights + displacement
            (sharpness-aware steps, finite-difference regularisers); the weights come back bit by bit
        """
        ...


class Intervention(Protocol):
    """The methods an intervention may have; an object needs only those that it uses.

    Order within a step: `refresh` and `credit` are called by the loop before the step, then `forward` around the
    passes of each stream, `gradients` once after accumulation and before clipping, `update` after the optimizer.
    """

    def forward(self, model: nn.Module, stream: str) -> AbstractContextManager[Any]:
        """Active while rows of `stream` run forward and backward: hooks on activations, a block switched off.

        Rows that need another treatment (gradient routing) travel in a stream of their own.  With several processes
        a pickled copy acts in each, so what it stores on itself there is lost; hooks draw no random numbers.
        """
        ...

    def credit(self, groups: Sequence[Group]) -> Sequence[Group]:
        """The groups with other advantages.  What was measured of a rollout is in its probes; its audit is not."""
        ...

    def gradients(self, gradients: Named, backward: Backward) -> Named:
        """The gradient to use instead, for the same names.  What it was given is its own to change."""
        ...

    def update(self, deltas: Named) -> Named:
        """The change of the weights to make instead of the optimizer's (new minus old), for the same names."""
        ...

    def refresh(self, step: int, backward: Backward) -> None:
        """Renew what it holds (directions, a reference) before step `step`, with gradients if it needs them."""
        ...

    def metrics(self) -> Mapping[str, Metric]:
        """What it saw during the step that was just taken; joins the step's metrics under these names."""
        ...

    def state(self) -> Named:
        """What it has learnt or drawn, as tensors: a checkpoint keeps them.  Goes with `restore`."""
        ...

    def restore(self, state: Named) -> None:
        """Take over what `state` returned."""
        ...


METHODS = ("forward", "credit", "gradients", "update", "refresh", "metrics", "state", "restore")


class Chain:
    """Interventions applied in order, each to what the one before it returned.

    Raises `ConfigError` for an object without any of the methods, with a misspelt one, or with one of `state` and
    `restore` alone.
    """

    def __init__(self, interventions: Sequence[object]) -> None:
        for one in interventions:
            _require_no_misspelling(one)
            if not any(hasattr(one, method) for method in METHODS):
                raise ConfigError(f"{_name(one)} is no intervention: it has none of the methods {', '.join(METHODS)}")
            if hasattr(one, "state") != hasattr(one, "restore"):
                raise ConfigError(f"{_name(one)} has one of state and restore; it needs both, or a resume loses it")
        self.interventions = tuple(interventions)

    def having(self, method: str) -> list[Any]:
        """Those that have this method."""
        return [one for one in self.interventions if hasattr(one, method)]

    @contextmanager
    def forward(self, model: nn.Module, stream: str) -> Iterator[None]:
        """All their forward contexts at once."""
        with ExitStack() as stack:
            for one in self.having("forward"):
                stack.enter_context(one.forward(model, stream))
            yield

    def credit(self, groups: Sequence[Group]) -> Sequence[Group]:
        """The groups with the advantages that the chain leaves."""
        for one in self.having("credit"):
            groups = one.credit(groups)
        return groups

    def gradients(self, gradients: Named, backward: Backward) -> Named:
        """The gradient that the chain leaves.  Raises `TrainingError` for lost or foreign names, shapes or nan."""
        for one in self.having("gradients"):
            before = _shapes(gradients)
            gradients = one.gradients(gradients, backward)
            _require_same(one, "gradients", before, gradients)
        return gradients

    def update(self, deltas: Named) -> Named:
        """The weight change that the chain leaves.  Raises as `gradients` does."""
        for one in self.having("update"):
            before = _shapes(deltas)
            deltas = one.update(deltas)
            _require_same(one, "update", before, deltas)
        return deltas

    def refresh(self, step: int, backward: Backward) -> None:
        """Renew all that can be renewed, in order."""
        for one in self.having("refresh"):
            one.refresh(step, backward)

    def metrics(self) -> dict[str, Metric]:
        """All their metrics; two with one name raise `ConfigError`."""
        merged: dict[str, Metric] = {}
        for one in self.having("metrics"):
            own = one.metrics()
            if clash := sorted(set(own) & set(merged)):
                raise ConfigError(f"{_name(one)} reports {clash[0]!r}, which another intervention reports too")
            merged.update(own)
        return merged

    def state(self) -> Named:
        """The tensors of all that have some, as `<place in the chain>/<name>`."""
        found: Named = {}
        for k, one in enumerate(self.having("state")):
            found |= {f"{k}/{name}": tensor for name, tensor in one.state().items()}
        return found

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Give each what it had.  Raises `TrainingError` for the state of another chain."""
        keepers = self.having("restore")
        own: list[Named] = [{} for _ in keepers]
        for name, tensor in state.items():
            place, _, rest = name.partition("/")
            if int(place) >= len(own):
                raise TrainingError(
                    f"the state is of {int(place) + 1} or more interventions that keep one, this run has {len(own)}; "
                    "resume with the interventions it was written with, in their order"
                )
            own[int(place)][rest] = tensor
        for one, tensors in zip(keepers, own, strict=True):
            one.restore(tensors)

    def for_workers(self) -> bytes:
        """Those that act in the forward pass, pickled for another process.

        Raises `ConfigError` for one that cannot be pickled: it would act in this process alone.
        """
        acting = self.having("forward")
        try:
            return pickle.dumps(acting)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            names = ", ".join(_name(one) for one in acting)
            raise ConfigError(
                f"the forward interventions ({names}) cannot be sent to worker processes: {error}; define their "
                "classes and hooks at the top level of a module, or train with one process"
            ) from error


def _require_no_misspelling(one: object) -> None:
    """Raise `ConfigError` for a public callable that is named nearly as a method that the object lacks: it would never
    be called."""
    for name in (name for name in dir(one) if not name.startswith("_") and name not in METHODS):
        meant = _nearest(name)
        if meant and not hasattr(one, meant) and callable(inspect.getattr_static(one, name)):
            raise ConfigError(
                f"{_name(one)}.{name} is no method of an intervention and would never be called; rename it to "
                f"{meant!r} if that is meant, else begin its name with an underscore; there are {', '.join(METHODS)}"
            )


def _nearest(name: str) -> str | None:
    """The method that this name, which is none, is close to: a misspelling of it, or its beginning (grad, grads)."""
    begun = [method for method in METHODS if len(name) > 3 and method.startswith(name.rstrip("s"))]
    return next(iter(begun or difflib.get_close_matches(name.lower(), METHODS, n=1, cutoff=0.8)), None)


def _shapes(named: Named) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in named.items()}


def _require_same(one: object, method: str, before: Mapping[str, tuple[int, ...]], after: Named) -> None:
    found = _shapes(after)
    if found != before:
        odd = sorted(name for name in before.keys() | found.keys() if before.get(name) != found.get(name))
        raise TrainingError(
            f"{_name(one)}.{method} must return the names and shapes it was given; {len(odd)} differ, the first is "
            f"{odd[0]!r}: given {before.get(odd[0])}, returned {found.get(odd[0])}"
        )
    broken = [name for name, tensor in after.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise TrainingError(f"{_name(one)}.{method} returned nan or inf in {len(broken)} tensors, e.g. {broken[0]!r}")


def _name(one: object) -> str:
    return type(one).__name__
