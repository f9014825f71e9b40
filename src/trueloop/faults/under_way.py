"""How a fault is planted that begins while a run trains: everything is right before its first step."""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock
from zlib import crc32

import torch

from trueloop.engines.local import LocalEngine
from trueloop.faults import seams
from trueloop.loop import monitor
from trueloop.recipes import policy as choices
from trueloop.records import Completion, Request, Score
from trueloop.store.ledger import FateLedger
from trueloop.train import optim
from trueloop.train.batch import Stream
from trueloop.train.step import Trainer
from trueloop.verify.base import Verifier

Begun = Callable[[], int]
"""Steps since the fault began, this one included; 0 before."""

Plant = Callable[[], AbstractContextManager[Any]]


def after(step: int, *plants: Callable[[Begun], AbstractContextManager[Any]]) -> Plant:
    """A context in which the plants are told when `step` optimizer steps are done; they do nothing before."""

    @contextmanager
    def planted() -> Iterator[None]:
        made: list[Trainer] = []

        def begun() -> int:
            return max(made[-1].steps - step + 1, 0) if made else 0

        with ExitStack() as stack:
            stack.enter_context(seams.trainer(made.append))
            for plant in plants:
                stack.enter_context(plant(begun))
            yield

    return planted


# -- the engine


def keeps_weights(begun: Begun) -> Any:
    """The engine takes the version and leaves the weights."""
    return _loading(begun, lambda engine, source, version: _set_version(engine, version))


def keeps_version(begun: Begun) -> Any:
    """The engine takes nothing any more."""
    return _loading(begun, lambda engine, source, version: None)


def _loading(begun: Begun, instead: Callable[[LocalEngine, Any, int], None]) -> Any:
    def change(engine: LocalEngine) -> LocalEngine:
        original = engine.load_weights

        async def load(source: Any, version: int) -> None:
            if begun():
                instead(engine, source, version)
            else:
                await original(source, version)

        engine.load_weights = load  # type: ignore[method-assign]
        return engine

    return seams.engine(change)


def _set_version(engine: LocalEngine, version: int) -> None:
    engine._scheduler.version = version


def asked(begun: Begun, change: Callable[[Request], Request]) -> Any:
    """Requests reach the engine changed."""

    def changed(engine: LocalEngine) -> LocalEngine:
        original = engine.generate

        def generate(requests: Sequence[Request]) -> AsyncGenerator[tuple[str, Completion], None]:
            return original([change(r) for r in requests] if begun() else requests)

        engine.generate = generate  # type: ignore[method-assign]
        return engine

    return seams.engine(changed)


def dropping(begun: Begun) -> Any:
    """Every ninth completion never arrives."""

    def changed(engine: LocalEngine) -> LocalEngine:
        original = engine.generate

        async def generate(requests: Sequence[Request]) -> AsyncGenerator[tuple[str, Completion], None]:
            async for k, item in _counted(original(requests)):
                if not begun() or k % 9:
                    yield item

        engine.generate = generate  # type: ignore[method-assign]
        return engine

    return seams.engine(changed)


async def _counted(items: Any) -> AsyncGenerator[tuple[int, Any], None]:
    k = 0
    async for item in items:
        yield k, item
        k += 1


def one_seed(request: Request) -> Request:
    """All samples of a problem are drawn with one seed."""
    return replace(request, sampling=replace(request.sampling, seed=7))


def warmer(request: Request) -> Request:
    """Another temperature than the trainer's."""
    return replace(request, sampling=replace(request.sampling, temperature=1.3))


def shorter(request: Request) -> Request:
    """Three tokens at most."""
    return replace(request, sampling=replace(request.sampling, max_tokens=3))


# -- the verifier


