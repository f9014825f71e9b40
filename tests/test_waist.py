"""The waist: a toy of each family goes through the same records, seams and step, on a tiny policy, to a known truth."""

import asyncio
import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from pytest import approx

from helpers import tiny_policy
from trainer_toys import difference
from trueloop.engines.fake import FakeEngine
from trueloop.engines.local import LocalEngine
from trueloop.formulas.reduce import token_mean
from trueloop.loop.feed import Offline
from trueloop.loop.loop import Sampler
from trueloop.models.reference import FrozenCopy, with_reference
from trueloop.models.spec import LoRA
from trueloop.recipes.losses import Distillation, ForwardKl, ReverseKl
from trueloop.recipes.policy import Clip, PolicyLoss, Reinforce, give_advantages
from trueloop.records import Probe, SamplePair, Score, Teacher
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer
from waist_toys import (
    AGem,
    Along,
    EraseActivations,
    EraseGradients,
    EraseUpdates,
    Modpo,
    Objective,
    Screen,
    Spy,
    TOKENIZER,
    annotate_beliefs,
    answer,
    at_random,
    belief_streams,
    contrast,
    drive,
    flat,
    full_logprobs,
    gradient_of,
    ids,
    judged,
    online,
    policy_stream,
    problem,
    random_of_that_norm,
    scratch,
    state_beliefs,
    stated,
    supervised,
    taught,
    to_pair,
    to_sample_pairs,
    token_logp,
    unaware_of_the_sampler,
    unpredictable_revisions,
)


@pytest.fixture
def policy():
    return tiny_policy()


def logp(policy, sample):
    with torch.no_grad():
        return float(token_logp(policy, sample).sum())


# -- verifier credit

CASES = (problem("write big: ", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), problem("write small: ", "abcdefghijklmnopqrstuvwxyz"))


def first_letter(problem, text, audit=None):
    right = text[:1] in problem.target
    return Score(status="scored", reward=float(right), passed=right, audit=audit(right) if audit else {})


def learn_letters(steps, grade=first_letter):
    """Real sampling, real weight transfer; the policy, and (fill, report) of every step."""
    policy = tiny_policy()
    trainer = scratch(policy, lr=3e-3)

    async def run():
        engine = LocalEngine(policy.base_model, TOKENIZER, end_ids=policy.end_ids)
        feed = online(
            trainer,
            engine,
            CASES,
            grade=grade,
            credit=partial(give_advantages, kind="rloo"),
            streams=policy_stream,
            n=24,
            max_tokens=3,
        )
        try:
            return await drive(feed, trainer, steps, Sampler(engine=engine, policy=policy).sync)
        finally:
            await engine.close()

    return policy, asyncio.run(run())


def expected_reward(policy):
    """Exactly, from the model's own logits."""
    with torch.no_grad():
        shares = [full_logprobs(policy, ids(p.prompt))[-1].exp()[list(ids(p.target))].sum() for p in CASES]
    return float(sum(shares)) / len(shares)


def test_credit_of_a_verifier_raises_the_expected_reward():
    before = expected_reward(tiny_policy())
    policy, done = learn_letters(8)
    assert expected_reward(policy) > before + 0.25
    for fill, report in done:
        assert report.metrics["policy/ratio"].low == approx(1, abs=1e-4)
        assert report.metrics["policy/ratio"].high == approx(1, abs=1e-4)
        (stream,) = fill.streams
        assert report.denominator == approx({"policy": sum(s.trained_tokens for s in stream.samples)})
        for case in CASES:
            rows = [s for s in stream.samples if s.id.startswith(case.id)]
            assert sum(s.weights[-1] for s in rows) == approx(0, abs=1e-9) and len(rows) == 24
    assert [report.version for _, report in done] == list(range(1, 9))


def test_what_may_only_be_looked_at_reaches_no_sample():
    adversarial = partial(first_letter, audit=lambda right: {"reward": 1e9 * (1 - right), "truth": math.nan})
    plain_policy, plain = learn_letters(2)
    audited_policy, audited = learn_letters(2, adversarial)
    assert audited[0][0].metrics["audit/reward"] > 1e8 and "audit/reward" not in plain[0][0].metrics
    for (one, _), (other, _) in zip(plain, audited, strict=True):
        assert one.streams == other.streams
    assert plain_policy.fingerprint() == audited_policy.fingerprint()
    turned = learn_letters(1, lambda problem, text: judged(text[:1] not in problem.target))[1]
    assert turned[0][0].streams != plain[0][0].streams


# -- pairs with margins

TEXTS = [("say a colour: ", "blue", "red"), ("say a town: ", "Rome", "Oslo, or not"), ("say a letter: ", "x", "y")]
LENGTH = {"length": Objective(lambda text: len(text) / 4, maximize=True)}


