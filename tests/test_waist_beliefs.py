"""Beliefs at the waist: probes, credit from a statistic of the whole step, and an anchor as a stream of its own."""

import asyncio
import random
import re
from dataclasses import replace
from functools import partial

import pytest
import torch
from pytest import approx

from helpers import tiny_policy
from trainer_toys import difference
from trueloop.engines.fake import FakeEngine
from trueloop.engines.local import LocalEngine
from trueloop.formulas import belief
from trueloop.formulas.reduce import token_mean
from trueloop.loop.loop import Sampler
from trueloop.models.reference import FrozenCopy, with_reference
from trueloop.recipes.policy import PolicyLoss, Reinforce, to_sample
from trueloop.records import Probe
from trueloop.train.batch import Stream
from waist_toys import (
    TOKENIZER,
    Anchor,
    drive,
    full_logprobs,
    gradient_of,
    ids,
    online,
    policy_stream,
    problem,
    scratch,
    token_logp,
)

WEATHER = (problem("will it rain? "), problem("will it snow? "))
CHANCES = tuple(problem(f"0.{k} becomes ") for k in (1, 3, 5, 7, 9))


@pytest.fixture
def policy():
    return tiny_policy()


def state_beliefs(request, prompt):
    """A prior and a posterior of two digits each, drawn by the request's seed; the posterior overshoots."""
    rng = random.Random(request.sampling.seed)
    prior = rng.randrange(20, 80)
    posterior = min(99, max(1, prior + round(0.4 * (prior - 50)) + rng.randrange(-15, 16)))
    return f"0.{prior:02d} so 0.{posterior:02d}"


async def annotate_beliefs(engine, groups):
    """Two beliefs, each with the digits that say how much as its span; none where they cannot be read."""
    return [replace(g, rollouts=tuple(map(_with_probes, g.rollouts))) for g in groups]


def _with_probes(rollout):
    start, probes = rollout.loss_mask.index(True), []
    for name, match in zip(("prior", "posterior"), re.finditer(r"0\.(\d\d)", rollout.text), strict=False):
        first, stop = match.span(1)
        probes.append(Probe(name=name, start=start + first, stop=start + stop, value=float(match[0])))
    return replace(rollout, probes=tuple(probes))


def stated(rollout, name):
    return next(p.value for p in rollout.probes if p.name == name)


def unpredictable_revisions(groups):
    """Every rollout's share in making Cov(prior, revision)^2 of the WHOLE step small."""
    rollouts = [r for g in groups for r in g.rollouts]
    prior_N, posterior_N = (torch.tensor([stated(r, x) for r in rollouts]).double() for x in ("prior", "posterior"))
    credit = iter(belief.leave_one_out_credit(belief.squared_covariance, prior_N, posterior_N - prior_N).tolist())
    return [replace(g, advantages=tuple(next(credit) for _ in g.rollouts)) for g in groups]


def belief_streams(groups, step, *, reference, anchor):
    """Credit on the posterior's digits; the prior's digits are held by a stream of their own."""
    credited = [(r, a) for g in groups for r, a in zip(g.rollouts, g.advantages, strict=True)]
    told = [_only(to_sample(r, a), r, "posterior") for r, a in credited]
    held = with_reference([_only(to_sample(r, 1.0), r, "prior") for r, _ in credited], reference)
    return [
        Stream(name="told", samples=told, loss=PolicyLoss(Reinforce()), reduction=token_mean),
        Stream(name="held", samples=held, loss=Anchor(), reduction=token_mean, coefficient=anchor),
    ]


def _only(sample, rollout, name):
    """Weights at the belief of this name alone; a fake engine's log-probabilities are not used."""
    at = {t for p in rollout.probes if p.name == name for t in range(p.start, p.stop)}
    weights = tuple(w if t in at else 0.0 for t, w in enumerate(sample.weights))
    return replace(sample, id=f"{sample.id}/{name}", weights=weights, logprobs=None)


