"""The gradient of a few rows in several layouts, against a measured slope, and against what a step reports of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trueloop.checks.numerics import gradient as asked
from trueloop.checks.numerics import weights as keeping
from trueloop.errors import TrainingError
from trueloop.preflight.undo import undone
from trueloop.records import CheckResult, Sample, StepReport
from trueloop.train.batch import Batch, Outputs, Stream
from trueloop.train.optim import gradient_norm
from trueloop.train.step import Trainer

REACH = {"float32": 0.003, "bfloat16": 0.05}
"""Change of the objective over which its slope is measured, by compute type: well above the rounding of its terms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The gradient of some streams, in the memory of the CPU, the report of a step on them, and what it changed."""

    gradient: Mapping[str, Tensor]
    report: StepReport
    changed: int
    types: Mapping[str, Mapping[str, str]]

    @property
    def norm(self) -> float:
        """Of the gradient."""
        return gradient_norm(self.gradient)


def take(trainer: Trainer, streams: Sequence[Stream]) -> Taken:
    """Gradient and step of the streams; nothing of it stays.  Raises as `Trainer.step` does."""
    with undone(trainer) as before:
        gradient = {name: g.cpu() for name, g in trainer.backward(streams).items()}
        report = trainer.step(streams)
        changed = sum(
            int(((p.detach().cpu() != before[name]) & (gradient[name] != 0)).sum())
            for name, p in trainer.trainable.items()
        )
        types = {
            "weights": _types(trainer.trainable),
            "gradients": _types(gradient),
            "optimizer state": _state_types(trainer),
        }
    return Taken(gradient=gradient, report=report, changed=changed, types=types)


def steps(trainer: Trainer, streams: Sequence[Stream]) -> Iterator[CheckResult]:
    """The checks of gradients, reports and updates of the streams' own rows."""
    own = take(trainer, streams)
    rough = trainer.batching.compute_dtype != "float32"
    yield keeping.master_weights(own.types)
    reached = sum(int((g != 0).sum()) for g in own.gradient.values())
    if not trainer.chain.having("update") and not trainer.chain.having("gradients"):
        lr = own.report.lr
        yield keeping.update_survives(own.changed, reached, lr=lr, steps=_digits(trainer, lr))
    yield _size(trainer, streams, own)
    if not random(trainer):
        yield layouts(trainer, streams, own, limit=0.1 if rough else 1e-3)
        yield _reported(trainer, streams, own, limit=0.05 if rough else 1e-3)
        if not trainer.chain.having("forward"):
            slope = measured_slope(trainer, streams, own)
            yield asked.gradient_is_slope(own.norm, slope, limit=0.3 if rough else 0.2)


def random(trainer: Trainer) -> bool:
    """Whether the backward pass draws, as an adapter's dropout does, so that two of them differ."""
    drops = [m for m in trainer.policy.model.modules() if isinstance(m, torch.nn.Dropout) and m.p > 0]
    return trainer.policy.adapter is not None and bool(drops)


def layouts(trainer: Trainer, streams: Sequence[Stream], own: Taken, *, limit: float) -> CheckResult:
    """The same rows one by one, in small micro-batches, and in the reverse order."""
    if own.norm == 0.0:
        return asked.layout_invariant(None, ())
    longest = max(len(row.tokens) for s in streams for row in s.rows())
    backwards = [replace(s, samples=s.samples[::-1], pairs=s.pairs[::-1]) for s in streams]
    others = [
        ("one row in each micro-batch", streams, 1),
        ("other micro-batches, in the reverse order", backwards, 4 * longest),
    ]
    found = []
    for words, rows, budget in others:
        with laid_out(trainer, budget):
            found.append(_layout(words, take(trainer, rows), own))
    scale = sum(abs(w) for s in streams for w in _weights(s)) / max(1, sum(len(_weights(s)) for s in streams))
    return asked.layout_invariant(_layout("its own layout", own, own), found, limit=limit, scale=scale)


@contextmanager
def laid_out(trainer: Trainer, budget: int) -> Iterator[None]:
    """The trainer with another budget of positions inside."""
    own = trainer.batching
    trainer.batching = own.model_copy(update={"budget": budget})
    try:
        yield
    finally:
        trainer.batching = own


