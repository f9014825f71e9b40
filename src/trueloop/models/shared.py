"""Whether a model takes rows in which several completions share one prompt: measured, not believed."""

from __future__ import annotations

import torch
from torch import Tensor

from trueloop.errors import ModelError
from trueloop.models.forward import Rows, plain_rows, score
from trueloop.models.load import embedding_rows
from trueloop.models.policy import Policy


def supports_shared_prefix(policy: Policy) -> bool:
    """True if rows with a shared prefix give this model the log-probabilities of plain rows; see `why_not_shared`."""
    return why_not_shared(policy) is None


@torch.no_grad()
def why_not_shared(policy: Policy) -> str | None:
    """None if shared rows are exact for this model, else the reason for using plain rows.

    Windowed and recurrent layers are refused by their configuration, since a short probe would not reach past a
    window.  Anything else is measured: three completions on one prompt, shared against plain, where the difference
    must be a thousandth of what a changed prompt makes.
    """
    windowed = _windowed(policy)
    if windowed:
        return windowed
    prompt, completions = _probe(policy)
    try:
        shared = _shared_logp(policy, prompt, completions)
    except (ModelError, TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
        return f"a row with a shared prefix fails: {type(error).__name__}: {error}"
    plain, other = _plain_logp(policy, prompt, completions), _plain_logp(policy, prompt[::-1], completions)
    gap, control = (shared - plain).abs().max().item(), (other - plain).abs().max().item()
    if gap <= 1e-3 * control + 1e-6:
        return None
    return f"shared and plain rows differ by {gap:.2e} in a log-probability (a changed prompt: {control:.2e})"


def _windowed(policy: Policy) -> str | None:
    config = policy.base_model.config.get_text_config()
    layers = getattr(config, "layer_types", None)
    if layers is None:
        windows = [n for n in ("sliding_window", "attention_chunk_size") if getattr(config, n, None) is not None]
    else:
        windows = sorted(set(layers) - {"full_attention"})
    return f"not every layer sees the whole row ({', '.join(windows)})" if windows else None


def _probe(policy: Policy) -> tuple[list[int], list[list[int]]]:
    draw = torch.randint(
        0, embedding_rows(policy.base_model), (20,), generator=torch.Generator().manual_seed(0)
    ).tolist()
    return draw[:7], [draw[7:10], draw[10:16], draw[16:]]


def _plain_logp(policy: Policy, prompt: list[int], completions: list[list[int]]) -> Tensor:
    rows = plain_rows([(*prompt, *c) for c in completions])
    S = rows.ids_RS.shape[1]
    at = [r * S + len(prompt) + t for r, c in enumerate(completions) for t in range(len(c))]
    return _score(policy, rows, [i - 1 for i in at], at)


def _shared_logp(policy: Policy, prompt: list[int], completions: list[list[int]]) -> Tensor:
    P = len(prompt)
    position, segment = list(range(P)), [0] * P
    ids = list(prompt)
    predict: list[int] = []
    at: list[int] = []
    for k, completion in enumerate(completions, start=1):
        at += range(len(ids), len(ids) + len(completion))
        predict += [P - 1, *range(len(ids), len(ids) + len(completion) - 1)]
        ids += completion
        position += range(P, P + len(completion))
        segment += [k] * len(completion)
    columns = (torch.tensor([x]) for x in (ids, position, segment))
    rows = Rows(**dict(zip(("ids_RS", "position_RS", "segment_RS"), columns, strict=True)))
    return _score(policy, rows, predict, at)


def _score(policy: Policy, rows: Rows, predict: list[int], at: list[int]) -> Tensor:
    device = policy.base_model.device
    ids_N = rows.ids_RS.flatten()[torch.tensor(at)].to(device)
    return score(policy.model, rows.to(device), torch.tensor(predict, device=device), ids_N).logp_N
