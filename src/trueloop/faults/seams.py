"""Where faults are planted: each context puts something else in the place of one part of a run, and takes it out again.

A run asks for its parts by these few functions, so that what is put in their place is what a user would have written
wrongly: a task, a verifier, an engine, a model, a trainer, the recipe's credit and streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from trueloop.engines.local import LocalEngine
from trueloop.loop import online
from trueloop.models import Policy
from trueloop.recipes import wiring
from trueloop.records import Group
from trueloop.tasks.base import Task, TaskSettings
from trueloop.train.batch import Stream
from trueloop.train.step import Trainer
from trueloop.verify.base import Verifier


@contextmanager
def task(change: Callable[[Task], Task | None]) -> Iterator[None]:
    """Every task that is built is changed: `change` returns another one, or changes the given one and returns None."""
    with ExitStack() as stack:
        for kind in _settings(TaskSettings):  # type: ignore[type-abstract]
            if "build" in kind.__dict__ and not getattr(kind.build, "__isabstractmethod__", False):
                stack.enter_context(mock.patch.object(kind, "build", _changed(kind.build, change)))
        yield


def verifier(change: Callable[[Verifier], Verifier]) -> Any:
    """Every task judges with another verifier, which is given the right one."""

    def changed(built: Task) -> None:
        built.verifier = change(built.verifier)

    return task(changed)


@contextmanager
def engine(change: Callable[[LocalEngine], Any]) -> Iterator[None]:
    """The engine that samples is another one, which is given the right one."""
    original = wiring.open_engine
    with mock.patch.object(wiring, "open_engine", lambda config, policy: change(original(config, policy))):
        yield


@contextmanager
def policy(change: Callable[[Policy], Policy | None]) -> Iterator[None]:
    """The policy is changed once it is loaded."""
    original = wiring.build_policy
    with mock.patch.object(wiring, "build_policy", _changed(original, change)):
        yield


@contextmanager
def trainer(change: Callable[[Trainer], Trainer | None]) -> Iterator[None]:
    """The trainer is changed once it is made."""
    original = wiring.open_trainer

    @contextmanager
    def opened(*args: Any, **kwargs: Any) -> Iterator[Trainer]:
        with original(*args, **kwargs) as made:
            yield change(made) or made

    with mock.patch.object(wiring, "open_trainer", opened):
        yield


@contextmanager
def guard(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[None]:
    """The guard is made of other parts: `change` is given config, sync, task, policy and seed by name."""
    original = wiring.open_guard
    names = ("config", "sync", "task", "policy", "seed")

    def opened(*parts: Any) -> Any:
        return original(**change(dict(zip(names, parts, strict=True))))

    with mock.patch.object(wiring, "open_guard", opened):
        yield


@contextmanager
def credit(change: Callable[[Sequence[Group]], Sequence[Group]]) -> Iterator[None]:
    """What the recipe's credit returns is changed, advantages and all."""
    with _seam("credit", lambda original: lambda groups: change(original(groups))):
        yield


@contextmanager
def streams(change: Callable[[Sequence[Stream]], Sequence[Stream]]) -> Iterator[None]:
    """What the recipe gives the trainer is changed."""
    with _seam("streams", lambda original: lambda groups, step: change(original(groups, step))):
        yield


@contextmanager
def _seam(name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    original = online.Online.__init__

    def made(self: online.Online, **kwargs: Any) -> None:
        seams = kwargs["seams"]
        fields = {f: getattr(seams, f) for f in ("credit", "streams", "unfit")}
        original(self, **{**kwargs, "seams": online.Seams(**{**fields, name: wrap(fields[name])})})

    with mock.patch.object(online.Online, "__init__", made):
        yield


def _changed(original: Callable[..., Any], change: Callable[[Any], Any]) -> Callable[..., Any]:
    def build(*args: Any, **kwargs: Any) -> Any:
        built = original(*args, **kwargs)
        return change(built) or built

    return build


def _settings(kind: type[TaskSettings]) -> Iterator[type[TaskSettings]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _settings(below)
