import math

import pytest
import torch
from pydantic import ValidationError
from pytest import approx
from torch.nn import Parameter

from trueloop.errors import ModelError, TrainingError
from trueloop.train.optim import (
    Constant,
    Cosine,
    Linear,
    Optim,
    adamw,
    clip,
    gradient_norm,
    learning_rate,
    load_moments,
    moments,
    set_learning_rate,
)


def rates(schedule, steps):
    return [learning_rate(Optim(lr=2.0, schedule=schedule), k) for k in steps]


def test_constant_rises_and_stays():
    assert rates(Constant(warmup=3), range(6)) == approx([0.5, 1.0, 1.5, 2.0, 2.0, 2.0])
    assert rates(Constant(), [0, 10**6]) == [2.0, 2.0]


def test_linear_falls_to_its_final_share_and_stays():
    assert rates(Linear(steps=4, final=0.5), range(6)) == approx([2.0, 1.75, 1.5, 1.25, 1.0, 1.0])
    assert rates(Linear(steps=5, warmup=1), range(6)) == approx([1.0, 2.0, 1.5, 1.0, 0.5, 0.0])


def test_cosine_is_half_a_period():
    found = rates(Cosine(steps=4, final=0.1), range(6))
    expected = [2.0 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(k, 4) / 4))) for k in range(6)]
    assert found == approx(expected)
    assert found[-1] == approx(0.2)


def test_a_schedule_that_never_decays_is_refused():
    with pytest.raises(ValidationError, match="nothing would decay"):
        Linear(steps=5, warmup=5)


def test_kind_selects_the_schedule():
    optim = Optim.model_validate({"lr": 1.0, "schedule": {"kind": "cosine", "steps": 10}})
    assert optim.schedule == Cosine(steps=10)
    with pytest.raises(ValidationError):
        Optim.model_validate({"lr": 1.0, "schedule": {"kind": "constant", "steps": 10}})


def test_adamw_equals_hand_value():
    """Loshchilov and Hutter, algorithm 2, two steps; only the matrix is decayed."""
    named = {"matrix": Parameter(torch.full((1, 1), 2.0)), "norm": Parameter(torch.full((1,), 2.0))}
    optim = Optim(lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.5)
    optimizer = adamw(optim, named)
    expected = {"matrix": 2.0, "norm": 2.0}
    m = v = 0.0
    for t, g in enumerate([0.3, -0.7], start=1):
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        move = 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.99**t)) + 1e-8)
        expected["matrix"] -= 0.1 * 0.5 * expected["matrix"]
        expected = {name: w - move for name, w in expected.items()}
        for p in named.values():
            p.grad = torch.full_like(p, g)
        optimizer.step()
        assert {name: p.item() for name, p in named.items()} == approx(expected, rel=1e-5)


def test_master_weights_must_be_float32():
    with pytest.raises(ModelError, match=r"'w' is torch.bfloat16.*compute_dtype"):
        adamw(Optim(lr=1.0), {"w": Parameter(torch.zeros(2, dtype=torch.bfloat16))})


def test_learning_rate_reaches_every_group():
    optimizer = adamw(Optim(lr=1.0), {"a": Parameter(torch.zeros(1, 1)), "b": Parameter(torch.zeros(1))})
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_clip_scales_the_whole_gradient_and_only_above_the_limit():
    named = {"a": torch.tensor([3.0]), "b": torch.tensor([[4.0]])}
    norm = gradient_norm(named)
    assert norm == 5.0
    clip(named, norm, None)
    clip(named, norm, 5.0)
    assert named["a"].item() == 3.0
    clip(named, norm, 1.0)
    assert [named["a"].item(), named["b"].item()] == approx([0.6, 0.8])


def test_norm_is_exact_for_what_float32_cannot_square_and_over_many_values():
    assert gradient_norm({"a": torch.tensor([3e-30, 4e-30])}) == approx(5e-30, rel=1e-6)
    assert gradient_norm({"a": torch.tensor([3e30]), "b": torch.tensor([4e30])}) == approx(5e30, rel=1e-6)
    many = torch.randn(3_000_001, generator=torch.Generator().manual_seed(0))
    assert gradient_norm({"a": many[:1], "b": many[1:]}) == approx(float(many.double().norm()), rel=1e-9)


def test_norm_shows_nan():
    assert math.isnan(gradient_norm({"a": torch.tensor([1.0, float("nan")])}))


def test_moments_round_trip_and_belong_to_their_names():
    named = {"a": Parameter(torch.ones(2))}
    optimizer = adamw(Optim(lr=0.1), named)
    assert moments(optimizer, named) == {}
    named["a"].grad = torch.tensor([1.0, 2.0])
    optimizer.step()
    state = {name: t.clone() for name, t in moments(optimizer, named).items()}
    assert state["a/mean"].tolist() == approx([0.1, 0.2])
    assert state["a/step"].item() == 1.0
    other = adamw(Optim(lr=0.1), named)
    load_moments(other, named, state)
    assert all(torch.equal(t, moments(other, named)[name]) for name, t in state.items())
    with pytest.raises(TrainingError, match=r"first is 'a/mean'"):
        load_moments(other, {"b": named["a"]}, state)


def test_moments_must_be_float32():
    named = {"a": Parameter(torch.ones(2))}
    optimizer = adamw(Optim(lr=0.1), named)
    named["a"].grad = torch.ones(2)
    optimizer.step()
    optimizer.state[named["a"]]["exp_avg"] = torch.ones(2, dtype=torch.bfloat16)
    with pytest.raises(TrainingError, match=r"'a/mean' is torch\.bfloat16"):
        moments(optimizer, named)
