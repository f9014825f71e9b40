"""What the trainer takes (streams of samples or pairs with their loss) and what a loss sees (tensors).

B samples or pairs of one forward pass, T tokens from a sample's first trained token to its last, K teacher ids,
M objectives, S positions of a row, R rows, N packed trained tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from trueloop.config import Config
from trueloop.errors import DataError
from trueloop.models.forward import Rows
from trueloop.records import Sample, SamplePair
from trueloop.train.packing import Row, trained_span


class Batching(Config):
    """How rows become forward passes; it changes speed and memory, never the loss.

    budget         most model positions of one forward pass, padding included; a longer row goes alone
    shared_prefix  read a prefix that several samples have in common once, where that is less work
    compute_dtype  of the forward and backward pass; weights, gradients and optimizer state stay float32
    """

    budget: int = Field(default=8192, ge=1)
    shared_prefix: bool = True
    compute_dtype: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The samples of one forward pass, as a loss over tokens sees them.

    mask_BT     where a token is trained; the other columns hold zeros
    weights_BT  the samples' weights
    scale_B     factor of each sample's summed loss in the step's loss, the stream's coefficient included
    """

    ids: tuple[str, ...]
    ids_BT: Tensor
    mask_BT: Tensor
    weights_BT: Tensor
    old_logp_BT: Tensor | None
    ref_logp_BT: Tensor | None
    teacher_ids_BTK: Tensor | None
    teacher_logp_BTK: Tensor | None
    scale_B: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What the policy says of a `Batch`, float32: log-probabilities of the tokens, entropies if the loss needs them,
    and its log-probabilities of the teacher's tokens if there is a teacher.  Zeros where nothing is trained."""

    logp_BT: Tensor
    entropy_BT: Tensor | None
    teacher_token_logp_BTK: Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairBatch:
    """The pairs of one forward pass.

    *_length_B    trained tokens of the answer
    ref_*_B       the reference policy's summed log-probabilities
    margin_names  the further objectives in alphabetical order, which no pair's own order can change
    margins_BM    chosen minus rejected under each of them, in log-odds
    gap_B         chosen minus rejected under the labels' own objective, in log-odds; None if the pairs have none
    scale_B       factor of each pair's loss in the step's loss: the reduction, the pair's weight, the coefficient
    """

    ids: tuple[str, ...]
    chosen_length_B: Tensor
    rejected_length_B: Tensor
    ref_chosen_logp_B: Tensor | None
    ref_rejected_logp_B: Tensor | None
    margin_names: tuple[str, ...]
    margins_BM: Tensor
    gap_B: Tensor | None
    scale_B: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOutputs:
    """The policy's log-probabilities of both answers, summed over their trained tokens."""

    chosen_logp_B: Tensor
    rejected_logp_B: Tensor


Values = Mapping[str, Tensor]
"""Metric values by name: one per token [B, T], of which the trained ones count, or one per sample or pair [B]."""


class Loss(Protocol):
    """Loss per token of independent samples: it neither masks nor averages, and no sample sees another.

    needs_entropy           whether `Outputs.entropy_BT` is computed
    silent_at_zero_weight   a sample whose weights are all 0 has loss and gradient 0, so it is not run at all

    With several processes it is pickled, so it is an instance of a class (or dataclass) of a module.
    """

    @property
    def needs_entropy(self) -> bool:
        """Asked once per pass."""
        ...

    @property
    def silent_at_zero_weight(self) -> bool:
        """Asked once per row."""
        ...

    def __call__(self, out: Outputs, batch: Batch) -> tuple[Tensor, Values]:
        """Loss [B, T] and metric values."""
        ...


class PairLoss(Protocol):
    """Loss per pair; pickled with several processes, as `Loss` is."""

    def __call__(self, out: PairOutputs, batch: PairBatch) -> tuple[Tensor, Values]:
        """Loss [B] and metric values [B], which count by the pairs' weights; the loss is weighted after."""
        ...


LOSS_ATTRIBUTES = {
    "needs_entropy": "whether the entropies are computed for it",
    "silent_at_zero_weight": "whether a sample whose weights are all 0 has loss and gradient 0, and is not run",
}
"""What a `Loss` has beside its call, and what it means."""


def loss_name(loss: object) -> str:
    """The name of a loss for messages: its class, or the function or class that stands where an instance should."""
    return str(getattr(loss, "__name__", type(loss).__name__))