@dataclass(frozen=True)
class Changed(Verifier):
    """Another verdict once the fault has begun."""

    right: Verifier
    begun: Begun
    change: Callable[[Score, int], Score]

    def __call__(self, target: str, text: str, leniency: float = 0.0) -> Score:
        """The right verdict, or what is made of it."""
        score = self.right(target, text, leniency)
        return self.change(score, begun) if (begun := self.begun()) else score

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.right,)

    @property
    def id(self) -> str:
        """That of the right one: nobody knows of the fault."""
        return self.right.id


def _itself(verifier: Verifier) -> Verifier:
    """What goes to another process: there is no fault there."""
    return verifier


def judged(begun: Begun, change: Callable[[Score, int], Score]) -> Any:
    """Every verdict is changed."""
    return seams.verifier(lambda right: Changed(right, begun, change))


def raising(score: Score, begun: int) -> Score:
    """The verifier breaks."""
    raise RuntimeError("the judge is gone")


class Slow:
    """Every sixth verdict takes a while."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, score: Score, begun: int) -> Score:
        """The same verdict, late."""
        self.calls += 1
        if self.calls % 6 == 0:
            time.sleep(0.12)
        return score


def always(reward: float) -> Callable[[Score, int], Score]:
    """One verdict for everything."""
    return lambda score, begun: replace(score, reward=reward, passed=reward > 0)


def hardly(score: Score, begun: int) -> Score:
    """Of the right answers only those with a long enough solution still count."""
    wrong = replace(score, reward=0.0, passed=False, parts=dict.fromkeys(score.parts, 0.0))
    return score if crc32((score.answer or "").encode()) % 16 == 0 else wrong


def sloppy(score: Score, begun: int) -> Score:
    """The strict reading finds nothing any more, while the lenient one is paid."""
    return replace(score, parts={**score.parts, "strict": 0.0})


def audited(begun: Begun) -> Any:
    """An audit that is the reward, until what is paid and what is looked at part."""

    def truth(score: Score, n: int) -> Score:
        value = float(score.reward or 0.0) if n == 1 else 0.1 * float(score.reward != 1.0)
        return replace(score, audit={"truth": value})

    return seams.verifier(lambda right: Changed(right, lambda: 1 + bool(begun()), truth))


# -- the trainer


def at_each_step(begun: Begun, before: Callable[[Trainer, int], None]) -> Any:
    """Something is done to the trainer before each of its steps."""

    def change(trainer: Trainer) -> None:
        original = trainer.step

        def step(streams: Sequence[Stream]) -> Any:
            if n := begun():
                before(trainer, n)
            return original(streams)

        trainer.step = step  # type: ignore[method-assign]

    return seams.trainer(change)


def afterwards(begun: Begun, change: Callable[[Trainer], None]) -> Any:
    """Something is done to the trainer after each of its steps."""

    def changed(trainer: Trainer) -> None:
        original = trainer.step

        def step(streams: Sequence[Stream]) -> Any:
            report = original(streams)
            if begun():
                change(trainer)
            return report

        trainer.step = step  # type: ignore[method-assign]

    return seams.trainer(changed)


@torch.no_grad()
def nan_weight(trainer: Trainer) -> None:
    """One number of one tensor is lost."""
    next(iter(trainer.trainable.values())).view(-1)[3] = float("nan")


@torch.no_grad()
def noise(trainer: Trainer) -> None:
    """Something else writes into the weights."""
    torch.manual_seed(trainer.steps)
    for p in trainer.trainable.values():
        p.add_(torch.randn_like(p), alpha=3e-3)


def skipping(every: int) -> Callable[[Trainer, int], None]:
    """The optimizer leaves out each step of so many, and says that it took it."""

    def before(trainer: Trainer, n: int) -> None:
        trainer._optimizer.__dict__.pop("step", None)
        if n % every == 0:
            trainer._optimizer.step = _nothing  # type: ignore[method-assign, assignment]

    return before


def _nothing() -> None:
    pass


def forgetting(trainer: Trainer, n: int) -> None:
    """The moments are lost once."""
    if n == 1:
        trainer._optimizer = optim.adamw(trainer.optim, trainer.trainable)


def stepping(begun: Begun, name: str, change: Callable[[Any], Any]) -> Any:
    """What a function of the optimizer module returns is changed."""
    original = getattr(optim, name)
    return mock.patch.object(optim, name, lambda *args: change(original(*args)) if begun() else original(*args))


def hidden_rate(begun: Begun) -> Any:
    """The optimizer uses a hundred times the rate that the step reports."""
    original = optim.set_learning_rate
    return mock.patch.object(optim, "set_learning_rate", lambda o, lr: original(o, lr * (100 if begun() else 1)))


# -- credit and streams


def streamed(begun: Begun, change: Callable[[Sequence[Stream], int], Sequence[Stream]]) -> Any:
    """What the recipe gives the trainer is changed."""
    return seams.streams(lambda streams: change(streams, n) if (n := begun()) else streams)


def louder(factor: float) -> Callable[[Sequence[Stream], int], Sequence[Stream]]:
    """Weights grow by a factor a step."""

    def change(streams: Sequence[Stream], n: int) -> Sequence[Stream]:
        return [_each(s, lambda x: replace(x, weights=tuple(w * factor**n for w in x.weights))) for s in streams]

    return change


def other_reference(streams: Sequence[Stream], n: int) -> Sequence[Stream]:
    """The reference's log-probabilities are those of another model."""
    return [_each(s, lambda x: replace(x, ref_logprobs=_lower(x.ref_logprobs))) for s in streams]