class Spy:
    """A loss that remembers the gradient of every token's log-probability, by sample."""

    def __init__(self, loss):
        self.loss, self.seen = loss, []
        self.needs_entropy, self.silent_at_zero_weight = loss.needs_entropy, loss.silent_at_zero_weight

    def __call__(self, out, batch):
        out.logp_BT.retain_grad()
        self.seen.append((out, batch))
        return self.loss(out, batch)

    def touched(self):
        """Per sample which of its tokens, counted from the first trained one, got a gradient."""
        return {
            name: tuple((row != 0).nonzero()[:, 0].tolist())
            for out, batch in self.seen
            for name, row in zip(batch.ids, out.logp_BT.grad, strict=True)
        }


def silent(group, step):
    """A group in which a belief cannot be read is replaced."""
    return "no_belief" if any(len(r.probes) < 2 for r in group.rollouts) else None


def beliefs(policy, steps, *, anchor=1.0, lr=1e-3, say=state_beliefs):
    """Two problems, six rollouts each; rollouts do not depend on the policy, so arms see the same ones."""
    trainer = scratch(policy, lr=lr)
    feed = online(
        trainer,
        FakeEngine(say, TOKENIZER, end_id=1),
        WEATHER,
        annotate=annotate_beliefs,
        unfit=silent,
        credit=unpredictable_revisions,
        streams=partial(belief_streams, reference=FrozenCopy(policy), anchor=anchor),
        n=6,
        max_tokens=20,
    )
    return asyncio.run(drive(feed, trainer, steps))


def credited(stream):
    """Per sample its one weight that is not 0."""
    return [next(w for w in s.weights if w) for s in stream.samples]


def said(sample):
    """(prior, posterior) as the text of the sample says them."""
    text = TOKENIZER.decode([t for t, m in zip(sample.tokens, sample.loss_mask, strict=True) if m])
    return float(text[:4]), float(text[8:12])


def test_credit_is_what_each_rollout_adds_to_a_statistic_of_the_whole_step(policy):
    fill, _ = beliefs(policy, 1)[0]
    told, _ = fill.streams
    assert "reward/mean" not in fill.metrics, "nothing was scored, so there is no reward of 0 either"
    p, q = torch.tensor([said(s) for s in told.samples]).double().T

    def statistic(keep):
        return float(torch.cov(torch.stack([p, q - p])[:, keep], correction=0)[0, 1]) ** 2

    everyone, N = list(range(12)), 12
    by_hand = [-N * (statistic(everyone) - statistic([j for j in everyone if j != i])) for i in everyone]
    assert credited(told) == approx(by_hand, abs=1e-9)
    assert max(by_hand) > 1e-4 > -1e-4 > min(by_hand)


def test_a_group_whose_belief_cannot_be_read_is_replaced_and_counted(policy):
    def mumble(request, prompt):
        first_time = request.id.split("/")[1] == "0"
        return "hm" if first_time and "snow" in prompt and request.id.endswith("/3") else state_beliefs(request, prompt)

    fill, _ = beliefs(policy, 1, say=mumble)[0]
    assert len(fill.streams[0].samples) == 12 and fill.metrics["fates/filtered"] == 1
    fates = [(row["text"], row["fate"]) for row in fill.rows if row["text"] == "hm"]
    assert fates == [("hm", "filtered:no_belief")]
    assert len([row for row in fill.rows if row["fate"] == "filtered:no_belief"]) == 6


def test_credit_reaches_the_belief_and_the_anchor_the_prior(policy):
    later, before = tiny_policy(), FrozenCopy(policy)
    beliefs(later, 2, lr=3e-3)
    told, held = beliefs(policy, 1)[0][0].streams
    held = replace(held, samples=with_reference(held.samples, before))
    digits = {"told": (10, 11), "held": (2, 3)}
    for stream in (told, held):
        spy = Spy(stream.loss)
        got = scratch(later).backward([replace(stream, loss=spy)])
        assert set(spy.touched().values()) == {digits[stream.name]} and len(spy.touched()) == 12
        assert difference(by_hand(later, stream, digits[stream.name]), got) < 1e-5


