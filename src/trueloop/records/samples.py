"""What is trained: rows and pairs of rows, and the pairs of texts that they are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from trueloop.errors import DataError
from trueloop.records.aligned import require_aligned, require_context
from trueloop.records.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two answers to one problem.  A margin is chosen minus rejected under a named objective; higher is better."""

    problem: Problem
    chosen: str
    rejected: str
    margins: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """A teacher's most probable tokens at each trained position: K ids and their log-probabilities.

    The rows align with the True entries of the sample's `loss_mask`, in order.
    """

    ids: tuple[tuple[int, ...], ...]
    logprobs: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A trainable row: all that the trainer knows.

    loss_mask     the tokens that are trained; the first token has no context and is never trained
    weights       per token: the coefficient of its loss term (an advantage, 1 for SFT, ...); may be negative
    logprobs      per token under the policy that sampled, or None (off-policy data, or to be recomputed)
    ref_logprobs  per token under the reference policy, or None
    teacher       top-K distributions to distil from, or None
    """

    id: str
    tokens: tuple[int, ...]
    loss_mask: tuple[bool, ...]
    weights: tuple[float, ...]
    logprobs: tuple[float, ...] | None = None
    ref_logprobs: tuple[float, ...] | None = None
    teacher: Teacher | None = None

    def __post_init__(self) -> None:
        what = f"sample {self.id!r}"
        require_aligned(what, self.tokens, loss_mask=self.loss_mask, weights=self.weights)
        require_aligned(what, self.tokens, logprobs=self.logprobs, ref_logprobs=self.ref_logprobs)
        require_context(what, self.loss_mask)
        if self.teacher is not None and len(self.teacher.ids) != self.trained_tokens:
            raise DataError(f"{what}: {len(self.teacher.ids)} teacher rows for {self.trained_tokens} trained tokens")

    @property
    def trained_tokens(self) -> int:
        """How many tokens the loss reads."""
        return sum(self.loss_mask)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePair:
    """A trainable pair.

    margins  chosen minus rejected under each further objective, by its name, in log-odds; higher is better
    gap      chosen minus rejected under the objective that the labels are of, in log-odds: sigmoid(gap) is the
             probability that the chosen answer wins; None where there is only the label
    weight   factor of its loss and of its metrics; at 0 the pair is not run, and still counts in the denominator
    """

    id: str
    chosen: Sample
    rejected: Sample
    margins: Mapping[str, float] = field(default_factory=dict)
    gap: float | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.weight < math.inf:
            raise DataError(f"pair {self.id!r}: its weight must be 0 or positive, got {self.weight}")