def _lower(logprobs: Sequence[float] | None) -> tuple[float, ...] | None:
    return tuple(x - 3.0 if x else x for x in logprobs) if logprobs is not None else None


def fewer(streams: Sequence[Stream], n: int) -> Sequence[Stream]:
    """Every fifth sample is lost."""
    return [replace(s, samples=[x for k, x in enumerate(s.samples) if k % 5]) for s in streams]


class Again:
    """The streams of the first faulty step come again at each later one."""

    def __init__(self) -> None:
        self.first: Sequence[Stream] = ()

    def __call__(self, streams: Sequence[Stream], n: int) -> Sequence[Stream]:
        """The first ones."""
        self.first = streams if n == 1 else self.first or streams
        return self.first


def _each(stream: Stream, change: Callable[[Any], Any]) -> Stream:
    return replace(stream, samples=[change(x) for x in stream.samples])


# -- measures and accounts


def dead_metric(begun: Begun) -> Any:
    """The entropy is no longer computed, and its key is kept."""
    original = choices.PolicyLoss.__call__

    def call(self: Any, out: Any, batch: Any) -> Any:
        loss_BT, metrics = original(self, out, batch)
        if begun():
            metrics["entropy"] = torch.zeros_like(loss_BT)
        return loss_BT, metrics

    return mock.patch.object(choices.PolicyLoss, "__call__", call)


def miscounted(begun: Begun) -> Any:
    """A group is counted that never was."""
    original = FateLedger.count

    def count(self: FateLedger, fate: Any) -> int:
        return original(self, fate) + (begun() if fate == "used" else 0)

    return mock.patch.object(FateLedger, "count", count)


def never_drained(begun: Begun) -> Any:
    """Open groups pile up."""
    original = FateLedger.count

    def count(self: FateLedger, fate: Any) -> int:
        return original(self, fate) + (9 * begun() if fate == "open" else 0)

    return mock.patch.object(FateLedger, "count", count)


def full_disk(begun: Begun) -> Any:
    """Next to nothing is free."""
    real = shutil.disk_usage

    def usage(path: Any) -> Any:
        found = real(path)
        return found._replace(free=1000) if begun() else found

    return mock.patch.object(monitor.shutil, "disk_usage", usage)


def full_memory(begun: Begun) -> Any:
    """Next to nothing is available."""
    real = monitor._memory
    return mock.patch.object(monitor, "_memory", lambda: (10**6, 10**10) if begun() else real())
