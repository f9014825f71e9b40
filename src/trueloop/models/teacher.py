"""What a teacher says where a student is trained: its most probable tokens at every trained position.

R rows, S positions of a row, N packed trained tokens, K tokens listed, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from trueloop.errors import DataError, ModelError
from trueloop.formulas.logprobs import top_from_logits, top_logprobs
from trueloop.models.forward import packed_states
from trueloop.models.load import embedding_rows
from trueloop.models.policy import Policy
from trueloop.models.samples import batches
from trueloop.records import Sample, Teacher


@torch.no_grad()
def top_k(
    policy: Policy,
    samples: Sequence[Sample],
    k: int,
    *,
    temperature: float = 1.0,
    compute_dtype: torch.dtype = torch.float32,
    max_tokens: int = 8192,
    listed: int | None = None,
) -> list[Teacher]:
    """Per sample the `k` most probable ids and their log-probabilities before each trained token, most probable first.

    Exact, under softmax(logits / temperature) over the whole vocabulary.  Plain rows, sorted by length; `max_tokens`
    bounds the padded tokens of one forward (a longer sample goes alone).  The head is taken a block of the vocabulary
    at a time; a model whose logits are more than a linear head holds those of one forward, N x V, so give it a smaller
    `max_tokens`.  Only ids below `listed` are named, where the student knows no others.

    Raises `DataError` for a sample beyond the model's context, and for a k that is more than there are ids.
    """
    _require_context(policy, samples)
    found = [Teacher(ids=(), logprobs=())] * len(samples)
    for chosen, rows, at_N in batches(samples, max_tokens, policy.base_model.device):
        packed, head = packed_states(policy.model, rows, at_N - 1, compute_dtype)
        if head is None:
            ids_NK, logp_NK = top_from_logits(packed, k, temperature=temperature, listed=listed)
        else:
            ids_NK, logp_NK = top_logprobs(
                packed, head.weight, k, bias_V=head.bias, temperature=temperature, listed=listed
            )
        ids, logp = (iter(tuple(map(tuple, x.tolist()))) for x in (ids_NK, logp_NK))
        for i in chosen:
            n = samples[i].trained_tokens
            found[i] = Teacher(ids=tuple(next(ids) for _ in range(n)), logprobs=tuple(next(logp) for _ in range(n)))
    return found


def under(sample: Sample, prompt: tuple[int, ...]) -> Sample:
    """The sample with another prompt: all from its first trained token on stays, token by token, so that what a model
    says of the one aligns with the other.  Log-probabilities and teacher, which were of the old prompt, are gone."""
    first = sample.loss_mask.index(True) if True in sample.loss_mask else len(sample.tokens)
    return Sample(
        id=sample.id,
        tokens=prompt + sample.tokens[first:],
        loss_mask=(False,) * len(prompt) + sample.loss_mask[first:],
        weights=(0.0,) * len(prompt) + sample.weights[first:],
    )


def context_limit(policy: Policy) -> int | None:
    """The most tokens that the model is made to read; None where its configuration names no limit."""
    limit = getattr(policy.base_model.config.get_text_config(), "max_position_embeddings", None)
    return None if limit is None else int(limit)


def require_same_tokens(teacher: Policy, student: Policy) -> None:
    """Raises `ModelError` unless every token has the same id in both: distributions over ids could not be compared."""
    theirs, ours = teacher.tokenizer.get_vocab(), student.tokenizer.get_vocab()
    if theirs == ours:
        return
    token = min(t for t in theirs.keys() | ours.keys() if theirs.get(t) != ours.get(t))
    raise ModelError(
        f"the teacher's tokenizer is not the student's: token {token!r} has id {theirs.get(token)} there and "
        f"{ours.get(token)} here; choose a teacher of the same family"
    )


def nameable(teacher: Policy, student: Policy) -> int:
    """How many ids both models have: the `listed` of `top_k`.  Beyond the vocabulary a head may be padded."""
    return min(embedding_rows(teacher.base_model), embedding_rows(student.base_model))


def _require_context(policy: Policy, samples: Sequence[Sample]) -> None:
    limit = context_limit(policy)
    long = [s for s in samples if limit is not None and len(s.tokens) > limit]
    if long:
        raise DataError(
            f"{len(long)} of {len(samples)} samples are longer than the teacher's context of {limit} tokens, first "
            f"{long[0].id!r} with {len(long[0].tokens)}; leave them out, or shorten the hint"
        )