def measured_slope(trainer: Trainer, streams: Sequence[Stream], own: Taken) -> float:
    """Change of what is optimised per unit of distance along the gradient, by a central difference.

    That is the sum of the log-probabilities, each times the derivative of the loss by it, which stays what it is at the
    start: a loss that holds a ratio constant has the slope of this and not of its value.  Of losses that read more than
    log-probabilities it is the step's loss.
    """
    if own.norm == 0.0:
        return math.nan
    plain = all(only_logprobs(s) for s in streams)
    slopes = [_slopes(trainer, s) for s in streams] if plain else []

    def measure() -> float:
        if not plain:
            return trainer.step(streams).loss
        return math.fsum(_along(trainer, s, own_slopes) for s, own_slopes in zip(streams, slopes, strict=True))

    h = REACH[trainer.batching.compute_dtype] / own.norm
    ends = [_displaced(trainer, own, side * h, measure) for side in (1, -1)]
    return (ends[0] - ends[1]) / (2 * h)


def only_logprobs(stream: Stream) -> bool:
    """Whether the loss reads nothing of the policy but the tokens' own log-probabilities."""
    return not (stream.pairs or getattr(stream.loss, "needs_entropy", True)) and all(
        s.teacher is None for s in stream.samples
    )


def _slopes(trainer: Trainer, stream: Stream) -> list[list[float]]:
    """Per row and token: derivative of the step's loss by its log-probability."""
    rows = zip(stream.samples, trainer.logprobs(stream.samples, stream.temperature), _scales(stream), strict=True)
    found = []
    for sample, values, scale in rows:
        by_token = _row_loss(stream.loss, sample, values)[1] if any(sample.loss_mask) else []
        found.append([0.0] * (len(sample.tokens) - len(by_token)) + [scale * slope for slope in by_token])
    return found


def _along(trainer: Trainer, stream: Stream, slopes: Sequence[Sequence[float]]) -> float:
    """Sum of the log-probabilities times these slopes."""
    values = trainer.logprobs(stream.samples, stream.temperature)
    return math.fsum(a * b for row, own in zip(values, slopes, strict=True) for a, b in zip(row, own, strict=True))


def recomputed(trainer: Trainer, stream: Stream) -> float | None:
    """The stream's loss with its coefficient, row by row from the trainer's log-probabilities; None where it needs more
    than those."""
    if not only_logprobs(stream):
        return None
    values = trainer.logprobs(stream.samples, stream.temperature)
    rows = zip(stream.samples, values, _scales(stream), strict=True)
    return math.fsum(k * _row_loss(stream.loss, s, v)[0] for s, v, k in rows if any(s.loss_mask))


def _scales(stream: Stream) -> list[float]:
    """Per row its factor in the step's loss."""
    return [stream.coefficient * k for k in stream.reduction([s.trained_tokens for s in stream.samples])]


@torch.enable_grad()
def _row_loss(loss: object, sample: Sample, values: Sequence[float]) -> tuple[float, list[float]]:
    """Sum of one row's loss over its trained tokens, and its derivative by their log-probabilities, from the first
    trained token on."""
    first = sample.loss_mask.index(True)
    columns = [sample.weights, sample.logprobs, sample.ref_logprobs, values]
    weights, old, ref, own = (None if c is None else torch.tensor([c[first:]]) for c in columns)
    mask_BT = torch.tensor([sample.loss_mask[first:]])
    given = Batch(
        ids=(sample.id,),
        ids_BT=torch.tensor([sample.tokens[first:]]) * mask_BT,
        mask_BT=mask_BT,
        weights_BT=_kept(weights, mask_BT),
        old_logp_BT=None if old is None else _kept(old, mask_BT),
        ref_logp_BT=None if ref is None else _kept(ref, mask_BT),
        teacher_ids_BTK=None,
        teacher_logp_BTK=None,
        scale_B=torch.ones(1),
    )
    logp_BT = _kept(own, mask_BT).requires_grad_()
    call: Callable[[Outputs, Batch], tuple[Tensor, object]] = loss  # type: ignore[assignment]
    total = call(Outputs(logp_BT=logp_BT, entropy_BT=None, teacher_token_logp_BTK=None), given)[0][mask_BT].sum()
    slope = torch.autograd.grad(total, logp_BT, allow_unused=True)[0] if total.requires_grad else None
    return float(total.detach()), [0.0] * mask_BT.shape[1] if slope is None else slope[0].tolist()