def by_hand(policy, stream, digits):
    """Credit times log-probability, or k3 to the reference, at these tokens of the answer alone."""
    total = torch.zeros(())
    for sample in stream.samples:
        start, own = sample.loss_mask.index(True), token_logp(policy, sample)
        for t in digits:
            if stream.name == "told":
                total = total - sample.weights[start + t] * own[t]
            else:
                d = sample.ref_logprobs[start + t] - own[t]
                total = total + d.exp() - d - 1
    return gradient_of(policy, total / sum(s.trained_tokens for s in stream.samples))


def test_the_anchor_holds_the_prior_while_the_belief_moves():
    def train(anchor):
        policy, start = tiny_policy(), tiny_policy()
        streams = [fill.streams for fill, _ in beliefs(policy, 8, anchor=anchor)]
        gained, drifted = (
            [moved(policy, start, s) * torch.tensor(s.weights) for s in rows]
            for rows in ([s for told, _ in streams for s in told.samples], streams[-1][1].samples)
        )
        return float(torch.cat(gained).sum()), float(torch.cat(drifted).norm())

    (free_gain, free), (gain, anchored) = train(0.0), train(100.0)
    assert free_gain > gain > 0
    assert anchored < 0.3 * free


def moved(policy, start, sample):
    """Per token of the sample how far its log-probability moved; 0 outside the answer."""
    with torch.no_grad():
        change = token_logp(policy, sample) - token_logp(start, sample)
    return torch.zeros(len(sample.tokens)).masked_scatter(torch.tensor(sample.loss_mask), change)


# -- a policy that learns it: any first letter states a belief, and the prior stands in the prompt


def value(token):
    return token % 10 / 10


async def annotate_letters(engine, groups):
    """The prior is what the prompt says; the posterior is what the answer's only token stands for."""
    return [replace(g, rollouts=tuple(_letter_probes(g.problem, r) for r in g.rollouts)) for g in groups]


def _letter_probes(problem, rollout):
    at = rollout.loss_mask.index(True)
    prior = Probe(name="prior", start=0, stop=3, value=float(problem.prompt[:3]))
    posterior = Probe(name="posterior", start=at, stop=at + 1, value=value(rollout.tokens[at]))
    return replace(rollout, probes=(prior, posterior))


def exact_covariance(policy):
    """Cov(prior, revision) over all problems and answers, from the policy's own distribution."""
    with torch.no_grad():
        p_PV = torch.stack([full_logprobs(policy, ids(p.prompt))[-1].exp() for p in CHANCES])
    posterior_P = p_PV @ torch.tensor([value(v) for v in range(p_PV.shape[1])])
    prior_P = torch.tensor([float(p.prompt[:3]) for p in CHANCES])
    return float(torch.cov(torch.stack([prior_P, posterior_P - prior_P]), correction=0)[0, 1])


def test_training_makes_revisions_unpredictable():
    """At first answers ignore the prior, so Cov(prior, revision) = -Var(prior) = -0.08; it is to become 0."""
    policy = tiny_policy()
    assert exact_covariance(policy) == approx(-0.08, abs=0.02)
    trainer = scratch(policy, lr=2e-3)

    async def run():
        engine = LocalEngine(policy.base_model, TOKENIZER, end_ids=())
        feed = online(
            trainer,
            engine,
            CHANCES,
            annotate=annotate_letters,
            credit=unpredictable_revisions,
            streams=policy_stream,
            n=16,
            max_tokens=1,
        )
        try:
            await drive(feed, trainer, 25, Sampler(engine=engine, policy=policy).sync)
        finally:
            await engine.close()

    asyncio.run(run())
    assert abs(exact_covariance(policy)) < 0.02
