"""The reference policy's log-probabilities: adapter switched off, frozen copy, or values that came with the samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from peft import PeftModel
from torch import Tensor

from trueloop.errors import ConfigError, DataError, ModelError
from trueloop.models.lora import adapter_off
from trueloop.models.policy import Policy
from trueloop.models.samples import sample_logprobs
from trueloop.records import Sample


class Reference(Protocol):
    """What a policy is held against."""

    def logprobs(self, samples: Sequence[Sample]) -> list[tuple[float, ...]]:
        """Per sample one value per token; 0.0 where `loss_mask` is False, which nothing reads."""
        ...

    def refresh(self, step: int) -> bool:
        """Called after optimizer step `step` (from 1); True if the reference became the policy of that step."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """What a resume needs beside the policy's own checkpoint."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from `state_dict`."""
        ...


def with_reference(samples: Sequence[Sample], reference: Reference) -> list[Sample]:
    """The samples with `ref_logprobs` filled in, so that later passes can take them from there."""
    return [replace(s, ref_logprobs=v) for s, v in zip(samples, reference.logprobs(samples), strict=True)]


class AdapterOff:
    """The base under the policy's adapter.  Holds no weights.

    It is the policy of step 0 if the adapter is new (B = 0); under an adapter that was trained before, it is what that
    one started from.  `scoring`: temperature, compute_dtype and max_tokens of `sample_logprobs`, which must be the
    trainer's for the two to be equal.
    """

    def __init__(self, policy: Policy, **scoring: Any) -> None:
        if not isinstance(policy.model, PeftModel):
            raise ModelError("this policy has no adapter to switch off; use a frozen copy as its reference")
        self._model = policy.model
        self._scoring = scoring

    def logprobs(self, samples: Sequence[Sample]) -> list[tuple[float, ...]]:
        """See `Reference`."""
        with adapter_off(self._model):
            return sample_logprobs(self._model, samples, **self._scoring)

    def refresh(self, step: int) -> bool:
        """Never: the base does not change."""
        return False

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing: the base is its own state."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to take over."""


class FrozenCopy:
    """The policy as it was when this was made, or `every` that many steps since (arXiv:2404.09656, hard update).

    Only what trains is copied (under an adapter: the adapter) and it is swapped in for the forward.  `scoring` as in
    `AdapterOff`.
    """

    def __init__(self, policy: Policy, *, every: int | None = None, **scoring: Any) -> None:
        if every is not None and every < 1:
            raise ConfigError(f"reference.every must be at least 1 step, got {every}; leave it out to never refresh")
        self._policy, self._every = policy, every
        self._scoring = scoring
        self._copy = self._snapshot()

    def logprobs(self, samples: Sequence[Sample]) -> list[tuple[float, ...]]:
        """See `Reference`."""
        with self.swapped_in():
            return sample_logprobs(self._policy.model, samples, **self._scoring)

    def refresh(self, step: int) -> bool:
        """Take the policy's weights if `step` is a multiple of `every`."""
        due = self._every is not None and step % self._every == 0
        if due:
            self._copy = self._snapshot()
        return due

    def state_dict(self) -> dict[str, Tensor]:
        """The copied weights."""
        return dict(self._copy)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take copied weights back."""
        if state.keys() != self._copy.keys():
            raise ModelError(
                f"the frozen reference has {len(self._copy)} weights, the saved one {len(state)}, and their names "
                f"differ, first {sorted(state.keys() ^ self._copy.keys())[:1]}; it belongs to another policy"
            )
        self._copy = {name: tensor.clone() for name, tensor in state.items()}

    def _snapshot(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self._policy.trainable().items()}

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The policy's model is the copy inside.

        Pointers are exchanged, so tensors that an engine took from the policy keep the policy's values.
        """
        parameters = dict(self._policy.model.named_parameters())
        own = {name: parameters[name].data for name in self._copy}
        try:
            for name, tensor in self._copy.items():
                parameters[name].data = tensor
            yield
        finally:
            for name, tensor in own.items():
                parameters[name].data = tensor


class Cached:
    """Values that were computed once and travel with the samples."""

    def logprobs(self, samples: Sequence[Sample]) -> list[tuple[float, ...]]:
        """See `Reference`.  Raises `DataError` for a sample without them."""
        missing = [s.id for s in samples if s.ref_logprobs is None]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(samples)} samples have no ref_logprobs, first {missing[0]!r}; "
                "compute them with `with_reference` before training"
            )
        return [s.ref_logprobs for s in samples if s.ref_logprobs is not None]

    def refresh(self, step: int) -> bool:
        """Never: the values are fixed."""
        return False

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing: the samples hold the values."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to take over."""
