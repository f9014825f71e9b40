"""The waist: a toy of each family goes through the same records, seams and step, on a tiny policy, to a known truth."""

import asyncio
import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from pytest import approx

from helpers import tiny_policy
from trainer_toys import difference, measure
from trueloop.engines.local import LocalEngine
from trueloop.formulas.reduce import fixed_length, row_mean, sequence_mean, token_mean
from trueloop.loop.feed import Offline
from trueloop.loop.loop import Sampler
from trueloop.models.reference import FrozenCopy, with_reference
from trueloop.models.spec import LoRA
from trueloop.recipes.losses import Distillation, ForwardKl, ReverseKl
from trueloop.recipes.policy import Clip, PolicyLoss, give_advantages
from trueloop.records import Score, Teacher
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer
from waist_toys import (
    TOKENIZER,
    Anchor,
    Modpo,
    Objective,
    answer,
    both_orders,
    drive,
    flat,
    full_logprobs,
    gradient_of,
    ids,
    judged,
    online,
    policy_stream,
    problem,
    scratch,
    supervised,
    taught,
    to_pair,
    to_sample_pairs,
    token_logp,
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
        assert report.denominator == {"policy": sum(s.trained_tokens for s in stream.samples)}
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
GAPS = (0.8, -0.4, 0.2)


def pair_stream(pairs, loss, **changes):
    return Stream(name="pairs", pairs=pairs, loss=loss, reduction=row_mean, **changes)


def texts_to_pairs(policy, objectives, gaps=None):
    return to_sample_pairs([to_pair(*text, objectives) for text in TEXTS], FrozenCopy(policy), gaps=gaps)


def logratios(policy, pairs):
    def gain(sample):
        return logp(policy, sample) - sum(sample.ref_logprobs)

    return torch.tensor([gain(pair.chosen) - gain(pair.rejected) for pair in pairs])


def test_at_step_0_the_logit_is_what_the_margins_say(policy):
    w, pairs = (0.6, 0.4), texts_to_pairs(policy, LENGTH)
    z = torch.tensor([-w[1] * pair.margins["length"] / w[0] for pair in pairs])
    assert z.tolist() == approx([-0.4 / 0.6 / 4, 2 * 0.4 / 0.6, 0], abs=1e-6)
    found = scratch(policy).step([pair_stream(pairs, Modpo(w, beta=0.2))])
    assert found.metrics["pairs/logit"].low == approx(float(z.min()), abs=1e-4)
    assert found.metrics["pairs/logit"].high == approx(float(z.max()), abs=1e-4)
    assert found.loss == approx(float(torch.nn.functional.softplus(-z).mean()), abs=1e-5)
    assert found.denominator == {"pairs": 3}


def test_dpo_is_the_case_without_margins(policy):
    pairs = texts_to_pairs(policy, {})
    trainer, stream = scratch(policy), pair_stream(pairs, Modpo((1.0,), beta=0.2))
    assert trainer.step([stream]).loss == approx(math.log(2), abs=1e-5)
    assert (logratios(policy, pairs) > 0).all()
    assert trainer.step([stream]).loss < math.log(2) - 1e-3


def test_a_soft_label_is_two_hard_ones_by_their_weights(policy):
    pairs, loss = texts_to_pairs(policy, LENGTH, GAPS), Modpo((0.6, 0.4), beta=0.2)
    soft, hard = pair_stream(pairs, loss), pair_stream(both_orders(pairs), loss, coefficient=2.0)
    assert difference(scratch(policy).backward([soft]), scratch(policy).backward([hard])) < 1e-5
    (one, _), (other, _) = measure(policy, [soft]), measure(policy, [hard])
    assert (one.denominator, other.denominator) == ({"pairs": 3}, {"pairs": 6})
    assert one.loss == approx(other.loss, rel=1e-5)
    z = {pair.id: -0.4 / 0.6 * pair.margins["length"] for pair in pairs}
    weighted = sum((2 * p.weight - 1) * z[p.id] for p in both_orders(pairs)[::2]) / 3
    assert other.metrics["pairs/logit"].mean == approx(weighted, abs=1e-5) and abs(weighted) > 0.01
    assert one.metrics["pairs/logit"].mean == approx(sum(z.values()) / 3, abs=1e-5)


@pytest.mark.parametrize("regression", [False, True], ids=["soft labels", "regression"])
def test_the_log_ratio_goes_where_the_closed_form_says(policy, regression):
    """pi proportional to pi_ref exp((w0 r0 + w1 r1) / beta), with r0 known through the pairs' gaps alone."""
    w, beta = (0.5, 0.5), 0.5
    pairs = texts_to_pairs(policy, LENGTH, GAPS)
    optimum = torch.tensor([(w[0] * pair.gap + w[1] * pair.margins["length"]) / beta for pair in pairs])

    def streams(items, step):
        return [pair_stream(items, Modpo(w, beta, regression))]

    feed, trainer = Offline(pairs, per_step=len(pairs), seed=0, streams=streams), scratch(policy, lr=1e-3)
    asyncio.run(drive(feed, trainer, 100))
    assert (optimum.abs() > 0.15).all()
    assert torch.allclose(logratios(policy, pairs), optimum, atol=0.05)


def test_the_direction_of_an_objective_turns_the_movement(policy):
    """With labels that say nothing the margins alone act, and minimising is exactly the opposite of maximising."""
    up, down = (
        scratch(policy).backward([pair_stream(texts_to_pairs(policy, {"length": one}, [0.0] * 3), Modpo((1, 1), 0.2))])
        for one in (LENGTH["length"], replace(LENGTH["length"], maximize=False))
    )
    assert difference(up, {n: -g for n, g in down.items()}) < 1e-4 and flat(up).norm() > 1e-3
    for maximize in (True, False):
        policy = tiny_policy()
        pairs = texts_to_pairs(policy, {"length": replace(LENGTH["length"], maximize=maximize)}, [0.0] * 3)
        scratch(policy).step([pair_stream(pairs, Modpo((1, 1), 0.2))])
        longer = logratios(policy, pairs) * torch.tensor([1.0, -1.0, 0.0])
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


# -- a teacher's top-k

LESSONS = [answer(str(k), prompt, text) for k, (prompt, text, _) in enumerate(TEXTS)]


def distilled(samples, divergence=None, **changes):
    loss = Distillation(divergence or ForwardKl(support="tail"))
    return Stream(name="distill", samples=samples, loss=loss, reduction=token_mean, **changes)


def full_kl(p, q, samples):
    """Mean over the trained positions of KL(p || q), from both models' logits."""
    at = [(s, torch.tensor(s.loss_mask).nonzero()[:, 0] - 1) for s in samples]
    pairs = [(full_logprobs(p, s.tokens)[t], full_logprobs(q, s.tokens)[t]) for s, t in at]
    return torch.cat([(a.exp() * (a - b)).sum(-1) for a, b in pairs]).mean()


@pytest.mark.parametrize("divergence", [ForwardKl(), ReverseKl()], ids=lambda d: d.kind)
def test_a_teacher_who_lists_everything_gives_the_divergence_itself(policy, divergence):
    teacher, V = tiny_policy(seed=1), policy.base_model.config.vocab_size
    samples = [taught(teacher, s, V) for s in LESSONS]
    own = (teacher, policy) if divergence.kind == "forward_kl" else (policy, teacher)
    kl, trainer = full_kl(*own, LESSONS), scratch(policy)
    stream = distilled(samples, divergence)
    assert difference(gradient_of(policy, kl), trainer.backward([stream])) < 1e-4
    assert trainer.step([stream]).metrics["distill/divergence"].mean == approx(float(kl.detach()), rel=1e-4)


def test_a_short_list_bounds_the_divergence_and_training_lowers_it(policy):
    teacher = tiny_policy(seed=1)
    samples = [taught(teacher, s, 8) for s in LESSONS]
    start = float(full_kl(teacher, policy, LESSONS).detach())
    feed = Offline(samples, per_step=3, seed=0, streams=lambda items, step: [distilled(items)])
    reports = [report for _, report in asyncio.run(drive(feed, scratch(policy, lr=2e-3), 30))]
    assert reports[0].metrics["distill/divergence"].mean < start
    assert reports[0].metrics["distill/teacher_mass"].low > 0.5
    assert float(full_kl(teacher, policy, LESSONS).detach()) < 0.3 * start


def test_a_position_whose_teacher_is_missing_is_not_trained(policy):
    whole = taught(tiny_policy(seed=1), LESSONS[0], 8)
    gone = [(-math.inf,) * 8, (-3.0, *[-math.inf] * 7), *whole.teacher.logprobs[2:]]
    holed = replace(whole, teacher=Teacher(ids=whole.teacher.ids, logprobs=tuple(gone)))
    first = whole.loss_mask.index(True)
    unweighted = replace(whole, weights=tuple(w * (t > first + 1) for t, w in enumerate(whole.weights)))
    trainer = scratch(policy)
    found, expected, all_of_it = (trainer.backward([distilled([s])]) for s in (holed, unweighted, whole))
    assert difference(expected, found) < 1e-6 and difference(all_of_it, found) > 0.1


# -- all of them at once


def family_streams(policy):
    """A stream of each family, with coefficients and temperatures of their own."""
    others = [answer(f"o{k}", prompt, text, weight) for k, (prompt, _, text) in enumerate(TEXTS) for weight in (2, -1)]
    others = [replace(s, id=f"{s.id}/{k}") for k, s in enumerate(others)]
    drawn = scratch(policy).logprobs(others, temperature=0.7)
    sampled = [replace(s, logprobs=tuple(0.9 * x for x in lp)) for s, lp in zip(others, drawn, strict=True)]
    reference = FrozenCopy(tiny_policy(seed=2))
    held = with_reference(LESSONS[:2], reference)
    loss = PolicyLoss(Clip(low=0.2, high=0.28))
    return [
        Stream(name="rl", samples=sampled, loss=loss, reduction=partial(fixed_length, C=9), temperature=0.7),
        Stream(name="held", samples=held, loss=Anchor(), reduction=sequence_mean, coefficient=0.1),
        supervised("sft", LESSONS, coefficient=0.5),
        pair_stream(texts_to_pairs(policy, LENGTH), Modpo((0.6, 0.4), 0.2), coefficient=2.0),
        distilled([taught(tiny_policy(seed=1), s, 8) for s in LESSONS[:2]]),
    ]


@pytest.mark.parametrize("adapter", [None, LoRA(rank=2, alpha=4)], ids=["whole", "adapter"])
def test_one_step_is_the_sum_of_its_streams(adapter):
    policy = tiny_policy(adapter=adapter)
    streams = family_streams(policy)
    report, together = measure(policy, streams)
    single = [measure(policy, [stream]) for stream in streams]
    total = {n: sum(g[n] for _, g in single) for n in together}
    assert all(flat(g).norm() > 1e-3 for _, g in single)
    assert difference(total, together) < 1e-6
    assert report.loss == approx(sum(one.loss for one, _ in single), rel=1e-6)
    letters = sum(s.trained_tokens for s in LESSONS)
    own = {"rl": 6 * 9, "held": 2 * 4, "sft": letters, "pairs": 3, "distill": letters - 1}
    assert report.denominator == own
    for (one, _), stream in zip(single, streams, strict=True):
        assert report.metrics[f"{stream.name}/loss"].mean == approx(one.loss / stream.coefficient, rel=1e-5)