def pair_stream(pairs, loss, **changes):
    return Stream(name="pairs", pairs=pairs, loss=loss, reduction=token_mean, **changes)


def texts_to_pairs(policy, objectives, p=None):
    return to_sample_pairs([to_pair(*text, objectives) for text in TEXTS], FrozenCopy(policy), p=p)


def logratios(policy, pairs):
    def gain(sample):
        return logp(policy, sample) - sum(sample.ref_logprobs)

    return torch.tensor([gain(pair.chosen) - gain(pair.rejected) for pair in pairs])


def test_at_step_0_the_logit_is_what_the_margins_say(policy):
    w, pairs = (0.6, 0.4), texts_to_pairs(policy, LENGTH)
    z = torch.tensor([-w[1] * pair.margins[0] / w[0] for pair in pairs])
    assert z.tolist() == approx([-0.4 / 0.6 / 4, 2 * 0.4 / 0.6, 0], abs=1e-6)
    found = scratch(policy).step([pair_stream(pairs, Modpo(w, beta=0.2))])
    assert found.metrics["pairs/logit"].low == approx(float(z.min()), abs=1e-4)
    assert found.metrics["pairs/logit"].high == approx(float(z.max()), abs=1e-4)
    assert found.loss == approx(float(torch.nn.functional.softplus(-z).mean()), abs=1e-5)
    assert found.denominator == approx({"pairs": 3})


def test_dpo_is_the_case_without_margins(policy):
    pairs = texts_to_pairs(policy, {})
    trainer, stream = scratch(policy), pair_stream(pairs, Modpo((1.0,), beta=0.2))
    assert trainer.step([stream]).loss == approx(math.log(2), abs=1e-5)
    assert (logratios(policy, pairs) > 0).all()
    assert trainer.step([stream]).loss < math.log(2) - 1e-3


def test_the_log_ratio_goes_where_the_closed_form_says(policy):
    """pi proportional to pi_ref exp((w0 r0 + w1 r1) / beta), with r0 known through the labels' probabilities alone."""
    w, beta, gap = (0.5, 0.5), 0.5, torch.tensor([0.8, -0.4, 0.2])
    pairs = texts_to_pairs(policy, LENGTH, p=gap.sigmoid().tolist())
    optimum = (w[0] * gap + w[1] * torch.tensor([pair.margins[0] for pair in pairs[::2]])) / beta

    def streams(items, step):
        return [pair_stream(items, Modpo(w, beta))]

    feed, trainer = Offline(pairs, per_step=len(pairs), seed=0, streams=streams), scratch(policy, lr=2e-3)
    asyncio.run(drive(feed, trainer, 60))
    assert (optimum.abs() > 0.15).all()
    assert torch.allclose(logratios(policy, pairs[::2]), optimum, atol=0.1)


def test_the_direction_of_an_objective_turns_the_movement(policy):
    """With labels that say nothing the margins alone act, and minimising is exactly the opposite of maximising."""
    up, down = (
        scratch(policy).backward([pair_stream(texts_to_pairs(policy, {"length": one}, [0.5] * 3), Modpo((1, 1), 0.2))])
        for one in (LENGTH["length"], replace(LENGTH["length"], maximize=False))
    )
    assert difference(up, {n: -g for n, g in down.items()}) < 1e-4 and flat(up).norm() > 1e-3
    for maximize in (True, False):
        policy = tiny_policy()
        pairs = texts_to_pairs(policy, {"length": replace(LENGTH["length"], maximize=maximize)}, [0.5] * 3)
        scratch(policy).step([pair_stream(pairs, Modpo((1, 1), 0.2))])
        longer = logratios(policy, pairs[::2]) * torch.tensor([1.0, -1.0, 0.0])
        assert (longer[:2] > 0).all() if maximize else (longer[:2] < 0).all()


def test_sharing_the_prompt_changes_the_work_and_nothing_else(policy):
    stream = pair_stream(texts_to_pairs(policy, LENGTH), Modpo((0.6, 0.4), 0.2))
    shared, plain = (Trainer(policy, Optim(lr=1e-3), Batching(shared_prefix=x)) for x in (True, False))
    assert difference(plain.backward([stream]), shared.backward([stream])) < 1e-5
    start = {n: p.detach().clone() for n, p in policy.trainable().items()}
    one = shared.step([stream])
    with torch.no_grad():
        for n, p in policy.trainable().items():
            p.copy_(start[n])
    other = plain.step([stream])
    assert one.loss == approx(other.loss, rel=1e-6) and shared.plain_because is None
    assert one.metrics["positions"].mean < 0.7 * other.metrics["positions"].mean


