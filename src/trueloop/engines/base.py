"""The engine seam: tokens in; tokens, log-probabilities and version out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from trueloop.records import Completion, Request


class Engine(Protocol):
    """Whatever can sample from a policy.  Implementations: fake, local."""

    version: int
    """Optimizer steps that the weights in use have seen."""

    def generate(self, requests: Sequence[Request]) -> AsyncIterator[tuple[str, Completion]]:
        """Yield (request id, completion) as they finish.

        A request that fails by itself comes back with finish "error" or "abort"; a failure of the engine raises
        `EngineError`.
        """
        ...

    async def load_weights(self, source: Mapping[str, Any], version: int) -> None:
        """Take over the named tensors (Hugging Face names, merged or of the adapter in use) as `version`."""
        ...

    async def logprobs(
        self, sequences: Sequence[tuple[int, ...]], *, temperature: float = 1.0, adapter: str | None = None
    ) -> list[tuple[float, ...]]:
        """Per sequence: log p(token | tokens before it), untruncated; 0.0 for the first token, which has no context."""
        ...

    async def close(self) -> None:
        """Give back what the engine holds.  Calling it twice is harmless."""
        ...
