from dataclasses import replace
from functools import partial

import pytest
import torch
from pytest import approx

from helpers import tiny_policy
from trainer_toys import (
    Broken,
    Capture,
    ClippedWithEntropyAndKl,
    Distill,
    Dpo,
    SequenceRatio,
    Sft,
    difference,
    groups,
    measure,
    pairs,
    rl,
)
from trueloop.errors import DataError, TrainingError
from trueloop.formulas.reduce import row_mean, sequence_mean
from trueloop.models.policy import Policy
from trueloop.models.spec import LoRA
from trueloop.records import Sample
from trueloop.train import optim as optimizers
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Linear, Optim
from trueloop.train.step import Trainer


def weights(policy):
    return {name: p.detach().clone() for name, p in policy.trainable().items()}


def equal(a, b):
    return all(torch.equal(a[name], b[name]) for name in a) and a.keys() == b.keys()


def silenced(samples):
    return [replace(s, weights=(0.0,) * len(s.tokens)) for s in samples]


def test_the_step_is_torchs_adamw_on_the_gradient():
    policy, twin = tiny_policy(), tiny_policy()
    streams = [rl(groups(1, [3, 2]))]
    _, gradient = measure(twin, streams)
    Trainer(policy, Optim(lr=0.01, weight_decay=0.1), Batching()).step(streams)
    named = twin.trainable()
    for name, p in named.items():
        p.grad = gradient[name]
    groups_ = [[p for p in named.values() if p.ndim >= 2], [p for p in named.values() if p.ndim < 2]]
    torch.optim.AdamW(
        [{"params": groups_[0], "weight_decay": 0.1}, {"params": groups_[1], "weight_decay": 0.0}], lr=0.01
    ).step()
    for name, p in policy.trainable().items():
        assert torch.allclose(p, named[name], atol=1e-6), name


def test_training_lowers_the_loss_and_counts():
    policy = tiny_policy()
    trainer = Trainer(policy, Optim(lr=0.01, schedule=Linear(steps=20, warmup=2)), Batching())
    sft = [replace(s, weights=(1.0,) * len(s.tokens)) for s in groups(1, [2, 2])]
    reports = [trainer.step([rl(sft, Sft())]) for _ in range(15)]
    assert reports[-1].loss < 0.5 * reports[0].loss
    assert [r.version for r in reports] == [r.step for r in reports] == list(range(1, 16))
    assert reports[0].lr == approx(0.01 / 3)
    assert reports[2].lr == 0.01 > reports[3].lr
    assert reports[0].denominator == {"rl": sum(s.trained_tokens for s in sft)}
    assert reports[0].metrics["rl/loss"].mean == approx(reports[0].loss)
    assert reports[0].metrics["rl/nll"].mean == approx(reports[0].loss, rel=1e-5)
    assert set(reports[0].seconds) == {"plan", "passes", "interventions", "optimizer"}


def test_streams_add_with_their_coefficients():
    policy = tiny_policy()
    rl_stream, sft = rl(groups(1, [3])), rl(groups(2, [2]), Sft(), name="sft", reduction=sequence_mean)
    mixed, gradient = measure(policy, [rl_stream, replace(sft, coefficient=0.3)])
    (one, g_rl), (two, g_sft) = measure(policy, [rl_stream]), measure(policy, [sft])
    assert mixed.loss == approx(one.loss + 0.3 * two.loss, rel=1e-5)
    assert mixed.metrics["sft/loss"].mean == approx(two.loss, rel=1e-5)
    assert difference(gradient, {name: g_rl[name] + 0.3 * g_sft[name] for name in g_rl}) < 3e-5


@pytest.mark.parametrize("loss", [Sft(), SequenceRatio()], ids=lambda loss: type(loss).__name__)
def test_dropping_silent_rows_changes_nothing(loss):
    policy = tiny_policy()
    samples = groups(1, [3, 3])
    samples[1:4] = silenced(samples[1:4])
    loud = type("Loud", (), {"needs_entropy": False, "silent_at_zero_weight": False, "__call__": loss.__call__})()
    (dropped, g_dropped), (kept, g_kept) = measure(policy, [rl(samples, loss)]), measure(policy, [rl(samples, loud)])
    assert dropped.metrics["rl/silent"].total == 3 and kept.metrics["rl/silent"].total == 0
    assert dropped.loss == approx(kept.loss, rel=1e-5)
    assert difference(g_kept, g_dropped) < 3e-5