Reduction = Callable[[Sequence[int]], Sequence[float]]
"""Trained tokens of every sample of the step -> one scale per sample (formulas/reduce.py).  For pairs, whose loss is
one term each, it is given ones: `row_mean`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Rows that share a loss.  Several streams, each with its own denominator, make one optimizer step.

    It has samples or pairs, not both; without any it adds nothing to the step.  temperature is the one that the rows
    were sampled at, and divides the logits.  Raises `DataError` for a loss that is not a `Loss` or `PairLoss`; for rows
    of which only some have log-probabilities, a reference, a teacher or a gap, and for pairs whose margins have
    different names: the loss could not tell "none" from 0.
    """

    name: str
    loss: Loss | PairLoss
    reduction: Reduction
    samples: Sequence[Sample] = ()
    pairs: Sequence[SamplePair] = ()
    coefficient: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.samples and self.pairs:
            raise DataError(
                f"stream {self.name!r} has {len(self.samples)} samples and {len(self.pairs)} pairs; make two streams"
            )
        self._require_loss()
        rows = [s for s in self.rows() if any(s.loss_mask)]
        self._require_uniform("logprobs", [(s.id, s.logprobs is not None) for s in rows])
        self._require_uniform("ref_logprobs", [(s.id, s.ref_logprobs is not None) for s in rows])
        self._require_uniform("a teacher of this K", [(s.id, _teacher_width(s)) for s in rows])
        self._require_uniform("the names of their margins", [(p.id, _margin_names(p)) for p in self.pairs])
        self._require_uniform("a gap", [(p.id, p.gap is not None) for p in self.pairs])

    def rows(self) -> list[Sample]:
        """Its samples; of pairs: chosen, rejected, chosen, rejected, ..."""
        return list(self.samples) or [s for pair in self.pairs for s in (pair.chosen, pair.rejected)]

    def _require_loss(self) -> None:
        name = loss_name(self.loss)
        if isinstance(self.loss, type) or not callable(self.loss):
            raise DataError(f"stream {self.name!r}: its loss {name} must be an instance of a class with __call__")
        for attribute, meaning in LOSS_ATTRIBUTES.items() if self.samples else ():
            if not hasattr(self.loss, attribute):
                raise DataError(
                    f"stream {self.name!r}: its loss {name} lacks {attribute} ({meaning}); a loss over tokens is an "
                    f"instance of a class with {', '.join(LOSS_ATTRIBUTES)} and __call__(out, batch), see "
                    "trueloop.train.batch.Loss"
                )

    def _require_uniform(self, what: str, found: Sequence[tuple[str, object]]) -> None:
        """The same value for every (id, value)."""
        for row, value in found:
            first, expected = found[0]
            if value != expected:
                raise DataError(
                    f"stream {self.name!r}: trained rows {first!r} and {row!r} disagree about {what} ({expected} and "
                    f"{value}); split them into two streams, or complete them"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One forward pass: its rows, its samples (or pairs) and what their loss needs.  Complete, so it can be sent to
    another process.  `samples` are in the order that `Row.members` counts; without a loss they are only scored."""

    stream: str
    loss: Loss | PairLoss | None
    temperature: float
    rows: tuple[Row, ...]
    samples: tuple[Sample, ...]
    pairs: tuple[SamplePair, ...]
    scales: tuple[float, ...]
    seed: int

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of its pairs, or of its samples where there are no pairs."""
        return tuple(x.id for x in self.pairs or self.samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What `models.forward.score` takes.  ids_N are the trained tokens, sample by sample in the samples' order, and
    predict_N the flat positions in R x S of the states that predict them."""

    rows: Rows
    predict_N: Tensor
    ids_N: Tensor
    mask_BT: Tensor


def inputs(rows: Sequence[Row], samples: Sequence[Sample], device: torch.device) -> Inputs:
    """Lay the samples out in their rows.  Padding has id 0, position 0 and segment -1."""
    longest = max(row.length for row in rows)
    ids_RS = torch.zeros(len(rows), longest, dtype=torch.int64)
    position_RS = torch.zeros_like(ids_RS)
    segment_RS = torch.full_like(ids_RS, -1)
    predict: list[Tensor] = [torch.empty(0)] * len(samples)
    for r, row in enumerate(rows):
        stop = row.prefix
        ids_RS[r, :stop] = torch.tensor(samples[row.members[0]].tokens[:stop], dtype=torch.int64)
        position_RS[r, :stop] = torch.arange(stop)
        segment_RS[r, :stop] = 0
        for segment, k in enumerate(row.members, start=1):
            start, (_, last) = stop, trained_span(samples[k])
            stop = start + last - row.prefix
            ids_RS[r, start:stop] = torch.tensor(samples[k].tokens[row.prefix : last], dtype=torch.int64)
            position_RS[r, start:stop] = torch.arange(row.prefix, last)
            segment_RS[r, start:stop] = segment if row.prefix else 0
            before = _trained(samples[k]) - 1
            inside = before >= row.prefix
            predict[k] = r * longest + torch.where(inside, before - row.prefix + start, before)
    tokens = [torch.tensor(s.tokens, dtype=torch.int64)[_trained(s)] for s in samples]
    return Inputs(
        rows=Rows(ids_RS=ids_RS.to(device), position_RS=position_RS.to(device), segment_RS=segment_RS.to(device)),
        predict_N=torch.cat(predict).to(device),
        ids_N=torch.cat(tokens).to(device),
        mask_BT=_columns([s.loss_mask for s in samples], samples, torch.bool).to(device),
    )


def batch(work: Pass, placed: Inputs) -> Batch:
    """The tensors of a pass over samples, on the device of its inputs."""
    samples, mask_BT = work.samples, placed.mask_BT

    def column(values: Sequence[Sequence[float]]) -> Tensor:
        return _columns(values, samples, torch.float32).to(mask_BT.device).masked_fill(~mask_BT, 0.0)

    old = [s.logprobs for s in samples if s.logprobs is not None]
    ref = [s.ref_logprobs for s in samples if s.ref_logprobs is not None]
    teachers = [s.teacher for s in samples if s.teacher is not None]
    ids_N = [row for t in teachers for row in t.ids]
    logp_N = [row for t in teachers for row in t.logprobs]
    return Batch(
        ids=work.ids,
        ids_BT=scatter(placed.ids_N, mask_BT),
        mask_BT=mask_BT,
        weights_BT=column([s.weights for s in samples]),
        old_logp_BT=column(old) if old else None,
        ref_logp_BT=column(ref) if ref else None,
        teacher_ids_BTK=scatter(torch.tensor(ids_N, device=mask_BT.device), mask_BT) if teachers else None,
        teacher_logp_BTK=scatter(torch.tensor(logp_N, device=mask_BT.device), mask_BT) if teachers else None,
        scale_B=torch.tensor(work.scales, device=mask_BT.device),
    )


def pair_batch(work: Pass, placed: Inputs) -> PairBatch:
    """The tensors of a pass over pairs, whose samples are chosen, rejected, chosen, rejected, ..."""
    device = placed.mask_BT.device
    lengths_B = placed.mask_BT.sum(1)
    refs = [_summed(s, s.ref_logprobs) for s in work.samples if s.ref_logprobs is not None]
    ref_B = torch.tensor(refs, device=device) if refs else None
    names = _margin_names(work.pairs[0])
    margins = [[pair.margins[name] for name in names] for pair in work.pairs]
    gaps = [pair.gap for pair in work.pairs if pair.gap is not None]
    return PairBatch(
        ids=work.ids,
        chosen_length_B=lengths_B[0::2],
        rejected_length_B=lengths_B[1::2],
        ref_chosen_logp_B=None if ref_B is None else ref_B[0::2],
        ref_rejected_logp_B=None if ref_B is None else ref_B[1::2],
        margin_names=names,
        margins_BM=torch.tensor(margins, device=device, dtype=torch.float32),
        gap_B=torch.tensor(gaps, device=device, dtype=torch.float32) if gaps else None,
        scale_B=torch.tensor(work.scales, device=device),
    )


def scatter(values_N: Tensor, mask_BT: Tensor) -> Tensor:
    """Packed values [N] or [N, K] to [B, T] or [B, T, K]: row by row where the mask is True, 0 elsewhere."""
    out = values_N.new_zeros(*mask_BT.shape, *values_N.shape[1:])
    where = mask_BT if values_N.ndim == 1 else mask_BT[..., None].expand_as(out)
    return out.masked_scatter(where, values_N)


def _trained(sample: Sample) -> Tensor:
    return torch.tensor(sample.loss_mask).nonzero()[:, 0]


def _columns(values: Sequence[Sequence[float]], samples: Sequence[Sample], dtype: torch.dtype) -> Tensor:
    """Per-token values from each sample's first trained token to its last, padded with zeros to [B, T]."""
    spans = [trained_span(s) for s in samples]
    rows = [torch.tensor(v[first : last + 1], dtype=dtype) for v, (first, last) in zip(values, spans, strict=True)]
    return pad_sequence(rows, batch_first=True)


def _summed(sample: Sample, values: Sequence[float]) -> float:
    return sum(value for value, trained in zip(values, sample.loss_mask, strict=True) if trained)


def _teacher_width(sample: Sample) -> int:
    if sample.teacher is None:
        return 0
    widths = {len(row) for row in (*sample.teacher.ids, *sample.teacher.logprobs)}
    if len(widths) > 1:
        raise DataError(f"sample {sample.id!r}: its teacher rows have {sorted(widths)} entries; give one K to all")
    return widths.pop()


def _margin_names(pair: SamplePair) -> tuple[str, ...]:
    return tuple(sorted(pair.margins))
