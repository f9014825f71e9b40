"""Faults between sampler, trainer and reference: their log-probabilities are of other distributions than they say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import torch
from peft import PeftModel

from trueloop.engines.local import LocalEngine
from trueloop.faults import claims, seams
from trueloop.faults.base import Fault
from trueloop.models import Policy
from trueloop.models.lora import base_weights
from trueloop.records import Completion, Request

GAP = ("numerics.sampler_trainer_gap",)
DRAWS = ("numerics.draws_are_claimed",)
COOL = "draw.temperature=0.6"


def _lying(
    *, ask: claims.Ask | None = None, claim: Callable[[], claims.Claim] | None = None, rescore: float | None = None
) -> Callable[[], AbstractContextManager[Any]]:
    """The engine that asks for or claims something else."""

    def changed(engine: LocalEngine) -> Any:
        asked, claimed = ask or (lambda request: request), claim() if claim else (lambda completion: completion)
        return claims.Lying(engine, ask=asked, claim=claimed, rescore=rescore)

    return lambda: seams.engine(changed)


def _claims(change: Callable[[tuple[float, ...]], Sequence[float]]) -> Callable[[], AbstractContextManager[Any]]:
    return _lying(claim=lambda: claims.claiming(change))


def _loading(change: Callable[[dict[str, Any]], Any]) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: seams.engine(lambda engine: claims.Loading(engine, change))


def _without_first(request: Request) -> Request:
    return replace(request, prompt=request.prompt[1:])


def _as_drawn(c: Completion) -> Completion:
    return replace(c, policy_logprobs=c.logprobs)


def _raw(c: Completion) -> Completion:
    return replace(c, logprobs=c.policy_logprobs)


def _penalising(engine: LocalEngine) -> LocalEngine:
    claims.drawing_from(engine, claims.penalising)
    return engine


def _penalising_raw(engine: LocalEngine) -> Any:
    return claims.Lying(_penalising(engine), rescore=1.0)


def _hotter_raw(engine: LocalEngine) -> Any:
    claims.drawing_from(engine, lambda logits, read: logits / 1.5)
    return claims.Lying(engine, rescore=1.0)


def _min_p(engine: LocalEngine) -> LocalEngine:
    claims.drawing_from(engine, lambda z, read: z.masked_fill(z < z.amax(-1, keepdim=True) + math.log(0.2), -torch.inf))
    return engine


class _SaysFloat32(claims.Lying):
    def describe(self) -> dict[str, Any]:
        return {**self.inner.describe(), "dtype": "float32"}


@torch.no_grad()
def continued(policy: Policy) -> None:
    """An adapter that was trained before: its B is not zero."""
    dice = torch.Generator().manual_seed(2)
    for name, p in policy.trainable().items():
        if "lora_B" in name:
            p.copy_(0.05 * torch.randn(p.shape, generator=dice))


@contextmanager
def _base_served() -> Iterator[None]:
    """The engine is given the base of a policy with a trained adapter."""
    held: list[Policy] = []

    def base(weights: dict[str, Any]) -> Any:
        model = held[0].model
        return base_weights(model) if isinstance(model, PeftModel) else weights

    with (
        seams.policy(lambda p: held.append(p) or continued(p)),  # type: ignore[func-returns-value]
        seams.engine(lambda engine: claims.Loading(engine, base)),
    ):
        yield


FAULTS = (
    Fault(
        id="sampler_ignores_temperature",
        mechanism="temperature",
        what="draw.temperature is 0.6 and the engine is asked for 1",
        caught_by=GAP,
        recorded=("rlvr 1", "rlvr 2"),
        overrides=(COOL,),
        plant=_lying(ask=claims.sampling(temperature=1.0)),
    ),
    Fault(
        id="sampler_is_hotter",
        mechanism="temperature",
        what="the engine has a temperature of 1.5 as its own default",
        caught_by=GAP,
        plant=_lying(ask=claims.sampling(temperature=1.5)),
    ),
    Fault(
        id="raw_logprobs_at_temperature",
        mechanism="temperature",
        what="the engine draws at 0.6 and returns log-probabilities from before the temperature",
        caught_by=GAP,
        recorded=("rlvr 1",),
        overrides=(COOL,),
        plant=_lying(rescore=1.0),
    ),
    Fault(
        id="draws_hotter_claims_raw",
        mechanism="temperature",
        what="the engine draws at 1.5 and returns log-probabilities at 1, so that both sides seem to agree",
        caught_by=DRAWS,
        plant=lambda: seams.engine(_hotter_raw),
    ),
    Fault(
        id="top_k_unsaid",
        mechanism="truncation",
        what="the engine draws from the 3 likeliest tokens and returns log-probabilities of the whole softmax",
        caught_by=DRAWS,
        recorded=("trl 7", "rlvr 11"),
        plant=_lying(ask=claims.sampling(top_k=3, temperature=1.0), claim=lambda: _raw),
        overrides=("draw.temperature=1.0",),
    ),
    Fault(
        id="top_p_uncorrected",
        mechanism="truncation",
        what="nucleus sampling without importance weights",
        caught_by=("numerics.truncation_corrected",),
        recorded=("rlvr 11",),
        overrides=("draw.top_p=0.9", "draw.top_k=2"),
    ),
    Fault(
        id="renormalised_logprobs",
        mechanism="truncation",
        what="the engine returns the log-probabilities of its truncated distribution as the policy's",
        caught_by=GAP,
        recorded=("rlvr 11",),
        overrides=("draw.top_p=0.8",),
        plant=_lying(claim=lambda: _as_drawn),
    ),
    Fault(
        id="raw_drawn_logprobs",
        mechanism="truncation",
        what="with nucleus sampling the engine returns untruncated log-probabilities of the draw",
        caught_by=("numerics.drawn_logprobs",),
        overrides=("draw.top_p=0.8", "importance_cap=2.0"),
        plant=_lying(claim=lambda: _raw),
    ),
    Fault(
        id="truncation_not_applied",
        mechanism="truncation",
        what="top_k = 2 is configured and the engine draws from everything",
        caught_by=DRAWS,
        overrides=("draw.top_k=2", "importance_cap=2.0", "draw.temperature=1.5"),
        plant=_lying(ask=claims.sampling(top_k=0)),
    ),
    Fault(
        id="repetition_penalty",
        mechanism="processed logits",
        what="the engine has a repetition penalty of 1.3 as its own default and returns processed log-probabilities",
        caught_by=GAP,
        recorded=("trl 7",),
        plant=lambda: seams.engine(_penalising),
    ),
    Fault(
        id="repetition_penalty_raw",
        mechanism="processed logits",
        what="the engine draws with a repetition penalty and returns raw log-probabilities",
        caught_by=DRAWS,
        recorded=("trl 7",),
        plant=lambda: seams.engine(_penalising_raw),
    ),
    Fault(
        id="min_p_unsaid",
        mechanism="processed logits",
        what="the engine leaves out tokens below a fifth of the likeliest",
        caught_by=(*GAP, *DRAWS),
        plant=lambda: seams.engine(_min_p),
    ),
    Fault(
        id="bfloat16_sampler_says_float32",
        mechanism="precision",
        what="the engine computes in bfloat16 and says float32",
        caught_by=GAP,
        recorded=("rlvr 9",),
        overrides=("engine.dtype='bfloat16'",),
        plant=lambda: seams.engine(_SaysFloat32),
    ),
    Fault(
        id="weights_cross_in_bfloat16",
        mechanism="precision",
        what="the weights are rounded to bfloat16 on their way to the engine",
        caught_by=("numerics.sampler_weights", *GAP),
        recorded=("rlvr 9",),
        plant=_loading(claims.rounded),
    ),
    Fault(
        id="stale_sampler",
        mechanism="weights of the sampler",
        what="the engine holds the weights of some steps ago",
        caught_by=("numerics.sampler_weights", *GAP),
        recorded=("rlvr 9",),
        plant=_loading(claims.perturbed),
    ),
    Fault(
        id="stale_head",
        mechanism="weights of the sampler",
        what="the engine keeps its old output layer",
        caught_by=("numerics.sampler_weights", *GAP),
        plant=_loading(lambda weights: claims.perturbed(weights, part="lm_head")),
    ),
    Fault(
        id="adapter_not_served",
        mechanism="weights of the sampler",
        what="the engine serves the base of a policy whose adapter was trained before",
        caught_by=GAP,
        recorded=("belief 1", "belief 2"),
        bed="lora",
        plant=_base_served,
    ),
    Fault(
        id="shifted_logprobs",
        mechanism="alignment",
        what="log-probabilities are one token late",
        caught_by=GAP,
        plant=_claims(claims.shifted),
    ),
    Fault(
        id="another_completion_s_logprobs",
        mechanism="alignment",
        what="completions get the log-probabilities of the one that finished before them",
        caught_by=GAP,
        plant=_lying(claim=claims.another_s),
    ),
    Fault(
        id="prompt_without_first_token",
        mechanism="alignment",
        what="the engine drops the first token of the prompt, as a tokenizer that adds its own would have it",
        caught_by=GAP,
        plant=_lying(ask=_without_first),
    ),
    Fault(
        id="zero_logprobs",
        mechanism="values",
        what="a server that gives no log-probabilities is read as one that gives 0",
        caught_by=GAP,
        recorded=("rlvr 27", "rlvr 3"),
        plant=_claims(lambda values: [0.0] * len(values)),
    ),
    Fault(
        id="some_missing_logprobs",
        mechanism="values",
        what="missing log-probabilities are -100",
        caught_by=GAP,
        recorded=("rlvr 27",),
        plant=_claims(claims.some_missing),
    ),
    Fault(
        id="noisy_logprobs",
        mechanism="values",
        what="log-probabilities with noise of 0.05, as of other kernels",
        caught_by=GAP,
        recorded=("rlvr 9", "rlvr 14"),
        plant=_claims(claims.noisy),
    ),
    Fault(
        id="logprobs_in_base_2",
        mechanism="values",
        what="log-probabilities in base 2",
        caught_by=GAP,
        plant=_claims(lambda values: [v / math.log(2) for v in values]),
    ),
    Fault(
        id="summed_logprobs",
        mechanism="values",
        what="each token's log-probability is that of the completion so far",
        caught_by=GAP,
        plant=_claims(claims.summed),
    ),
    Fault(
        id="infinite_logprob",
        mechanism="values",
        what="one log-probability is minus infinity",
        caught_by=(*GAP, "sampling.logprobs_valid"),
        plant=_claims(lambda values: [*values[:-1], -math.inf]),
        refused="finite|nan or inf",
    ),
)