@pytest.mark.parametrize("loss", [Sft(), type("Loud", (Sft,), {"silent_at_zero_weight": False})()])
def test_a_step_without_signal_moves_nothing(loss):
    """Momentum and weight decay would move the weights; interventions would act on nothing."""
    policy, asked = tiny_policy(), Capture()
    trainer = Trainer(policy, Optim(lr=0.1, weight_decay=0.1), Batching())
    trainer.step([rl(groups(1, [2]))])
    trainer.chain = type(trainer.chain)([asked])
    before, moments = weights(policy), {k: t.clone() for k, t in trainer.state_dict()["moments"].items()}
    report = trainer.step([rl(silenced(groups(2, [3])), loss)])
    assert (report.loss, report.grad_norm, report.version, report.step) == (0.0, 0.0, 1, 2)
    assert equal(before, weights(policy)) and equal(moments, trainer.state_dict()["moments"])
    assert not hasattr(asked, "seen")


def test_a_silent_stream_leaves_the_other_one_its_step():
    policy = tiny_policy()
    alone = measure(policy, [rl(groups(2, [2]), Sft(), name="sft")])
    mixed = measure(policy, [rl(silenced(groups(1, [2]))), rl(groups(2, [2]), Sft(), name="sft")])
    assert equal(alone[1], mixed[1])
    assert mixed[0].metrics["rl/loss"].mean == 0.0


def test_a_tiny_gradient_is_a_signal():
    policy = tiny_policy()
    tiny = [rl(groups(1, [2]), reduction=lambda lengths: [1e-30] * len(lengths))]
    report = Trainer(policy, Optim(lr=0.1), Batching()).step(tiny)
    usual = measure(tiny_policy(), [rl(groups(1, [2]), reduction=lambda lengths: [1.0] * len(lengths))])[0]
    assert report.version == 1
    assert report.grad_norm == approx(1e-30 * usual.grad_norm, rel=1e-4)


def test_the_norm_is_computed_once_without_interventions_and_again_after_them(monkeypatch):
    calls = []
    monkeypatch.setattr(optimizers, "gradient_norm", lambda named: calls.append(1) or 1.0)
    for interventions in ([], [Capture()]):
        Trainer(tiny_policy(), Optim(lr=0.1), Batching(), interventions=interventions).step([rl(groups(1, [2]))])
    assert len(calls) == 1 + 2


def test_two_streams_of_one_name_are_refused_and_nothing_is_counted():
    trainer = Trainer(tiny_policy(), Optim(lr=0.1), Batching())
    with pytest.raises(DataError, match=r"one name \(rl, rl\)"):
        trainer.step([rl(groups(1, [2])), rl(groups(2, [2]), Sft())])
    assert (trainer.version, trainer.steps) == (0, 0)


def test_clipping_bounds_the_gradient_that_adam_sees():
    policy = tiny_policy()
    trainer = Trainer(policy, Optim(lr=0.1, max_grad_norm=0.01), Batching())
    report = trainer.step([rl(groups(1, [3]))])
    assert report.grad_norm > 0.01
    means = [t for name, t in trainer.state_dict()["moments"].items() if name.endswith("/mean")]
    seen = torch.cat([m.flatten() for m in means]).norm() / (1 - 0.9)
    assert seen.item() == approx(0.01, rel=1e-4)


@pytest.mark.parametrize("in_gradient", [False, True])
def test_a_value_that_is_not_finite_names_the_row_and_touches_nothing(in_gradient):
    policy = tiny_policy()
    trainer = Trainer(policy, Optim(lr=0.1), Batching())
    trainer.step([rl(groups(1, [2]))])
    before, state = weights(policy), trainer.state_dict()
    moments = {name: t.clone() for name, t in state["moments"].items()}
    bad = Broken("g1/0", in_gradient)
    what = "the gradient of g1/0 is nan or inf" if in_gradient else r"loss of 1 rows are nan or inf \(g1/0\)"
    with pytest.raises(TrainingError, match=f"stream 'odd': {what}"):
        trainer.step([rl(groups(1, [2])), rl(groups(1, [2, 2]), bad, name="odd")])
    assert equal(before, weights(policy)) and equal(moments, trainer.state_dict()["moments"])
    assert (trainer.version, trainer.steps) == (1, 1)


