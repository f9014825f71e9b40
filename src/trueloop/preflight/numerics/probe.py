"""A stream's loss, called at made-up log-probabilities, weights and references.  B samples, T tokens."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from trueloop.checks.numerics.loss import Penalty
from trueloop.train.batch import Batch, Outputs, Stream, batch, inputs, scatter
from trueloop.train.packing import Limits
from trueloop.train.plan import plan
from trueloop.train.step import Trainer

ROWS = 8
DISTANCES = (0.1, 0.5, 1.0, 2.0, 7.0)
RATIOS = (1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 4.0, 9.0, 19.0)
TOYS = (
    ((0.4, 0.3, 0.2, 0.1), (0.25, 0.25, 0.25, 0.25)),
    ((0.25, 0.25, 0.25, 0.25), (0.4, 0.3, 0.2, 0.1)),
    ((0.85, 0.05, 0.05, 0.05), (0.1, 0.4, 0.3, 0.2)),
)
"""Pairs of categorical distributions: policy, reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The loss of a stream of samples with a few of its rows, laid out as one pass without shared prefixes.

    logp_BT  the trainer's log-probabilities of these rows, zeros where nothing is trained
    """

    loss: Any
    given: Batch
    logp_BT: Tensor

    @classmethod
    def of(cls, stream: Stream, trainer: Trainer) -> Probe | None:
        """The probe of a stream, None for pairs and for streams without a row that is run."""
        trained = [s for s in stream.samples if any(s.loss_mask)]
        weighty = [s for s in trained if any(w for w, m in zip(s.weights, s.loss_mask, strict=True) if m)] or trained
        limits = Limits(budget=2**40, share=False, parts=1)
        work = next(iter(plan([replace(stream, samples=weighty[:ROWS])], limits, 0).passes), None) if weighty else None
        if work is None:
            return None
        device = next(iter(trainer.trainable.values())).device
        placed = inputs(work.rows, work.samples, device)
        given = batch(work, placed)
        values = trainer.logprobs(work.samples, stream.temperature)
        flat = [
            v for row, s in zip(values, work.samples, strict=True) for v, m in zip(row, s.loss_mask, strict=True) if m
        ]
        return cls(loss=stream.loss, given=given, logp_BT=scatter(torch.tensor(flat, device=device), given.mask_BT))

    @torch.enable_grad()
    def __call__(self, logp_BT: Tensor | None = None, **changes: Any) -> tuple[Tensor, Tensor]:
        """Loss per token and its derivative by the log-probabilities, [B, T]; `changes` are fields of the batch."""
        given = replace(self.given, **changes)
        leaf_BT = (self.logp_BT if logp_BT is None else logp_BT).detach().clone().requires_grad_()
        loss_BT = self.loss(self._outputs(leaf_BT, given), given)[0]
        total = torch.where(given.mask_BT, loss_BT, 0.0).sum()
        slope = torch.autograd.grad(total, leaf_BT, allow_unused=True)[0] if total.requires_grad else None
        return loss_BT.detach(), torch.zeros_like(leaf_BT) if slope is None else slope

    def pushes(self, weight: float) -> list[float]:
        """Per token: minus the derivative by its log-probability at this weight and ratio 1, less that at weight 0."""
        slopes = [self(**self._at_start(w))[1] for w in (weight, 0.0)]
        return (slopes[1] - slopes[0])[self.given.mask_BT].tolist()

    def reads_own(self) -> bool:
        """Whether the loss depends on the tokens' own log-probabilities."""
        return any(self.pushes(1.0)) or any(self.pushes(-1.0))

    def reads_old(self) -> bool:
        """Whether the loss or its derivative depends on those of the old policy."""
        old_BT = self.given.old_logp_BT
        return old_BT is not None and self._differs(old_logp_BT=self.logp_BT - 0.3)

    def reads_reference(self) -> bool:
        """Whether it depends on those of the reference."""
        ref_BT = self.given.ref_logp_BT
        return ref_BT is not None and self._differs(ref_logp_BT=self.logp_BT - 0.3)

    def lost(self) -> tuple[int, int]:
        """Of the rows as they are: tokens with a weight and no derivative, and tokens with a weight."""
        slope_BT = self()[1] - self(weights_BT=torch.zeros_like(self.given.weights_BT))[1]
        weighted_BT = (self.given.weights_BT != 0) & self.given.mask_BT
        return int((weighted_BT & (slope_BT == 0)).sum()), int(weighted_BT.sum())

    def bound(self, weight: float) -> float | None:
        """The first ratio without derivative, above 1 for a positive weight and below 1 for a negative one."""
        sign = 1 if weight > 0 else -1

        def dead(offset: float) -> bool:
            old_BT = self.logp_BT - sign * math.log1p(offset)
            start = self._at_start(weight) | {"old_logp_BT": old_BT}
            zero = start | {"weights_BT": torch.zeros_like(self.given.weights_BT)}
            return bool(((self(**start)[1] - self(**zero)[1])[self.given.mask_BT].abs() < 1e-9).all())

        if self.given.old_logp_BT is None or (high := next(filter(dead, RATIOS), None)) is None:
            return None
        low = max((r for r in RATIOS if r < high), default=0.0)
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (low, middle) if dead(middle) else (middle, high)
        return float(1 + high) if sign > 0 else float(1 / (1 + high))

    def penalty(self) -> Penalty | None:
        """How the loss reacts to the distance from the reference; None if it does not."""
        if not self.reads_reference():
            return None
        offsets = sorted({s * d for d in DISTANCES for s in (-1, 1)})
        base_BT = self._silent(self.logp_BT)[0]
        found = {d: self._silent(self.logp_BT - d) for d in offsets}
        mask_BT = self.given.mask_BT
        toys = [self._toy(policy, reference) for policy, reference in TOYS] if int(mask_BT.sum()) >= 4 else []
        return Penalty(
            values={d: float((loss_BT - base_BT)[mask_BT].mean()) for d, (loss_BT, _) in found.items()},
            slopes={d: float(slope_BT[mask_BT].mean()) for d, (_, slope_BT) in found.items()},
            expected=[(kl, value) for kl, value, _ in toys],
            pull=[pull for _, _, pull in toys] or [1.0],
        )

    def apart(self) -> tuple[float, float, float]:
        """Size of the derivative of the first sample's loss by the others' log-probabilities and by its own; largest
        change of the loss with three more columns of padding."""
        noise_BT = torch.linspace(-1e-5, 1e-5, self.logp_BT.numel(), device=self.logp_BT.device).view_as(self.logp_BT)
        old_BT = None if self.given.old_logp_BT is None else (self.logp_BT + noise_BT) * self.given.mask_BT
        given = replace(self.given, weights_BT=self.given.mask_BT.float(), old_logp_BT=old_BT)
        probe = replace(self, given=given)
        first_B1 = torch.zeros(len(given.mask_BT), 1, dtype=torch.bool, device=self.logp_BT.device)
        first_B1[0] = True
        with torch.enable_grad():
            leaf_BT = self.logp_BT.clone().requires_grad_()
            loss_BT = self.loss(self._outputs(leaf_BT, given), given)[0]
            first = loss_BT[given.mask_BT & first_B1].sum()
            slope_BT = torch.autograd.grad(first, leaf_BT, allow_unused=True)[0] if first.requires_grad else None
        own, foreign = (0.0, 0.0) if slope_BT is None else (float(slope_BT[0].abs().max()), _size(slope_BT[1:]))
        width = self.logp_BT.shape[1]
        padded = replace(probe, given=_padded(given), logp_BT=_wider(self.logp_BT))
        change_BT = (padded()[0][:, :width] - probe()[0])[given.mask_BT]
        return foreign, own, _size(change_BT)

    def _toy(self, policy: Sequence[float], reference: Sequence[float]) -> tuple[float, float, float]:
        """For two distributions over four tokens: exact KL, mean penalty under the policy, and the part of the mean
        penalty's gradient in the policy's logits that lies along the KL's, relative to it."""
        mask_BT, device = self.given.mask_BT, self.logp_BT.device
        n = int(mask_BT.sum())
        logs = [torch.tensor(p, dtype=torch.float64).log() for p in (policy, reference)]
        own_BT, ref_BT = (
            scatter(torch.tensor(list(itertools.islice(itertools.cycle(x.tolist()), n)), device=device), mask_BT)
            for x in logs
        )
        loss_BT, slope_BT = self._silent(ref_BT, own_BT)
        base_BT = self._silent(own_BT, own_BT)[0]
        p = logs[0].exp()
        values = (loss_BT - base_BT)[mask_BT][:4].double().cpu()
        slopes = slope_BT[mask_BT][:4].double().cpu()
        score_AA = torch.eye(4, dtype=torch.float64) - p[None]
        mine, exact = ((p * s) @ score_AA for s in (slopes, logs[0] - logs[1]))
        kl = float((p * (logs[0] - logs[1])).sum())
        return kl, float((p * values).sum()), float(mine @ exact / (exact @ exact))

    def _silent(self, ref_BT: Tensor, logp_BT: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """With all weights 0, at ratio 1, and this reference."""
        own_BT = self.logp_BT if logp_BT is None else logp_BT
        old_BT = None if self.given.old_logp_BT is None else own_BT
        zeros_BT = torch.zeros_like(self.given.weights_BT)
        return self(own_BT, weights_BT=zeros_BT, old_logp_BT=old_BT, ref_logp_BT=ref_BT)

    def _at_start(self, weight: float) -> dict[str, Any]:
        """All weights alike, ratio 1, the reference where the policy is."""
        return {
            "weights_BT": weight * self.given.mask_BT.float(),
            "old_logp_BT": None if self.given.old_logp_BT is None else self.logp_BT,
            "ref_logp_BT": None if self.given.ref_logp_BT is None else self.logp_BT,
        }

    def _differs(self, **change: Any) -> bool:
        start = self._at_start(1.0)
        pairs: list[tuple[Tensor, Tensor]] = list(zip(self(**start), self(**(start | change)), strict=True))
        return any(bool((a - b)[self.given.mask_BT].abs().max() > 1e-9) for a, b in pairs)

    def _outputs(self, logp_BT: Tensor, given: Batch) -> Outputs:
        return Outputs(
            logp_BT=logp_BT,
            entropy_BT=torch.zeros_like(logp_BT) if self.loss.needs_entropy else None,
            teacher_token_logp_BTK=given.teacher_logp_BTK,
        )


def probes(streams: Sequence[Stream], trainer: Trainer) -> list[Probe | None]:
    """One per stream."""
    return [Probe.of(stream, trainer) for stream in streams]


def _padded(given: Batch) -> Batch:
    """With further columns of padding."""
    names = ("ids_BT", "mask_BT", "weights_BT", "old_logp_BT", "ref_logp_BT", "teacher_ids_BTK", "teacher_logp_BTK")
    wider: dict[str, Any] = {n: _wider(getattr(given, n)) for n in names if getattr(given, n) is not None}
    return replace(given, **wider)


def _wider(values_BT: Tensor, by: int = 3) -> Tensor:
    """With further columns of zeros on the right."""
    return torch.cat([values_BT, values_BT.new_zeros(len(values_BT), by, *values_BT.shape[2:])], dim=1)


def _size(values: Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0
