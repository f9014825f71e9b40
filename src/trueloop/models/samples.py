"""Log-probabilities of whole samples, without gradients, as references and checks need them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from trueloop.models.forward import Rows, plain_rows, score
from trueloop.records import Sample


@torch.no_grad()
def sample_logprobs(
    model: PreTrainedModel | PeftModel,
    samples: Sequence[Sample],
    *,
    temperature: float = 1.0,
    compute_dtype: torch.dtype = torch.float32,
    max_tokens: int = 8192,
) -> list[tuple[float, ...]]:
    """Per sample one value per token: log p where `loss_mask` is True, 0.0 elsewhere, which nothing reads.

    Plain rows, sorted by length; `max_tokens` bounds the padded tokens of one forward (a longer sample goes alone).
    """
    values: list[tuple[float, ...]] = [()] * len(samples)
    for chosen, rows, at_N in batches(samples, max_tokens, model.device):
        ids_N = rows.ids_RS.flatten()[at_N]
        logp_N = score(model, rows, at_N - 1, ids_N, temperature=temperature, compute_dtype=compute_dtype).logp_N
        logp = iter(logp_N.tolist())
        for i in chosen:
            values[i] = tuple(next(logp) if on else 0.0 for on in samples[i].loss_mask)
    return values


def batches(
    samples: Sequence[Sample], max_tokens: int, device: torch.device
) -> Iterator[tuple[list[int], Rows, Tensor]]:
    """Forwards over all samples: which samples, their plain rows, and flat positions in R x S of their trained tokens
    [N], sample by sample.  Sorted by length; `max_tokens` bounds the padded tokens of each."""
    for chosen in _by_length(samples, max_tokens):
        rows = plain_rows([samples[i].tokens for i in chosen]).to(device)
        S = rows.ids_RS.shape[1]
        flat = [r * S + t for r, i in enumerate(chosen) for t, on in enumerate(samples[i].loss_mask) if on]
        yield chosen, rows, torch.tensor(flat, dtype=torch.int64, device=device)


def _by_length(samples: Sequence[Sample], max_tokens: int) -> Iterator[list[int]]:
    """Indices in batches of near-equal length whose padded size stays within `max_tokens`."""
    batch: list[int] = []
    for i in sorted(range(len(samples)), key=lambda i: len(samples[i].tokens)):
        if batch and len(samples[i].tokens) * (len(batch) + 1) > max_tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