def _reported(trainer: Trainer, streams: Sequence[Stream], own: Taken, *, limit: float) -> CheckResult:
    report, rows, losses = own.report, [], []
    if not trainer.chain.having("gradients"):
        rows.append(asked.Reported(name="gradient norm", reported=report.grad_norm, recomputed=own.norm))
    for stream in streams:
        lengths = [1] * len(stream.pairs) or [s.trained_tokens for s in stream.samples]
        whole = math.fsum(k * n for k, n in zip(stream.reduction(lengths), lengths, strict=True))
        reported, expected = report.denominator.get(stream.name, math.nan), sum(lengths) / whole if whole else math.nan
        rows.append(asked.Reported(name=f"denominator of {stream.name}", reported=reported, recomputed=expected))
        losses.append((stream, recomputed(trainer, stream)))
    if not trainer.chain.having("forward") and all(value is not None for _, value in losses):
        sizes = [abs(w) for s in streams for w in _weights(s)]
        expected = math.fsum(value or 0.0 for _, value in losses)
        scale = sum(sizes) / max(len(sizes), 1)
        rows.append(asked.Reported(name="loss", reported=report.loss, recomputed=expected, scale=scale))
    return asked.report_is_true(rows, _odd(report, streams), limit=limit)


def _odd(report: StepReport, streams: Sequence[Stream]) -> list[str]:
    """Metrics that cannot be right: not finite, out of their own bounds, of some of the tokens, never computed."""
    odd = []
    for name, m in report.metrics.items():
        if not all(map(math.isfinite, (m.total, m.low, m.high))) or not m.count > 0:
            odd.append(f"{name} is {m.total} over {m.count}")
        elif not m.low - 1e-6 <= m.mean + 1e-6 * abs(m.mean) or not m.mean - 1e-6 * abs(m.mean) <= m.high + 1e-6:
            odd.append(f"{name} has mean {m.mean:.4g} outside of [{m.low:.4g}, {m.high:.4g}]")
        elif name.endswith("/entropy") and m.low == m.high == 0.0:
            odd.append(f"{name} is exactly 0 at every token")
    for stream in (s for s in streams if s.samples):
        tokens, every = (report.metrics.get(f"{stream.name}/{k}") for k in ("tokens", "nll"))
        if tokens is not None and every is not None and every.count != tokens.total:
            odd.append(f"{stream.name}/nll is of {every.count:.0f} of {tokens.total:.0f} tokens")
    return odd


def _size(trainer: Trainer, streams: Sequence[Stream], own: Taken) -> CheckResult:
    sizes = [abs(w) for s in streams for w in _weights(s)]
    limit, norm = trainer.optim.max_grad_norm, own.norm
    factor = limit / norm if limit is not None and norm > limit else 1.0
    entries = torch.cat([g.flatten()[:: max(1, g.numel() // 4096)] for g in own.gradient.values()]).abs()
    entries = entries[entries > 0]
    return asked.gradient_size(
        norm,
        max_norm=limit,
        median=factor * float(entries.median()) if len(entries) else 0.0,
        eps=trainer.optim.eps,
        mean_weight=sum(sizes) / max(len(sizes), 1),
    )


def _layout(words: str, other: Taken, own: Taken) -> asked.Layout:
    apart = gradient_norm({name: g - own.gradient[name] for name, g in other.gradient.items()})
    return asked.Layout(
        words=words,
        distance=apart / own.norm,
        norm_ratio=other.norm / own.norm,
        loss=other.report.loss,
        denominators=dict(other.report.denominator),
    )


@torch.no_grad()
def _displaced(trainer: Trainer, own: Taken, by: float, measure: Callable[[], float]) -> float:
    with undone(trainer):
        for name, p in trainer.trainable.items():
            p.add_(own.gradient[name].to(p.device), alpha=by / own.norm)
        return measure()


def _weights(stream: Stream) -> list[float]:
    pairs = [pair.weight for pair in stream.pairs]
    return pairs or [w for s in stream.samples for w, m in zip(s.weights, s.loss_mask, strict=True) if m]


def _types(named: Mapping[str, Tensor]) -> dict[str, str]:
    return {name: str(t.dtype).removeprefix("torch.") for name, t in named.items()}


def _state_types(trainer: Trainer) -> dict[str, str]:
    try:
        return _types(trainer.state_dict()["moments"])
    except TrainingError as error:
        return {str(error): "another type"}


def _digits(trainer: Trainer, lr: float) -> float:
    """lr in units of the last digit of the median weight."""
    values = torch.cat([p.detach().flatten()[:: max(1, p.numel() // 4096)] for p in trainer.trainable.values()]).abs()
    values = values[values > 0]
    if not len(values):
        return math.inf
    middle = values.median()
    return lr / float(torch.nextafter(middle, middle * 2) - middle)


def _kept(values_BT: Tensor | None, mask_BT: Tensor) -> Tensor:
    assert values_BT is not None
    return values_BT.float().masked_fill(~mask_BT, 0.0)
