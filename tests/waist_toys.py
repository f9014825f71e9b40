"""Toys that the waist's tests share: rows from text, the model's own answers, a feed, pairs, a teacher."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from helpers import char_tokenizer
from trueloop.formulas import policy, preference
from trueloop.formulas.reduce import token_mean
from trueloop.loop.flow import Fixed, Flow
from trueloop.loop.online import Online, Seams
from trueloop.loop.rollouts import Producer
from trueloop.models.reference import with_reference
from trueloop.recipes.losses import Supervised
from trueloop.recipes.policy import PolicyLoss, Reinforce, to_sample
from trueloop.records import Pair, Problem, Sample, SamplePair, Sampling, Score, Teacher
from trueloop.tasks.source import Part, ProblemSource
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer

TOKENIZER = char_tokenizer()


def ids(text):
    return tuple(TOKENIZER.encode(text, add_special_tokens=False))


def problem(prompt, target=None):
    return Problem.create(prompt=prompt, target=target, task="toy", split="train")


def answer(name, prompt, text, weight=1.0):
    """A row whose answer is trained."""
    tokens, start = ids(prompt + text), len(ids(prompt))
    mask = tuple(t >= start for t in range(len(tokens)))
    return Sample(id=name, tokens=tokens, loss_mask=mask, weights=tuple(weight * m for m in mask))


def supervised(name, samples, **changes):
    return Stream(name=name, samples=samples, loss=Supervised(), reduction=token_mean, **changes)


def scratch(policy, lr=1e-3, interventions=()):
    return Trainer(policy, Optim(lr=lr), Batching(), interventions=interventions)


def full_logprobs(policy, tokens):
    """log p(. | tokens[:t + 1]) of the whole vocabulary [T, V], by the model's own forward and nothing of ours."""
    return policy.model(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)


def token_logp(policy, sample):
    """log p(token) of each trained token [N], by the model's own forward."""
    at = torch.tensor(sample.loss_mask).nonzero()[:, 0]
    return full_logprobs(policy, sample.tokens)[at - 1, torch.tensor(sample.tokens)[at]]


def gradient_of(policy, loss):
    named = policy.trainable()
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


def flat(named):
    return torch.cat([t.flatten() for t in named.values()])


# -- rollouts: any problems, any engine, any credit


def online(trainer, engine, problems, *, credit, streams, n, max_tokens, grade=None, annotate=None, unfit=None):
    async def score(problem, text, step):
        return grade(problem, text)

    producer = Producer(
        engine=engine,
        encode=lambda problem, step: ids(problem.prompt),
        decode=TOKENIZER.decode,
        grade=score if grade is not None else None,
        samples=Fixed(n=n),
        sampling=lambda problem: Sampling(max_tokens=max_tokens),
        seed=0,
        annotate=annotate,
    )
    return Online(
        source=ProblemSource([Part(name="toy", problems=problems)], seed=0),
        producer=producer,
        flow=Flow(problems_per_step=len(problems), samples=Fixed(n=n)),
        seams=Seams(credit=credit, streams=streams, unfit=unfit),
        trainer=trainer,
    )


async def drive(feed, trainer, steps, sync=None):
    """The steps as the loop takes them: (fill, report) of each."""
    done = []
    for step in range(1, steps + 1):
        trainer.refresh(step)
        fill = await feed.next(step)
        done.append((fill, trainer.step(fill.streams)))
        if sync is not None:
            await sync(trainer.version)
    await feed.close()
    return done


def judged(right):
    return Score(status="scored", reward=float(right), passed=bool(right))


def policy_stream(groups, step):
    samples = [to_sample(r, a) for g in groups for r, a in zip(g.rollouts, g.advantages, strict=True)]
    return [Stream(name="policy", samples=samples, loss=PolicyLoss(Reinforce()), reduction=token_mean)]


def unaware_of_the_sampler(streams):
    """Without the log-probabilities that a fake engine invented: the ratio is 1."""
    return [replace(s, samples=[replace(x, logprobs=None) for x in s.samples]) for s in streams]


# -- preferences


@dataclass(frozen=True)
class Objective:
    """Measured on a text; `maximize` says which way is better, and a margin's sign follows from it."""

    measure: Callable[[str], float]
    maximize: bool

    def margin(self, chosen, rejected):
        gain = self.measure(chosen) - self.measure(rejected)
        return gain if self.maximize else -gain


def to_pair(prompt, chosen, rejected, objectives):
    margins = {name: one.margin(chosen, rejected) for name, one in objectives.items()}
    return Pair(problem=problem(prompt), chosen=chosen, rejected=rejected, margins=margins)


def to_sample_pairs(pairs: Sequence[Pair], reference, *, gaps: Sequence[float] | None = None) -> list[SamplePair]:
    """Rows with the reference's log-probabilities; with gaps, the labels are as sure as sigmoid(gap) says."""
    found = []
    for k, pair in enumerate(pairs):
        rows = [answer(f"{k}/{x}", pair.problem.prompt, getattr(pair, x)) for x in ("chosen", "rejected")]
        a, b = with_reference(rows, reference)
        gap = None if gaps is None else gaps[k]
        found.append(SamplePair(id=str(k), chosen=a, rejected=b, margins=pair.margins, gap=gap))
    return found


def both_orders(pairs: Sequence[SamplePair]) -> list[SamplePair]:
    """Each pair and the same pair turned, weighted p and 1 - p: a soft label, written with hard ones."""
    found = []
    for pair in pairs:
        p, turned = 1 / (1 + math.exp(-pair.gap)), {name: -x for name, x in pair.margins.items()}
        found.append(replace(pair, gap=None, weight=p))
        other = SamplePair(id=f"{pair.id}/-", chosen=pair.rejected, rejected=pair.chosen, margins=turned, weight=1 - p)
        found.append(other)
    return found


@dataclass(frozen=True)
class Modpo:
    """With w = (1,) and no margins it is DPO.  Labels are as soft as the pairs' gaps; `regression` fits the gaps."""

    w: tuple[float, ...]
    beta: float
    regression: bool = False

    def __call__(self, out, batch):
        logratio_B = (out.chosen_logp_B - batch.ref_chosen_logp_B) - (out.rejected_logp_B - batch.ref_rejected_logp_B)
        metrics = {"logratio": logratio_B}
        if self.regression:
            return preference.modpo_regression(logratio_B, batch.gap_B, batch.margins_BM, self.w, self.beta), metrics
        z_B = preference.modpo_logit(logratio_B, batch.margins_BM, self.w, self.beta)
        p_B = 1.0 if batch.gap_B is None else batch.gap_B.sigmoid()
        return preference.soft_label(z_B, p_B), metrics | {"logit": z_B}


@dataclass(frozen=True)
class Anchor:
    """The k3 estimate of the KL to the reference, times the weights."""

    needs_entropy = False
    silent_at_zero_weight = True

    def __call__(self, out, batch):
        return batch.weights_BT * policy.kl_k3(out.logp_BT, batch.ref_logp_BT), {}


# -- distillation


def taught(policy, sample, K):
    """The sample with the K most probable tokens of `policy` at every trained position."""
    at = torch.tensor(sample.loss_mask).nonzero()[:, 0]
    with torch.no_grad():
        top = full_logprobs(policy, sample.tokens)[at - 1].topk(K)
    rows = (tuple(map(tuple, x.tolist())) for x in (top.indices, top.values))
    return replace(sample, teacher=Teacher(ids=next(rows), logprobs=next(rows)))
