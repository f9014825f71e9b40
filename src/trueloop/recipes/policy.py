"""What every recipe that samples shares: advantages, policy losses and penalties, as configurations and the objects
they stand for.  The formulas are in `formulas/`; here they are chosen and joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from trueloop.config import Config
from trueloop.errors import DataError
from trueloop.formulas import advantage, policy, reduce
from trueloop.records import Group, Rollout, Sample
from trueloop.train.batch import Batch, Outputs

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]

# -- advantages


class Grpo(Config):
    """(r - mean) / std of the group, arXiv:2402.03300 section 4.1.2."""

    kind: Literal["grpo"] = "grpo"


class DrGrpo(Config):
    """r - mean of the group, arXiv:2503.20783."""

    kind: Literal["dr_grpo"] = "dr_grpo"


class Rloo(Config):
    """r - mean of the others, arXiv:2402.14740."""

    kind: Literal["rloo"] = "rloo"


class MaxRl(Config):
    """(r - mean) / mean of the group, for rewards that are not negative, arXiv:2602.02710."""

    kind: Literal["max_rl"] = "max_rl"


Advantage = Annotated[Grpo | DrGrpo | Rloo | MaxRl, Field(discriminator="kind")]

ADVANTAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "grpo": advantage.standardize,
    "dr_grpo": advantage.center,
    "rloo": advantage.leave_one_out,
    "max_rl": advantage.max_rl,
}

# -- policy terms


class Clip(Config):
    """PPO's clipped ratio; equal bounds are GRPO, 0.2 and 0.28 are DAPO (arXiv:2503.14476 equation 10)."""

    kind: Literal["clip"] = "clip"
    low: NonNegative
    high: NonNegative


class Reinforce(Config):
    """The policy gradient with importance weights and no clip."""

    kind: Literal["reinforce"] = "reinforce"


class Cispo(Config):
    """The ratio clipped as a constant weight, arXiv:2506.13585; `max_ratio` caps the ratio itself."""

    kind: Literal["cispo"] = "cispo"
    max_ratio: Positive


class Gspo(Config):
    """One ratio for the whole response, arXiv:2507.18071; the bounds are far smaller than PPO's, about 3e-4."""

    kind: Literal["gspo"] = "gspo"
    low: NonNegative
    high: NonNegative


PolicyTerm = Annotated[Clip | Reinforce | Cispo | Gspo, Field(discriminator="kind")]


class Kl(Config):
    """A penalty that keeps the policy near a reference.

    estimator      k1, k2 or k3 (http://joschu.net/blog/kl-approx.html)
    where          loss: added per token; reward: its sum over the rollout's tokens is subtracted from the reward,
                   where only k1 has the KL's gradient
    refresh_every  optimizer steps after which the reference takes over the policy's weights; None keeps it fixed
    As a loss k1 has no gradient in expectation: there it is a measurement.
    """

    coefficient: Positive
    estimator: Literal["k1", "k2", "k3"] = "k3"
    where: Literal["loss", "reward"] = "loss"
    refresh_every: Annotated[int, Field(ge=2)] | None = None


KL = {"k1": policy.kl_k1, "k2": policy.kl_k2, "k3": policy.kl_k3}


class Overlong(Config):
    """DAPO's soft punishment of length (arXiv:2503.14476 section 3.4): 0 up to `limit - cache` tokens, then down to
    -`weight` at `limit`; None: the task's max_tokens, so that an answer that is cut loses `weight`."""

    cache: Annotated[int, Field(ge=1)]
    limit: Annotated[int, Field(ge=1)] | None = None
    weight: Positive = 1.0

    @model_validator(mode="after")
    def _possible(self) -> Overlong:
        if self.limit is not None and self.cache > self.limit:
            raise ValueError(f"cache must not be above limit, got cache {self.cache} and limit {self.limit}")
        return self


# -- reductions


class TokenMean(Config):
    """The mean over all trained tokens of the step (DAPO)."""

    kind: Literal["token_mean"] = "token_mean"


class SequenceMean(Config):
    """The mean over responses of each response's mean (GRPO)."""

    kind: Literal["sequence_mean"] = "sequence_mean"


class FixedLength(Config):
    """The mean over responses of each response's sum over a constant `length` (Dr. GRPO)."""

    kind: Literal["fixed_length"] = "fixed_length"
    length: Annotated[int, Field(ge=1)]


Reduction = Annotated[TokenMean | SequenceMean | FixedLength, Field(discriminator="kind")]


def reduction(config: TokenMean | SequenceMean | FixedLength) -> Callable[[Sequence[int]], list[float]]:
    """The function from the step's response lengths to one scale per response."""
    if config.kind == "fixed_length":
        return partial(reduce.fixed_length, C=config.length)
    return reduce.token_mean if config.kind == "token_mean" else reduce.sequence_mean