def test_what_was_not_finite_first_is_what_is_named():
    policy = tiny_policy()
    (good, bad) = groups(1, [2])
    bad = replace(bad, weights=(float("inf"),) * len(bad.tokens))
    with pytest.raises(TrainingError, match=r"'rl': weights of 1 rows are nan or inf \(g0/1\)"):
        Trainer(policy, Optim(lr=0.1), Batching()).step([rl([good, bad], Sft())])


@pytest.mark.parametrize("batching", [Batching(), Batching(shared_prefix=False), Batching(budget=20)])
def test_logprobs_are_those_of_the_model(batching):
    policy = tiny_policy()
    samples = groups(1, [3, 1], gaps=True)
    found = Trainer(policy, Optim(lr=0.1), batching).logprobs(samples, 0.7)
    for s, column in zip(samples, found, strict=True):
        with torch.no_grad():
            logp_TV = (policy.model(input_ids=torch.tensor([s.tokens])).logits[0] / 0.7).log_softmax(-1)
        expected = [float(logp_TV[t - 1, s.tokens[t]]) if on else 0.0 for t, on in enumerate(s.loss_mask)]
        assert column == approx(expected, abs=1e-5)


def test_logprobs_of_nothing():
    trainer = Trainer(tiny_policy(), Optim(lr=0.1), Batching())
    untrained = Sample(id="u", tokens=(1, 2), loss_mask=(False, False), weights=(0.0, 0.0))
    assert trainer.logprobs([untrained]) == [(0.0, 0.0)]
    assert trainer.logprobs([]) == []


def test_backward_leaves_no_trace():
    policy, captured = tiny_policy(), {}

    class Replay(Capture):
        def gradients(self, gradients, backward):
            captured["replay"] = backward([rl(groups(2, [2]), Sft(), name="replay")])
            captured["own"] = backward(backward.streams)
            return super().gradients(gradients, backward)

    trainer = Trainer(policy, Optim(lr=0.1), Batching(), interventions=[(replay := Replay())])
    before = weights(policy)
    trainer.step([rl(groups(1, [3]))])
    assert equal(replay.seen, captured["own"])
    assert equal(measure(policy, [rl(groups(2, [2]), Sft(), name="replay")])[1], captured["replay"])
    assert equal(before, weights(policy))


def test_further_gradients_leave_the_accumulated_one_to_the_optimizer():
    """The last one taken is of other rows, and what is in use may change nothing but what it returns."""
    others = [rl(groups(2, [2]), Sft(), name="others")]

    class Ask:
        def gradients(self, gradients, backward):
            backward(others)
            return gradients

    plain, asked = tiny_policy(), tiny_policy()
    reports = [
        Trainer(p, Optim(lr=0.1), Batching(), interventions=i).step([rl(groups(1, [3]))])
        for p, i in ((plain, []), (asked, [Ask()]))
    ]
    assert equal(weights(plain), weights(asked)) and reports[0].grad_norm == reports[1].grad_norm


def test_an_update_may_take_gradients_whatever_the_grad_mode():
    policy, others = tiny_policy(), [rl(groups(2, [2]), Sft(), name="others")]

    class Ahead:
        """What the loss of other rows would be changed to first order, at the new weights too."""

        def update(self, deltas):
            self.here, self.there = self.trainer.backward(others), self.trainer.backward(others, at=deltas)
            self.deltas, self.grad_mode = deltas, torch.is_grad_enabled()
            return deltas

    trainer = Trainer(policy, Optim(lr=0.01), Batching(), interventions=[ahead := Ahead()])
    ahead.trainer = trainer
    before = measure(policy, others)[1]
    trainer.step([rl(groups(1, [3]))])
    assert equal(before, ahead.here) and equal(measure(policy, others)[1], ahead.there)
    assert difference(ahead.here, ahead.there) > 1e-3
    assert ahead.grad_mode and not any(d.requires_grad for d in ahead.deltas.values())
    with torch.no_grad():
        assert equal(ahead.there, trainer.backward(others))


