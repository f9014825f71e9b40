"""One denominator per optimizer step, counted before the batch is split.

Each rule turns the trained-token counts of EVERY sample of the optimizer step (all ranks, and the samples that were
dropped because their loss is zero) into one scale per sample, such that

    step loss = sum_i scale_i sum_t mask_it loss_it

whatever the micro-batches, the padding and the order of the rows.  B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trueloop.errors import DataError


def token_mean(lengths: Sequence[int]) -> list[float]:
    """Every trained token of the step weighs the same: 1 / sum_j L_j.  DAPO, arXiv:2503.14476, section 3.3."""
    _require_tokens(lengths)
    return [1.0 / sum(lengths)] * len(lengths)


def sequence_mean(lengths: Sequence[int]) -> list[float]:
    """Every sample weighs the same, its tokens share that: 1 / (n L_i).  GRPO, arXiv:2402.03300, eq. 3.

    A sample without a trained token counts in n and contributes nothing.
    """
    _require_tokens(lengths)
    return [1.0 / (len(lengths) * length) if length else 0.0 for length in lengths]


def fixed_length(lengths: Sequence[int], C: int) -> list[float]:
    """Every token weighs 1 / (n C) with a constant C, the longest completion allowed.  Dr. GRPO, arXiv:2503.20783."""
    _require_tokens(lengths)
    if C < 1:
        raise DataError(f"fixed_length: C must be at least 1 token, got {C}; use the sampler's max_tokens")
    return [1.0 / (len(lengths) * C)] * len(lengths)


def row_mean(lengths: Sequence[int]) -> list[float]:
    """Every row weighs the same, whatever its length: 1 / n.  For pairs, and for samples whose loss is the sum of their
    tokens' terms, such as a sequence's log-probability.

    A sample without a trained token counts in n and contributes nothing.
    """
    _require_tokens(lengths)
    return [1.0 / len(lengths)] * len(lengths)


def weighted_sum(loss_BT: Tensor, mask_BT: Tensor, scale_B: Tensor) -> Tensor:
    """sum_i scale_i sum_t mask_it loss_it, a scalar.  What stands where the mask is False is never read.

    Raises `DataError` for shapes that differ: broadcasting them would give a number of another meaning.
    """
    if loss_BT.shape != mask_BT.shape or scale_B.shape != mask_BT.shape[:1]:
        shapes = [list(x.shape) for x in (loss_BT, mask_BT, scale_B)]
        raise DataError(f"weighted_sum: expected loss [B, T], mask [B, T] and scale [B], got {shapes}")
    return (torch.where(mask_BT, loss_BT, 0.0).sum(dim=1) * scale_B).sum()


def _require_tokens(lengths: Sequence[int]) -> None:
    if sum(lengths) < 1 or min(lengths) < 0:
        raise DataError(f"reduction: expected counts of trained tokens, at least one in the step, got {list(lengths)}")