# -- the loss object


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """A policy term, with a KL penalty and an entropy bonus where they are asked for.

    Samples without log-probabilities are taken as drawn from the present policy: their ratio is 1.

    Metrics per token: ratio; drift, |log ratio|; nll of the sampled token (on-policy its mean estimates the entropy);
    clipped/above and clipped/below or capped where the term has such bounds; kl and entropy where they were computed.
    """

    term: Clip | Reinforce | Cispo | Gspo
    kl: Kl | None = None
    entropy: float = 0.0

    @property
    def needs_entropy(self) -> bool:
        """The entropy is computed for the bonus alone: it costs a pass over the vocabulary."""
        return self.entropy != 0.0

    @property
    def silent_at_zero_weight(self) -> bool:
        """Whether a row without advantage has no term at all."""
        return (self.kl is None or self.kl.where == "reward") and self.entropy == 0.0

    def __call__(self, out: Outputs, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and metrics per token, [B, T]."""
        old_BT = batch.old_logp_BT if batch.old_logp_BT is not None else out.logp_BT.detach()
        loss_BT, metrics = self._term(out.logp_BT, old_BT, batch)
        log_ratio_BT = (out.logp_BT - old_BT).detach()
        metrics["ratio"], metrics["drift"] = log_ratio_BT.exp(), log_ratio_BT.abs()
        metrics["nll"] = -out.logp_BT.detach()
        if self.kl is not None and self.kl.where == "loss":
            if batch.ref_logp_BT is None:
                raise DataError("a KL penalty in the loss needs samples with ref_logprobs; the recipe gave none")
            kl_BT = KL[self.kl.estimator](out.logp_BT, batch.ref_logp_BT)
            loss_BT = loss_BT + self.kl.coefficient * kl_BT
            metrics["kl"] = kl_BT.detach()
        if self.entropy:
            if out.entropy_BT is None:
                raise DataError("an entropy bonus needs the entropies, which were not computed: see needs_entropy")
            loss_BT = loss_BT - self.entropy * out.entropy_BT
            metrics["entropy"] = out.entropy_BT.detach()
        return loss_BT, metrics

    def _term(self, logp_BT: Tensor, old_BT: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        adv_BT, term = batch.weights_BT, self.term
        if term.kind == "clip":
            above_BT = policy.clipped_above(logp_BT.detach(), old_BT, adv_BT, term.high)
            below_BT = policy.clipped_below(logp_BT.detach(), old_BT, adv_BT, term.low)
            shares = {"clipped/above": above_BT.float(), "clipped/below": below_BT.float()}
            return policy.clipped(logp_BT, old_BT, adv_BT, term.low, term.high), shares
        if term.kind == "gspo":
            return policy.gspo(logp_BT, old_BT, adv_BT, batch.mask_BT, term.low, term.high), {}
        if term.kind == "cispo":
            capped_BT = ((logp_BT - old_BT).detach().exp() > term.max_ratio).float()
            return policy.cispo(logp_BT, old_BT, adv_BT, term.max_ratio), {"capped": capped_BT}
        return policy.reinforce(logp_BT, old_BT, adv_BT), {}


# -- from groups to samples


def give_advantages(groups: Sequence[Group], kind: str, bonus: Callable[[Rollout], float] | None = None) -> list[Group]:
    """Each group with the advantages of its rewards; `bonus` is added to a rollout's reward before."""
    credited = []
    for group in groups:
        rewards = list(group.rewards())
        if bonus is not None:
            rewards = [r + bonus(rollout) for r, rollout in zip(rewards, group.rollouts, strict=True)]
        values = ADVANTAGES[kind](torch.tensor(rewards, dtype=torch.float64))
        credited.append(replace(group, advantages=tuple(values.tolist())))
    return credited


def distance(kl: Kl, rollout: Rollout, ref: Sequence[float]) -> float:
    """The estimator of KL(policy || reference) summed over the tokens that the rollout wrote, in nats."""
    written = torch.tensor(rollout.loss_mask)
    own, references = (torch.tensor(x, dtype=torch.float64)[written] for x in (rollout.policy_logprobs, ref))
    return float(KL[kl.estimator](own, references).sum())


def to_sample(
    rollout: Rollout, advantage: float, *, old: Sequence[float] | None = None, importance_cap: float = 1.0
) -> Sample:
    """A rollout as a trainable row: its advantage on every token that it wrote.

    The ratio's old policy is the sampler at its temperature without truncation (`Rollout.policy_logprobs`).  With
    `old`, the trainer's own log-probabilities of these tokens before the step, it is the trainer instead, and each
    token's advantage is multiplied by min(exp(old - drawn), importance_cap): truncated importance sampling for all that
    lies between the two, which is top-k and top-p, another precision or kernel, and staleness.
    """
    weights = [advantage if m else 0.0 for m in rollout.loss_mask]
    if old is not None:
        trained, drawn = (torch.tensor(x, dtype=torch.float64) for x in (old, rollout.logprobs))
        ratios = policy.truncated_importance_weights(trained, drawn, importance_cap).tolist()
        weights = [w * r for w, r in zip(weights, ratios, strict=True)]
    return Sample(
        id=rollout.id,
        tokens=rollout.tokens,
        loss_mask=rollout.loss_mask,
        weights=tuple(weights),
        logprobs=rollout.policy_logprobs if old is None else tuple(old),
    )