def test_backward_at_displaced_weights_is_a_finite_difference_of_the_loss():
    policy = tiny_policy()
    trainer = Trainer(policy, Optim(lr=0.1), Batching())
    streams = [rl(groups(1, [3]))]
    g = trainer.backward(streams)
    norm = sum(float((t * t).sum()) for t in g.values()) ** 0.5
    before, eps = weights(policy), 3e-3
    moved = {name: eps * t / norm for name, t in g.items()}
    change = {name: new - g[name] for name, new in trainer.backward(streams, at=moved).items()}
    assert equal(before, weights(policy))
    assert sum(float(t.abs().sum()) for t in change.values()) > 0
    losses = []
    for sign in (-1, 1):
        with torch.no_grad():
            for name, p in policy.trainable().items():
                p.copy_(before[name] + sign * moved[name])
        losses.append(measure(policy, streams)[0].loss)
    assert (losses[1] - losses[0]) / (2 * eps) == approx(norm, rel=0.01)


def test_displacing_an_unknown_parameter_is_refused():
    trainer = Trainer(tiny_policy(), Optim(lr=0.1), Batching())
    with pytest.raises(TrainingError, match="cannot displace 'x'"):
        trainer.backward([rl(groups(1, [2]))], at={"x": torch.zeros(1)})


def test_an_adapter_alone_is_trained():
    policy = tiny_policy(adapter=LoRA(rank=2, alpha=4))
    frozen = {name: p.detach().clone() for name, p in policy.model.named_parameters() if not p.requires_grad}
    trainer = Trainer(policy, Optim(lr=0.01), Batching())
    for _ in range(2):
        trainer.step([rl(groups(1, [2, 2]))])
    assert all("lora_" in name for name in trainer.trainable)
    assert all(torch.equal(p, frozen[name]) for name, p in policy.model.named_parameters() if name in frozen)
    assert all(bool(p.any()) for p in trainer.trainable.values())


def test_dropout_repeats_and_depends_on_seed_and_step():
    adapter = LoRA(rank=2, alpha=4, dropout=0.5)

    def losses(seed):
        torch.manual_seed(seed + 100)
        trainer = Trainer(tiny_policy(adapter=adapter), Optim(lr=0.01), Batching(), seed=seed)
        generator = torch.get_rng_state()
        found = [trainer.step([rl(groups(1, [2, 2]))]).loss for _ in range(3)]
        assert torch.equal(generator, torch.get_rng_state())
        return found

    assert losses(0) == losses(0)
    assert losses(0)[1:] != losses(1)[1:]


def test_bfloat16_compute_keeps_float32_gradients():
    policy = tiny_policy()
    exact = measure(policy, [rl(groups(1, [3, 3]))])
    rounded = measure(policy, [rl(groups(1, [3, 3]))], Batching(compute_dtype="bfloat16"))
    assert {g.dtype for g in rounded[1].values()} == {torch.float32}
    assert 1e-5 < difference(exact[1], rounded[1]) < 0.1


@pytest.mark.parametrize("kind", ["qwen3", "llama", "qwen2", "gpt2"])
def test_shared_rows_are_checked_against_plain_ones_at_the_start(kind):
    trainer = Trainer(tiny_policy(kind), Optim(lr=0.01), Batching())
    assert trainer.shared_prefix_gap is None
    trainer.step([rl(groups(1, [3]))])
    assert trainer.shared_prefix_gap < 1e-5 and trainer.plain_because is None


def leaky_policy(**changes):
    """Completions of one row see each other."""
    policy = tiny_policy(**changes)
    for layer in policy.model.model.layers:
        forward = layer.self_attn.forward
        layer.self_attn.forward = partial(_unmasked, forward)
    return policy


def _unmasked(forward, *args, attention_mask=None, **kwargs):
    return forward(*args, attention_mask=None, **kwargs)


