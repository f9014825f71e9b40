import pytest
import torch
from tests.stepping_toys import rehearsal

from trueloop.models.spec import LoRA
from trueloop.preflight.trial import norm_of, outside, take, totals
from trueloop.preflight.undo import undone


def test_a_trial_measures_adamw_s_first_step():
    with rehearsal(lr=1e-3) as whole, undone(whole.trainer) as before:
        trial = take(whole.trainer, whole.streams, before)
        assert trial.lr == trial.first_lr == 1e-3 and not trial.unreached and not trial.outside
        for step in trial.steps:
            assert step.ratio == pytest.approx(1, abs=0.02) and step.along == pytest.approx(-1, abs=0.02)
            assert step.moved == pytest.approx(1e-3, rel=0.05)


def test_a_warm_up_is_passed_over_and_remembered():
    with rehearsal() as whole:
        schedule = whole.trainer.optim.schedule.model_copy(update={"warmup": 9})
        whole.trainer.optim = whole.trainer.optim.model_copy(update={"schedule": schedule})
        with undone(whole.trainer) as before:
            trial = take(whole.trainer, whole.streams, before)
        assert trial.lr == 1e-3 and trial.first_lr == pytest.approx(1e-4)
        assert whole.trainer.steps == 0


def test_the_policy_goes_to_any_length_of_the_step():
    with rehearsal() as whole, undone(whole.trainer) as before:
        trial = take(whole.trainer, whole.streams, before)
        name = trial.steps[0].name
        trial.go(0.0)
        assert whole.trainer.trainable[name].equal(before[name])
        trial.go(trial.lr / 2)
        torch.testing.assert_close(whole.trainer.trainable[name], before[name] + trial.changes[name] / 2)
        assert trial.relative(2 * trial.lr) == pytest.approx(2 * trial.relative(trial.lr))


def test_a_new_adapter_is_frozen_outside_and_has_half_a_gradient():
    with rehearsal(adapter=LoRA(rank=2, alpha=4)) as whole, undone(whole.trainer) as before:
        trial = take(whole.trainer, whole.streams, before)
        assert all("lora_A" in name for name in trial.unreached) and trial.held > 0 and not trial.outside


def test_outside_sees_one_changed_weight():
    with rehearsal(adapter=LoRA(rank=2, alpha=4)) as whole:
        before = outside(whole.policy, whole.trainer.trainable)
        name, weight = next((n, p) for n, p in whole.policy.model.named_parameters() if n in before)
        with torch.no_grad():
            weight.view(-1)[3] += 1e-3
        after = outside(whole.policy, whole.trainer.trainable)
        assert [n for n in before if before[n] != after[n]] == [name]


def test_totals_and_norm():
    with rehearsal() as whole:
        rows = whole.streams[0].samples
        assert totals(whole.trainer, rows, 1.0) == pytest.approx([sum(r) for r in whole.trainer.logprobs(rows)])
    assert norm_of({"a": torch.tensor([3.0]), "b": torch.tensor([4.0])}) == 5.0
