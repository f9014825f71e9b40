"""Which model is meant: a directory, a Hub id, an adapter, or a checkpoint of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch

from trueloop.chat import Tokenizer
from trueloop.engines.local import LocalEngine
from trueloop.engines.remote import Remote
from trueloop.engines.stops import Decodes
from trueloop.errors import EngineError, StoreError
from trueloop.evaluate.answerers import Answerer, EngineAnswerer, RemoteAnswerer
from trueloop.models import Policy
from trueloop.records import Json
from trueloop.store.checkpoints import Checkpoint
from trueloop.store.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model is; of a run, which checkpoint."""

    path: str
    step: int | None = None
    checkpoint: str | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Place:
        """The model of a checkpoint."""
        return cls(path=str(checkpoint.path / "model"), step=checkpoint.step, checkpoint=checkpoint.fingerprint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a local model is run: rows decoded at once, positions of its cache, the type of weights and cache."""

    max_rows: int = 256
    cache_tokens: int = 65536
    dtype: Literal["float32", "bfloat16"] = "float32"


def find(name: str, which: str = "latest") -> Place:
    """The model that a name means; of a run directory the checkpoint `which`: latest, best or a step.

    Raises `StoreError` for a checkpoint that is not there, and for `which` where the name is no run.
    """
    if not (Path(name) / "run.json").is_file():
        if which != "latest":
            raise StoreError(f"{name} is no run directory, so it has no checkpoint {which!r}")
        return Place(path=name)
    checkpoints = Run.open(Path(name)).checkpoints
    steps = {str(c.step): c for c in checkpoints.all()}
    chosen = {"latest": checkpoints.latest, "best": checkpoints.best}.get(which, lambda: steps.get(which))()
    if chosen is None:
        there = f"it has steps {', '.join(steps)}" if steps else "it has none yet"
        raise StoreError(f"{name}: no checkpoint {which!r}; {there}; expected latest, best or a step")
    return Place.of(chosen)


def allowances(path: str) -> dict[str, str]:
    """Check id -> why it was allowed to fail, of the run that a model directory lies in; empty outside of any run."""
    place = Path(path).resolve()
    run = next((p for p in (place, *place.parents[:4]) if (p / "run.json").is_file()), None)
    return Run.open(run).allowances() if run is not None else {}


@asynccontextmanager
async def opened(place: Place, serving: Serving) -> AsyncIterator[Answerer]:
    """The model in an engine of this process, on a GPU where there is one; its weights' fingerprint is recorded."""
    dtype = torch.float32 if serving.dtype == "float32" else torch.bfloat16
    policy = Policy.load(place.path)
    model: Mapping[str, Json] = {
        "kind": "local",
        "path": place.path,
        "step": place.step,
        "checkpoint": place.checkpoint,
        "weights": policy.fingerprint(),
        "dtype": serving.dtype,
    }
    if carried := allowances(place.path):
        model = {**model, "checks_allowed": carried}
    if torch.cuda.is_available():
        policy.base_model.to("cuda")  # type: ignore[arg-type]
    engine = LocalEngine(
        policy.base_model,
        cast(Decodes, policy.tokenizer),
        end_ids=policy.end_ids,
        max_rows=serving.max_rows,
        cache_tokens=serving.cache_tokens,
        dtype=dtype,
        version=place.step or 0,
    )
    try:
        yield EngineAnswerer(engine, cast(Tokenizer, policy.tokenizer), model)
    finally:
        await engine.close()


@asynccontextmanager
async def remote(url: str, model: str, *, api_key: str | None, concurrency: int) -> AsyncIterator[Answerer]:
    """A model behind an OpenAI-compatible server; an `EngineError` about lost answers is told why they were lost."""
    async with Remote(url, model, api_key=api_key, concurrency=concurrency) as client:
        answerer = RemoteAnswerer(client, {"kind": "remote", "url": url, "model": model}, in_flight=2 * concurrency)
        try:
            yield answerer
        except EngineError as error:
            if not answerer.failures:
                raise
            why, count = max(answerer.failures.items(), key=lambda item: item[1])
            raise EngineError(f"{error}\nThe server's most frequent failure, {count} times: {why}") from error
