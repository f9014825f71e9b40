"""The engine inside this process: continuous batching over one model, in one background thread.

    engine = LocalEngine(model, tokenizer, end_ids=(0,))
    async for request_id, completion in engine.generate(requests): ...

Tokens are a function of the weights, the prompt and `sampling.seed` alone, up to rounding: the same list of requests,
given to an idle engine, repeats bit by bit; among other requests the log-probabilities agree to 1e-5 in fp32, and a
token can differ only where its uniform lies within rounding of a boundary between two tokens.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from trueloop.engines import dense, weights
from trueloop.engines.decoder import PROBE_TOLERANCE, Decoder, disagreement, pad
from trueloop.engines.generic import GenericDecoder
from trueloop.engines.lora import Adapters, require_known
from trueloop.engines.scheduler import Limits, Scheduler, Ticket
from trueloop.engines.stops import Decodes, StopFinder
from trueloop.errors import EngineError, UnservableRequest
from trueloop.formulas.logprobs import logprobs_from_logits
from trueloop.records import Completion, Request

LOG = logging.getLogger(__name__)
CLOSE_S = 30.0
"""Seconds that `close` waits for the decode step in progress; a thread that hangs ends with the process."""
T = TypeVar("T")
Score = Callable[[Tensor, Sequence[str | None]], list[Any]]
"""(token ids [J, T], adapters [J]) -> per row, one value for each token but the first"""


class LocalEngine:
    """Samples from its own copy of a Hugging Face causal LM; see `Engine` for what the methods promise.

    model          the base, without adapters applied; copied, so that training cannot disturb sampling
    tokenizer      decodes the completions' text; copied too
    end_ids        all tokens that end a completion
    max_rows       most completions decoded at once
    cache_tokens   most positions of keys and values held at once, prompts being computed included
    prefill_chunk  most prompt tokens in one forward
    dtype          of weights and cache; log-probabilities are computed in float32
    adapters       PEFT LoRA directories by name; a request without an adapter is answered by the base

    Raises `EngineError` if the model carries adapter layers or its cached, padded forward disagrees with its plain one,
    and `ModelError` for an adapter that cannot be used.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Decodes,
        *,
        end_ids: Sequence[int],
        max_rows: int = 256,
        cache_tokens: int = 65536,
        prefill_chunk: int = 512,
        dtype: torch.dtype = torch.float32,
        adapters: Mapping[str, str | Path] | None = None,
        version: int = 0,
    ) -> None:
        limits = Limits(max_rows=max_rows, cache_tokens=cache_tokens, prefill_chunk=prefill_chunk)
        config = model.config.get_text_config()
        self._vocabulary: int = config.vocab_size
        self._context: int | None = getattr(config, "max_position_embeddings", None)
        self._adapters = Adapters(adapters or {}, dtype=dtype, device=model.device)
        self._decoder, self._why = choose_decoder(model, self._adapters, dtype=dtype)
        self._scheduler = Scheduler(self._decoder, StopFinder(copy.deepcopy(tokenizer)), end_ids, limits)
        self._scheduler.version = version
        self._limits, self._dtype, self._device = limits, dtype, model.device
        self._inbox: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._threads = torch.get_num_threads()
        self._thread = threading.Thread(target=self._run, name="trueloop-engine", daemon=True)
        self._thread.start()

    @property
    def version(self) -> int:
        """Optimizer steps that the weights in use have seen."""
        return self._scheduler.version

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Every token that ends a completion."""
        return self._scheduler.end_ids

    @property
    def checksum(self) -> str:
        """16 hex digits over the bits of the weights in use; compare with `checksum_of` what should be in use."""
        return self._call(lambda: weights.checksum(self._decoder.slots)).result()

    def checksum_of(self, source: Mapping[str, Tensor]) -> str:
        """What `checksum` would be once `source` were loaded; `EngineError` if it could not be."""
        weights.require_loadable(self._decoder.slots, source)
        return weights.checksum(self._decoder.slots, source)

    def describe(self) -> dict[str, Any]:
        """What the engine runs on and has done so far, as plain JSON."""
        held = sum(
            t.numel() * t.element_size() for t in {t.data_ptr(): t for t in self._decoder.slots.values()}.values()
        )
        return {
            "decoder": self._decoder.name,
            "why": self._why,
            "dtype": str(self._dtype).removeprefix("torch."),
            "device": str(self._device),
            "weights_bytes": held,
            "context": self._context,
            "max_rows": self._limits.max_rows,
            "cache_tokens": self._limits.cache_tokens,
            "prefill_chunk": self._limits.prefill_chunk,
            "adapters": list(self._adapters.names),
            "version": self.version,
            "peak_positions": self._scheduler.peak_positions,
            "prefilled_tokens": self._scheduler.prefilled_tokens,
        }

    async def generate(self, requests: Sequence[Request]) -> AsyncGenerator[tuple[str, Completion], None]:
        """See `Engine`.  Several calls at once share one batch."""
        accepted = self._accept(requests)
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[list[tuple[str, Completion]] | EngineError] = asyncio.Queue()

        def hand_over(item: list[tuple[str, Completion]] | EngineError) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(arrived.put_nowait, item)

        ticket, left = Ticket(deliver=hand_over, fail=hand_over), len(accepted)
        try:
            await asyncio.wrap_future(self._call(lambda: self._scheduler.submit(ticket, accepted)))
            while left:
                item = await arrived.get()
                if isinstance(item, EngineError):
                    left = 0
                    raise item
                for finished in item:
                    left -= 1
                    yield finished
        finally:
            if left:
                self._post(lambda: self._scheduler.abort(ticket))

    async def load_weights(self, source: Mapping[str, Tensor], version: int) -> None:
        """See `Engine`.  Done between two decode steps; rows in flight go on and keep the older version."""
        await asyncio.wrap_future(self._call(lambda: self._load(source, version)))

    async def logprobs(
        self, sequences: Sequence[tuple[int, ...]], *, temperature: float = 1.0, adapter: str | None = None
    ) -> list[tuple[float, ...]]:
        """See `Engine`.  `EngineError` for an unknown adapter, token or a sequence beyond the context."""

        def score(ids_JT: Tensor, adapters: Sequence[str | None]) -> list[Any]:
            return _next_token_logprobs(self._decoder, ids_JT, adapters, temperature).tolist()

        found = await self._scored(sequences, adapter, score)
        return [(0.0, *row) for row in found]

    async def top_logprobs(
        self, sequences: Sequence[tuple[int, ...]], k: int, *, adapter: str | None = None
    ) -> list[list[dict[int, float]]]:
        """Per sequence and token: the `k` likeliest ids in its place with their log-probabilities, at temperature 1;
        empty for the first token.  Errors as in `logprobs`."""

        def score(ids_JT: Tensor, adapters: Sequence[str | None]) -> list[Any]:
            return _likeliest(self._decoder, ids_JT, adapters, min(k, self._vocabulary))

        found = await self._scored(sequences, adapter, score)
        return [[{}, *row] for row in found]

    async def close(self) -> None:
        """See `Engine`."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join, CLOSE_S)

    def longest_prompt(self, max_tokens: int) -> int:
        """The most tokens of a prompt that can be served with as many as `max_tokens` to draw, or at least with one."""
        cache, context = self._limits.cache_tokens, self._context
        room = (cache - max_tokens) // 2
        return room if context is None else min(max(room, cache - context), context - 1)

    def _accept(self, requests: Sequence[Request]) -> list[tuple[Request, int]]:
        """Each request with the most tokens it may draw; `UnservableRequest` if any of them could never be served."""
        if len({request.id for request in requests}) < len(requests):
            raise UnservableRequest("two requests of one call have the same id; completions could not be told apart")
        return [(request, self._limit(request)) for request in requests]

    def _limit(self, request: Request) -> int:
        what, length = f"request {request.id!r}", len(request.prompt)
        require_known(request.adapter, self._adapters.names)
        self._require_tokens(what, request.prompt)
        limit = request.sampling.max_tokens
        if self._context is not None:
            limit = min(limit, self._context - length)
            if limit < 1:
                raise UnservableRequest(
                    f"{what}: the prompt has {length} tokens and the model's context is {self._context}; "
                    "shorten the prompt, it leaves no room for a single token"
                )
        if 2 * length + limit > self._limits.cache_tokens:
            raise UnservableRequest(
                f"{what}: needs {2 * length + limit} cache positions (twice the prompt's {length}, and {limit} to "
                f"draw) of {self._limits.cache_tokens}; raise cache_tokens or lower max_tokens"
            )
        return limit

    def _require_tokens(self, what: str, tokens: Sequence[int]) -> None:
        if not tokens:
            raise UnservableRequest(
                f"{what} has no tokens; begin with at least one, such as the beginning-of-text token"
            )
        if min(tokens) < 0 or max(tokens) >= self._vocabulary:
            raise UnservableRequest(
                f"{what} has token ids outside 0..{self._vocabulary - 1}: {min(tokens)}, {max(tokens)}"
            )

    def _load(self, source: Mapping[str, Tensor], version: int) -> None:
        weights.load(self._decoder.slots, source)
        self._decoder.refresh()
        self._scheduler.weights_changed(version)

    async def _scored(self, sequences: Sequence[tuple[int, ...]], adapter: str | None, score: Score) -> list[Any]:
        """What `score` says of every token but the first, in the engine's thread."""
        require_known(adapter, self._adapters.names)
        for i, sequence in enumerate(sequences):
            self._require_tokens(f"sequence {i}", sequence)
            if self._context is not None and len(sequence) > self._context:
                raise UnservableRequest(
                    f"sequence {i} has {len(sequence)} tokens; the model's context is {self._context}"
                )
        return await asyncio.wrap_future(self._call(lambda: self._score(sequences, adapter, score)))

    def _score(self, sequences: Sequence[tuple[int, ...]], adapter: str | None, score: Score) -> list[Any]:
        """In forwards of at most `prefill_chunk` tokens (or one sequence), longest first."""
        scored: dict[int, Any] = {}
        order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
        while order:
            count = max(1, self._limits.prefill_chunk // len(sequences[order[0]]))
            chosen, order = order[:count], order[count:]
            ids_JT = pad([sequences[i] for i in chosen], 0, len(sequences[chosen[0]]), self._device)
            for i, row in zip(chosen, score(ids_JT, [adapter] * len(chosen)), strict=True):
                scored[i] = row[: len(sequences[i]) - 1]
        return [scored[i] for i in range(len(sequences))]

    def _post(self, task: Callable[[], None]) -> None:
        with self._wake:
            self._inbox.append(task)
            self._wake.notify()

    def _call(self, task: Callable[[], T]) -> Future[T]:
        """Run `task` in the engine's thread between two steps; anything but `EngineError` becomes one."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(task())
            except Exception as error:
                future.set_exception(_engine_error(error))

        with self._wake:
            if self._closed:
                raise EngineError("the engine is closed; make a new one")
            self._inbox.append(run)
            self._wake.notify()
        return future

    def _run(self) -> None:
        torch.set_num_threads(self._threads)
        with torch.inference_mode():
            while self._wait():
                while self._inbox:
                    self._inbox.popleft()()
                try:
                    self._scheduler.step()
                except Exception as error:
                    LOG.exception("a step of the engine failed; every request in flight is lost")
                    self._scheduler.fail(_engine_error(error))
            while self._inbox:
                self._inbox.popleft()()
            self._scheduler.fail(EngineError("the engine was closed while requests were in flight"))

    def _wait(self) -> bool:
        """Sleep until there is something to do; False once closed."""
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._inbox or self._scheduler.busy)
            return not self._closed


def choose_decoder(model: PreTrainedModel, adapters: Adapters, *, dtype: torch.dtype) -> tuple[Decoder, str]:
    """The fast path where it covers the model and agrees with it, else the model's own forward; and why.

    Compared in float32, on a copy of the model: a wrong forward shows there, whatever `dtype` would hide.
    """
    if any(".base_layer." in name for name in model.state_dict()):
        raise EngineError(
            f"{type(model).__name__} carries adapter layers, which are not part of its weights by name; give the base "
            "(or a fresh model of its config, then load the merged weights), and adapters by their directories"
        )
    own = copy.deepcopy(model).float().eval().requires_grad_(False)
    none = Adapters({}, dtype=torch.float32, device=model.device)
    why = f"{type(model).__name__} is not one that the fast path covers"
    with torch.inference_mode():
        if dense.supports(own):
            gap = disagreement(dense.DenseDecoder(own, none, dtype=torch.float32), own)
            why = f"largest logit difference from the model's own forward on the probe: {gap:.1e} of the largest logit"
            if gap <= PROBE_TOLERANCE:
                return dense.DenseDecoder(own, adapters, dtype=dtype), why
            why = "fell back: the fast path's " + why
        try:
            gap = disagreement(GenericDecoder(own, none), own)
        except (TypeError, ValueError, AttributeError, RuntimeError, IndexError) as error:
            raise EngineError(
                f"{type(model).__name__} cannot be decoded in a padded batch with a cache of keys and values: {error}"
            ) from error
    if not gap <= PROBE_TOLERANCE:
        raise EngineError(
            f"{type(model).__name__}: cached and padded decoding differs from the plain forward by {gap:.1e} of the "
            f"largest logit, more than {PROBE_TOLERANCE:.0e}; batches would change what is sampled"
        )
    return GenericDecoder(own.to(dtype=dtype), adapters), why


def _next_token_logprobs(
    decoder: Decoder, ids_JT: Tensor, adapters: Sequence[str | None], temperature: float
) -> Tensor:
    """log p(ids[:, t + 1] | ids[:, :t + 1]) [J, T - 1]."""
    columns, start = [], 1
    for logits_JBV in decoder.score(ids_JT, adapters):
        ids_JB = ids_JT[:, start : start + logits_JBV.shape[1]]
        logits_NV = logits_JBV[:, : ids_JB.shape[1]].flatten(0, 1)
        logp_N = logprobs_from_logits(logits_NV, ids_JB.flatten(), temperature=temperature).logp_N
        columns.append(logp_N.view_as(ids_JB))
        start += logits_JBV.shape[1]
    return torch.cat(columns, 1)


def _likeliest(
    decoder: Decoder, ids_JT: Tensor, adapters: Sequence[str | None], k: int
) -> list[list[dict[int, float]]]:
    """The k likeliest ids in the place of every token but the first, with their log-probabilities."""
    rows: list[list[dict[int, float]]] = [[] for _ in adapters]
    for logits_JBV in decoder.score(ids_JT, adapters):
        best = logits_JBV.float().log_softmax(-1).topk(k, -1)
        for row, ids_BK, logp_BK in zip(rows, best.indices.tolist(), best.values.tolist(), strict=True):
            row.extend(dict(zip(ids, logp, strict=True)) for ids, logp in zip(ids_BK, logp_BK, strict=True))
    return rows


def _engine_error(error: Exception) -> EngineError:
    if isinstance(error, EngineError):
        return error
    wrapped = EngineError(f"the engine failed: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
