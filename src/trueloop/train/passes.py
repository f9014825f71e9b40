"""One forward and backward pass over rows, and what it measured; the same code in the driver and in its workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from trueloop.errors import TrainingError
from trueloop.formulas.logprobs import TokenLogprobs
from trueloop.formulas.reduce import weighted_sum
from trueloop.models import forward
from trueloop.models.policy import Policy
from trueloop.records import Metric
from trueloop.train.batch import (
    Inputs,
    Outputs,
    PairOutputs,
    Pass,
    Values,
    batch,
    inputs,
    loss_name,
    pair_batch,
    scatter,
)
from trueloop.train.interventions import Chain
from trueloop.train.plan import alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one pass measured: its part of its stream's loss, coefficient included, and its metrics."""

    stream: str
    loss: float
    metrics: Mapping[str, Metric]


class Runner:
    """Runs passes on a model in this process and accumulates gradients into one flat float32 buffer.

    While it runs, the parameters' `.grad` are views of `flat`, so a gradient that autograd never reaches is 0 and not
    missing, however many processes there are.
    """

    def __init__(
        self, policy: Policy, trainable: Mapping[str, Parameter], flat: Tensor, compute_dtype: torch.dtype
    ) -> None:
        self.policy, self.trainable, self.flat, self.compute_dtype = policy, trainable, flat, compute_dtype
        self.device = flat.device
        self.gradients = _views(trainable, flat)

    @torch.enable_grad()
    def backward(self, passes: Sequence[Pass], chain: Chain) -> list[Tally]:
        """Add the gradient of every pass to `flat`, whatever the caller's grad mode.

        Raises `TrainingError` for a loss that is not finite.
        """
        tallies = []
        for name, parameter in self.trainable.items():
            parameter.grad = self.gradients[name]
        for stream, own in _by_stream(passes):
            with self.policy.training(), chain.forward(self.policy.model, stream):
                tallies += [self._backward_one(work) for work in own]
        return tallies

    def logprobs(self, passes: Sequence[Pass]) -> list[list[list[float]]]:
        """Per pass and sample: log-probabilities of its trained tokens, in order; no gradient, no dropout."""
        found = []
        with torch.no_grad():
            for work in passes:
                logp_N = self._score(work, inputs(work.rows, work.samples, self.device)).logp_N
                found.append([part.tolist() for part in logp_N.split([s.trained_tokens for s in work.samples])])
        return found

    def prefix_gap(self, shared: Pass) -> float:
        """Largest float32 difference between the log-probabilities of a shared row and those of plain rows, which are
        run one by one, since together they may be many times as long."""
        with torch.no_grad():
            logp_N, *plain = (
                self._score(work, inputs(work.rows, work.samples, self.device), compute_dtype=torch.float32).logp_N
                for work in (shared, *alone(shared))
            )
        return float((logp_N - torch.cat(plain)).abs().max())

    def _backward_one(self, work: Pass) -> Tally:
        with _drawing(work.seed, self.device):
            placed = inputs(work.rows, work.samples, self.device)
            loss, metrics = self._pair_loss(work, placed) if work.pairs else self._token_loss(work, placed)
            loss.backward()
        return Tally(stream=work.stream, loss=loss.item(), metrics=metrics)

    def _token_loss(self, work: Pass, placed: Inputs) -> tuple[Tensor, dict[str, Metric]]:
        loss_fn: Any = work.loss
        given = batch(work, placed)
        scored = self._score(work, placed, entropy=loss_fn.needs_entropy, teacher_ids_BTK=given.teacher_ids_BTK)
        out = Outputs(
            logp_BT=scatter(scored.logp_N, given.mask_BT),
            entropy_BT=None if scored.entropy_N is None else scatter(scored.entropy_N, given.mask_BT),
            teacher_token_logp_BTK=None if scored.at_NK is None else scatter(scored.at_NK, given.mask_BT),
        )
        loss_BT, values = _returned(work, loss_fn(out, given), given.mask_BT.shape)
        loss = weighted_sum(loss_BT, given.mask_BT, given.scale_B)
        _require_finite(work, loss, {"log-probabilities": out.logp_BT, "weights": given.weights_BT, "loss": loss_BT})
        return loss, summarise(values, given.mask_BT)

    def _pair_loss(self, work: Pass, placed: Inputs) -> tuple[Tensor, dict[str, Metric]]:
        loss_fn: Any = work.loss
        given = pair_batch(work, placed)
        logp_B = scatter(self._score(work, placed).logp_N, placed.mask_BT).sum(1)
        out = PairOutputs(chosen_logp_B=logp_B[0::2], rejected_logp_B=logp_B[1::2])
        loss_B, values = _returned(work, loss_fn(out, given), out.chosen_logp_B.shape)
        loss = (loss_B * given.scale_B).sum()
        _require_finite(
            work,
            loss,
            {"chosen log-probabilities": out.chosen_logp_B, "rejected log-probabilities": out.rejected_logp_B}
            | {"margins": given.margins_BM}
            | ({} if given.gap_B is None else {"gaps": given.gap_B})
            | {"loss": loss_B},
        )
        return loss, summarise(values, weight_B=[pair.weight for pair in work.pairs])

    def _score(
        self,
        work: Pass,
        placed: Inputs,
        *,
        entropy: bool = False,
        teacher_ids_BTK: Tensor | None = None,
        compute_dtype: torch.dtype | None = None,
    ) -> TokenLogprobs:
        return forward.score(
            self.policy.model,
            placed.rows,
            placed.predict_N,
            placed.ids_N,
            temperature=work.temperature,
            entropy=entropy,
            at_NK=None if teacher_ids_BTK is None else teacher_ids_BTK[placed.mask_BT],
            compute_dtype=compute_dtype or self.compute_dtype,
        )


