"""Truncated sampling with one uniform per token: pure functions from logits to tokens and their log-probabilities.

Shapes: R rows, V vocabulary.  Order of truncation: temperature, then top-k, then top-p on what top-k kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trueloop.records import Sampling


@dataclass(frozen=True, slots=True)
class Knobs:
    """The sampling parameters of R rows as tensors.  `truncated` and `greedy` say whether any row asks for it."""

    temperature_R: Tensor
    top_k_R: Tensor
    top_p_R: Tensor
    greedy_R: Tensor
    truncated: bool
    greedy: bool
    tempered: bool

    @classmethod
    def of(cls, rows: Sequence[Sampling], device: torch.device) -> Knobs:
        """The knobs of these rows.  A greedy row is scored at temperature 1, untruncated."""
        greedy = [s.temperature == 0.0 for s in rows]
        temperature = [1.0 if g else s.temperature for s, g in zip(rows, greedy, strict=True)]
        top_k = [0 if g else s.top_k for s, g in zip(rows, greedy, strict=True)]
        top_p = [1.0 if g else s.top_p for s, g in zip(rows, greedy, strict=True)]
        return cls(
            temperature_R=torch.tensor(temperature, device=device),
            top_k_R=torch.tensor(top_k, device=device),
            top_p_R=torch.tensor(top_p, dtype=torch.float64, device=device),
            greedy_R=torch.tensor(greedy, device=device),
            truncated=any(top_k) or min(top_p, default=1.0) < 1.0,
            greedy=any(greedy),
            tempered=any(t != 1.0 for t in temperature),
        )


@dataclass(frozen=True, slots=True)
class Draw:
    """Drawn tokens with their log-probabilities; where `valid_R` is False the logits were not finite."""

    tokens_R: Tensor
    logprobs_R: Tensor
    scores_R: Tensor
    valid_R: Tensor


def uniforms(seed: int) -> Iterator[float]:
    """The uniforms in [0, 1) of a seed, without end: numpy's counter-based Philox, the seed as its key."""
    generator = np.random.Generator(np.random.Philox(key=seed % 2**128))
    while True:
        yield from generator.random(64).tolist()


def draw(logits_RV: Tensor, knobs: Knobs, uniform_R: Tensor) -> Draw:
    """One token per row by inverse transform sampling: the first id, in vocabulary order, whose CDF exceeds u.

    `logprobs_R` belongs to the truncated and renormalised distribution, `scores_R` to the same temperature without
    truncation.  Greedy rows take the argmax and ignore their uniform.
    """
    logits_RV = logits_RV.float()
    if knobs.tempered:
        logits_RV = logits_RV / knobs.temperature_R[:, None]
    full_R = logits_RV.logsumexp(-1)
    kept_RV = truncate(logits_RV, knobs.top_k_R, knobs.top_p_R) if knobs.truncated else logits_RV
    kept_R = kept_RV.logsumexp(-1) if knobs.truncated else full_R
    tokens_R = inverse_cdf((kept_RV - kept_R[:, None]).exp_(), uniform_R)
    if knobs.greedy:
        tokens_R = torch.where(knobs.greedy_R, logits_RV.argmax(-1), tokens_R)
    picked_R = logits_RV.gather(-1, tokens_R[:, None])[:, 0]
    return Draw(tokens_R, picked_R - kept_R, picked_R - full_R, torch.isfinite(full_R) & torch.isfinite(picked_R))


def inverse_cdf(probs_RV: Tensor, uniform_R: Tensor) -> Tensor:
    """The smallest id whose cumulative probability exceeds u times the total; an id of probability 0 never comes."""
    cdf_RV = probs_RV.cumsum(-1, dtype=torch.float64)
    target_R1 = uniform_R[:, None] * cdf_RV[:, -1:]
    return torch.searchsorted(cdf_RV, target_R1, right=True)[:, 0].clamp_(max=probs_RV.shape[-1] - 1)


def truncate(logits_RV: Tensor, top_k_R: Tensor, top_p_R: Tensor) -> Tensor:
    """Logits with -inf outside the top-k ids, then outside the nucleus (arXiv:1904.09751) of what remains.

    top_k 0 and top_p 1 keep everything.  Departs from the usual implementations in that ties with the last id kept
    are kept too: what is kept then depends on the probabilities alone, not on how a sort breaks ties.
    """
    logits_RV, V = logits_RV.clone(), logits_RV.shape[-1]
    width_R = torch.where(top_k_R > 0, top_k_R.clamp(max=V), V)
    rows = (width_R < V).nonzero()[:, 0]
    if len(rows):
        best = logits_RV[rows].topk(int(width_R[rows].max())).values
        smallest = best.gather(-1, width_R[rows, None] - 1)
        logits_RV[rows] = logits_RV[rows].masked_fill(logits_RV[rows] < smallest, -torch.inf)
    rows = (top_p_R < 1.0).nonzero()[:, 0]
    if len(rows):
        probs = logits_RV[rows].softmax(-1)
        best = probs.topk(int(width_R[rows].max())).values
        mass_before = best.cumsum(-1, dtype=torch.float64) - best
        count = (mass_before < top_p_R[rows, None]).sum(-1, keepdim=True)
        smallest = best.gather(-1, (count - 1).clamp_(min=0))
        logits_RV[rows] = logits_RV[rows].masked_fill(probs < smallest, -torch.inf)
    return logits_RV
