"""Which distribution drew the tokens: their likelihood under the configured one against others.  N tokens, V ids."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trueloop.preflight.numerics.sight import MIN_P, PENALTIES, TOP_K, TOP_P, Sight, cut_off, min_p, picked
from trueloop.records import Sampling

FACTORS = (0.05, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.25, 1.5, 2.0, 3.0)
EDGE, FARTHEST = 0.005, 0.05
"""Least and most probability by which a token may lie beyond the nucleus: sampler and trainer round differently at its
edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What `checks.numerics.sampler.draws_are_claimed` asks, and what the configured truncation keeps.

    n         tokens
    ratios    other distribution in words -> log-likelihood of the tokens under it minus that under the configured one
    excess    sum of (log-probability + entropy), 0 in expectation;  variance: of this sum
    outside   tokens that the configured truncation excludes
    kept      per token: log of the probability that is kept
    """

    n: int
    ratios: dict[str, float]
    excess: float
    variance: float
    outside: int
    kept: list[float]

    @property
    def cut(self) -> float:
        """Mean probability outside of what is kept."""
        return 1.0 - math.fsum(map(math.exp, self.kept)) / max(len(self.kept), 1)


def drawn(sight: Sight, sampling: Sampling, rounding: float = 0.0) -> Drawn:
    """Compare the configured distribution with others; `rounding` is as for `beyond_truncation`."""
    own_NV = sight.logits_NV / sight.temperature
    kept_NV = cut_off(own_NV, top_k=sampling.top_k, top_p=sampling.top_p)
    logp_NV = kept_NV.log_softmax(-1)
    inside = torch.isfinite(logp_NV.gather(-1, sight.ids_N[:, None])[:, 0])
    base = torch.tensor(picked(torch.where(inside[:, None], logp_NV, own_NV.log_softmax(-1)), sight.ids_N))
    p_NV = logp_NV.exp().double()
    surprise_NV = torch.where(p_NV > 0, -logp_NV.double(), 0.0)
    entropy_N = (p_NV * surprise_NV).sum(-1)
    ratios = {}
    for words, other_NV in _others(sight, own_NV, sampling):
        ratios[words] = float((torch.tensor(sight.scored(other_NV)) - base).double().sum())
    return Drawn(
        n=len(base),
        ratios=ratios,
        excess=float((base.double() + entropy_N.cpu()).sum()),
        variance=float(((p_NV * surprise_NV.square()).sum(-1) - entropy_N.square()).clamp_min(0).sum()),
        outside=int(beyond_truncation(own_NV, sight.ids_N, sampling, rounding).sum()),
        kept=(kept_NV.logsumexp(-1) - own_NV.logsumexp(-1)).tolist(),
    )


def together(parts: Sequence[Drawn]) -> Drawn:
    """What several lots of tokens say of the same settings, and each lot by itself, since what acts on one may not act
    on the other; `kept` is that of the first."""
    ratios = {words: math.fsum(p.ratios.get(words, 0.0) for p in parts) for words in parts[0].ratios}
    for k, part in enumerate(parts if len(parts) > 1 else ()):
        ratios |= {f"{words} (draws of lot {k + 1})": ratio for words, ratio in part.ratios.items()}
    return Drawn(
        n=sum(p.n for p in parts),
        ratios=ratios,
        excess=math.fsum(p.excess for p in parts),
        variance=math.fsum(p.variance for p in parts),
        outside=sum(p.outside for p in parts),
        kept=parts[0].kept,
    )


def entropies(sight: Sight) -> list[float]:
    """Of the next token at temperature 1, in nats."""
    logp_NV = sight.logits_NV.log_softmax(-1)
    return [float(h) for h in -torch.linalg.vecdot(logp_NV.exp(), logp_NV)]


def _others(sight: Sight, own_NV: Tensor, sampling: Sampling) -> Iterator[tuple[str, Tensor]]:
    t = sight.temperature
    for factor in FACTORS:
        other_NV = cut_off(own_NV / factor, top_k=sampling.top_k, top_p=sampling.top_p)
        yield f"{factor:g} times the temperature", other_NV
    if sampling.top_k or sampling.top_p < 1:
        yield "no truncation", own_NV
    yield from ((f"top-k {k}", cut_off(own_NV, top_k=k)) for k in TOP_K)
    yield from ((f"top-p {p}", cut_off(own_NV, top_p=p)) for p in TOP_P)
    yield from ((f"min-p {p}", min_p(own_NV, p)) for p in MIN_P)
    yield from ((f"a repetition penalty of {r}", sight.penalised(r) / t) for r in PENALTIES)
    yield "a uniform guess", torch.zeros_like(own_NV)


def beyond_truncation(own_NV: Tensor, ids_N: Tensor, sampling: Sampling, rounding: float = 0.0) -> Tensor:
    """Whether each token is one that truncation excludes, by more than rounding [N].

    own_NV    logits at the temperature of the draw
    rounding  by how much a log-probability may differ between who drew and who looks
    """
    p_NV = own_NV.softmax(-1)
    better_NV = p_NV > p_NV.gather(-1, ids_N[:, None]) * math.exp(max(rounding, 1e-2))
    beyond_N = torch.zeros(len(ids_N), dtype=torch.bool, device=own_NV.device)
    if sampling.top_k:
        beyond_N |= better_NV.sum(-1) >= sampling.top_k
    if sampling.top_p < 1:
        beyond_N |= (p_NV * better_NV).sum(-1) >= sampling.top_p + min(max(rounding, EDGE), FARTHEST)
    return beyond_N