def _returned(work: Pass, found: object, shape: torch.Size) -> tuple[Tensor, Values]:
    """What a loss returned, in `shape`, with its metrics.

    Raises `TrainingError` for anything else: a mean or a sum per row would be broadcast into a number.
    """
    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], Mapping)):
        raise _wrong(work, shape, "what it returned", found)
    loss, values = found
    if _shape(loss) != shape:
        raise _wrong(work, shape, "its loss", loss)
    for name, value in values.items():
        if _shape(value) not in (shape, shape[:1]):
            raise _wrong(work, shape, f"its metric {name!r}", value)
    return loss, values


def _wrong(work: Pass, shape: torch.Size, what: str, found: object) -> TrainingError:
    axes = "[B]" if work.pairs else "[B, T]"
    seen = f"a tensor {list(found.shape)}" if isinstance(found, Tensor) else f"of type {type(found).__name__}"
    return TrainingError(
        f"stream {work.stream!r}: loss {loss_name(work.loss)} must return a tuple (loss {axes} = {list(shape)}, "
        f"mapping of metric names to values {axes} or [B]); {what} is {seen}; do not average or "
        "mask: the reduction does"
    )


def _shape(value: object) -> torch.Size | None:
    return value.shape if isinstance(value, Tensor) else None


def summarise(
    values: Values, mask_BT: Tensor | None = None, *, weight_B: Sequence[float] | None = None
) -> dict[str, Metric]:
    """Exact metrics of values per token (those in the mask count) or per row, with one transfer for all of them.

    With `weight_B`, positive, every value is per row and counts that many times.
    """
    kept = {name: (v if mask_BT is None or v.ndim == 1 else v[mask_BT]).detach().double() for name, v in values.items()}
    if not kept:
        return {}
    weight = 1.0 if weight_B is None else next(iter(kept.values())).new_tensor(weight_B)
    facts = torch.stack([torch.stack([(weight * v).sum(), v.min(), v.max()]) for v in kept.values()]).tolist()
    return {
        name: Metric(total=total, count=v.numel() if weight_B is None else sum(weight_B), low=low, high=high)
        for (name, v), (total, low, high) in zip(kept.items(), facts, strict=True)
    }


def merge(metrics: Sequence[Mapping[str, Metric]]) -> dict[str, Metric]:
    """The metrics of all the values together."""
    merged: dict[str, Metric] = {}
    for one in metrics:
        for name, metric in one.items():
            merged[name] = merged[name].merge(metric) if name in merged else metric
    return merged


def flat_buffer(trainable: Mapping[str, Parameter]) -> Tensor:
    """A zeroed float32 buffer for all gradients.  Raises `TrainingError` for parameters on several devices."""
    devices = {p.device for p in trainable.values()}
    if len(devices) != 1:
        raise TrainingError(
            f"the trained parameters lie on {len(devices)} devices {sorted(map(str, devices))}, expected one; "
            "train at least one parameter, and load the policy onto one device"
        )
    return torch.zeros(sum(p.numel() for p in trainable.values()), dtype=torch.float32, device=devices.pop())


def _views(trainable: Mapping[str, Parameter], flat: Tensor) -> dict[str, Tensor]:
    parts = flat.split([p.numel() for p in trainable.values()])
    return {name: part.view(p.shape) for (name, p), part in zip(trainable.items(), parts, strict=True)}


def _by_stream(passes: Sequence[Pass]) -> Iterator[tuple[str, list[Pass]]]:
    names = dict.fromkeys(work.stream for work in passes)
    return ((name, [work for work in passes if work.stream == name]) for name in names)


@contextmanager
def _drawing(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from `seed` alone, so that a resumed run repeats it; the global generators stay untouched."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _require_finite(work: Pass, loss: Tensor, parts_B: Mapping[str, Tensor]) -> None:
    """Raise with the samples and the first of the parts, in order of computation, that is nan or inf."""
    if bool(loss.isfinite()):
        return
    for what, values in parts_B.items():
        broken = (~values.detach().isfinite()).flatten(1).any(1) if values.ndim > 1 else ~values.detach().isfinite()
        if bool(broken.any()):
            ids = [work.ids[k] for k in broken.nonzero()[:, 0].tolist()]
            raise TrainingError(
                f"stream {work.stream!r}: {what} of {len(ids)} rows are nan or inf ({', '.join(ids[:8])}); no weight "
                "was changed; look at these rows, and lower optim.lr or add warm-up if the policy has diverged"
            )
    raise TrainingError(f"stream {work.stream!r}: the loss of {', '.join(work.ids[:8])} overflows when it is summed")
