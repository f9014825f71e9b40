"""Directions in gradient space, and what to do with a gradient's part along them.

D parameters of one tensor or module, flattened; K directions with orthonormal rows V; N pairs.  The sign is that of
a LOSS gradient: a row of differences is grad NLL(unwanted) - grad NLL(wanted), which is the policy-gradient loss
with advantage +1 on the unwanted and -1 on the wanted answer, so a gradient g with V g > 0 trains towards the unwanted.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trueloop.errors import DataError


def directions(differences_ND: Tensor, K: int) -> tuple[Tensor, Tensor]:
    """The K leading right singular vectors of the differences, not centred, and their singular values (V_KD, S_K).

    Not centred, since the mean difference is the signal.  Each vector points where the majority of the pairs does; in
    a tie, where their sum does.  Raises DataError if the pairs do not span K directions.
    """
    _, S, V = torch.linalg.svd(differences_ND, full_matrices=False)
    rounding = 4 * math.sqrt(max(differences_ND.shape)) * torch.finfo(S.dtype).eps
    rank = int((S / S[:1] > rounding).sum())
    if not 1 <= K <= rank:
        raise DataError(f"directions: asked for {K}, but the {len(differences_ND)} differences span {rank}; add pairs")
    return orient(V[:K], differences_ND), S[:K]


def orient(V_KD: Tensor, differences_ND: Tensor) -> Tensor:
    """Each row turned so that most of the differences have a positive component along it."""
    along_NK = differences_ND @ V_KD.T
    votes_K, sums_K = along_NK.sign().sum(dim=0), along_NK.sum(dim=0)
    return V_KD * torch.where(torch.where(votes_K != 0, votes_K, sums_K) < 0, -1.0, 1.0)[:, None].to(V_KD.dtype)


def random_directions(K: int, D: int, generator: torch.Generator) -> Tensor:
    """K orthonormal rows, uniform over all such frames (Haar): the control for a basis made from pairs.  float32.

    Pairs with shuffled signs are no control: their singular vectors are the same.
    """
    if not 1 <= K <= D:
        raise DataError(f"random_directions: K must lie in [1, {D}], got {K}")
    Q, R = torch.linalg.qr(torch.randn(D, K, generator=generator, device=generator.device))
    return (Q * R.diagonal().sign()).T


def erase(g_D: Tensor, V_KD: Tensor) -> Tensor:
    """g - relu(V g) V: motion towards +V is dropped, motion away from it is kept.  One-sided."""
    return g_D - torch.relu(V_KD @ g_D) @ V_KD


def erase_both_sides(g_D: Tensor, V_KD: Tensor) -> Tensor:
    """g - (V g) V: nothing is left along V."""
    return g_D - (V_KD @ g_D) @ V_KD


def reverse(g_D: Tensor, V_KD: Tensor) -> Tensor:
    """g - 2 (V g) V: the part along V changes its sign, the norm stays."""
    return g_D - 2 * (V_KD @ g_D) @ V_KD


def route(g_D: Tensor, V_KD: Tensor) -> tuple[Tensor, Tensor]:
    """(g - relu(V g) V, relu(V g) V): what `erase` keeps, and what it drops, for a second, removable set of weights."""
    dropped_D = torch.relu(V_KD @ g_D) @ V_KD
    return g_D - dropped_D, dropped_D
