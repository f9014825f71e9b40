"""What is asked: a task's rows, and the ids and seeds that follow from content alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any


def content_hash(*parts: Json) -> str:
    """16 hex digits that depend on the content of `parts` alone: equal JSON, equal hash, on every machine."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def derive_seed(run_seed: int, *parts: str | int) -> int:
    """A 63-bit seed for one draw, from the run's seed and what names the draw (problem id, epoch, sample, ...)."""
    return int(content_hash(run_seed, *parts), 16) >> 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation, as chat templates take it."""

    role: str
    content: str


Prompt = str | tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One row of a task.  `target` is for verifiers only and never reaches a prompt.

    `tags` describe the row (level, subject, ...) and may be read by prompts, curricula and evaluation.
    """

    id: str
    prompt: Prompt
    target: Json
    task: str
    split: str
    tags: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def create(
        cls, *, prompt: Prompt, target: Json, task: str, split: str, tags: Mapping[str, Json] | None = None
    ) -> Problem:
        """A problem whose id is its content: the same row has the same id whatever its place or split."""
        plain = prompt if isinstance(prompt, str) else [[m.role, m.content] for m in prompt]
        return cls(
            id=f"{task}-{content_hash(plain, target)}",
            prompt=prompt,
            target=target,
            task=task,
            split=split,
            tags=tags or {},
        )