@pytest.mark.parametrize("initializer_range", [0.3, 0.02])
def test_a_model_whose_shared_rows_are_wrong_gets_plain_ones(caplog, initializer_range):
    policy = leaky_policy(initializer_range=initializer_range)
    samples = groups(1, [3, 3])
    trainer = Trainer(policy, Optim(lr=0.01), Batching())
    report = trainer.step([rl(samples)])
    assert "shared and plain rows differ by" in trainer.plain_because and "shared prefix" in caplog.text
    assert report.metrics["positions"].total >= sum(len(s.tokens) - 1 for s in samples)
    assert not any(row.prefix for work in trainer._plan([rl(samples)]).passes for row in work.rows)


def test_rows_that_cannot_show_a_leak_do_not_vouch_for_those_that_can():
    """Single tokens after a prompt never see each other, so nothing is known after them."""
    policy = leaky_policy()
    trainer = Trainer(policy, Optim(lr=0.01), Batching())
    single = [replace(s, weights=(1.0,) * len(s.tokens)) for s in groups(1, [3], longest=2)]
    trainer.step([rl(single, Sft())])
    assert trainer.shared_prefix_gap is None and trainer.plain_because is None
    trainer.step([rl(groups(1, [3]))])
    assert "differ by" in trainer.plain_because


def test_windows_and_refused_masks_give_plain_rows_with_the_reason():
    bloom = {"model_type": "bloom", "hidden_size": 32, "n_layer": 1, "n_head": 4}
    fresh = Policy.fresh(bloom, tiny_policy().tokenizer, 0)
    for policy, why in ((tiny_policy("gemma2"), r"sliding_attention"), (fresh, "fails: ValueError")):
        trainer = Trainer(policy, Optim(lr=0.01), Batching())
        assert trainer.step([rl(groups(1, [3]))]).version == 1
        assert why in trainer.plain_because


def test_comparing_rows_leaves_no_gradient_and_no_random_state_behind():
    policy, state = tiny_policy(), torch.random.get_rng_state()
    trainer = Trainer(policy, Optim(lr=0.01), Batching())
    trainer.logprobs(groups(1, [3]))
    assert trainer.shared_prefix_gap is not None
    assert all(p.grad is None for p in policy.model.parameters())
    assert torch.equal(state, torch.random.get_rng_state())


def test_every_kind_of_stream_in_one_step():
    policy = tiny_policy()
    streams = [
        rl(groups(1, [3]), ClippedWithEntropyAndKl()),
        rl(groups(2, [2]), Sft(), name="sft", coefficient=0.2),
        rl(groups(3, [2]), Distill(), name="teacher", temperature=0.9),
        Stream(name="dpo", loss=Dpo(), reduction=row_mean, pairs=pairs(4, 3)),
    ]
    report, gradient = measure(policy, streams)
    parts = [measure(policy, [s])[1] for s in streams]
    assert difference(gradient, {name: sum(part[name] for part in parts) for name in gradient}) < 3e-5
    assert {"rl/ratio", "sft/nll", "dpo/logit", "teacher/loss"} <= report.metrics.keys()


def test_rows_contributions_add_up_to_the_step_and_one_that_is_not_finite_says_why():
    trainer = Trainer(tiny_policy(), Optim(lr=1e-2), Batching())
    fields = {"tokens": (2, 3, 4), "loss_mask": (False, True, True)}
    rows = [Sample(id=i, weights=(0.0, w, 1.0), **fields) for i, w in (("a", 1.0), ("b", 2.0))]
    streams = [Stream(name="sft", samples=rows, loss=Sft(), reduction=row_mean)]
    a, b = trainer.contributions(streams)
    report = trainer.step(streams)
    assert a.loss + b.loss == approx(report.loss, rel=1e-5)
    assert max(a.norm, b.norm) <= report.grad_norm <= (a.norm + b.norm) * (1 + 1e-5)
    rows[1] = replace(rows[1], weights=(0.0, 9e999, 1.0))
    good, odd = trainer.contributions([replace(streams[0], samples=rows)])
    assert (good.why, odd.loss, odd.norm) == ("", None, None) and "(b)" in odd.why
