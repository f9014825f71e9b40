from typing import Any

from pytest import approx

from trueloop.config import load
from trueloop.models.size import Size
from trueloop.recipes import estimate, rlvr

SIZE = Size(parameters=1000, trained=100, cache_per_token=8)


def config(*overrides: str) -> Any:
    return load(rlvr.Config, "arithmetic", overrides).config


def test_memory_is_weights_gradients_moments_engine_and_cache() -> None:
    wide = estimate.memory(config("engine.cache_tokens=50"), SIZE)
    assert wide == 4 * 1000 + 12 * 100 + 4 * (1000 + 50 * 8)
    narrow = estimate.memory(config("engine.cache_tokens=50", "engine.dtype=bfloat16"), SIZE)
    assert wide - narrow == 2 * (1000 + 50 * 8)


def test_disk_is_the_checkpoints_kept_one_being_written_and_bounded_rollouts() -> None:
    one = 4 * 1000 + 12 * 100
    assert estimate.disk(config(), SIZE, 0) == 4 * one
    assert estimate.disk(config("retention.checkpoints.every=10", "loop.steps=80"), SIZE, 0) == 12 * one
    assert estimate.disk(config(), SIZE, 1000) - estimate.disk(config(), SIZE, 0) == 5800
    assert estimate.disk(config("retention.rollout_bytes=7"), SIZE, 1000) - estimate.disk(config(), SIZE, 0) == 7


def test_a_model_that_is_not_here_leaves_the_sizes_unknown_and_says_why() -> None:
    absent = config('model={kind="pretrained", path="/absent/model"}')
    assert estimate.describe(absent, sampled=1, trained=1)[0].startswith("memory, disk and time: not known")
    assert "/absent/model" in estimate.describe(absent, sampled=1, trained=1)[0]


def test_the_time_follows_the_measured_speed(monkeypatch: Any) -> None:
    monkeypatch.setattr(estimate, "multiply_rate", lambda: 1e9)
    lines = estimate.describe(config(), sampled=0, trained=1_000_000)
    parameters = 813_184
    assert f"time: about {6 * parameters * 1e6 / 1e9 / 60:.0f} min" in lines[-1]
    halved = estimate.describe(config("processes=2"), sampled=0, trained=1_000_000)
    assert f"time: about {6 * parameters * 1e6 / 2e9 / 60:.0f} min" in halved[-1]


def test_the_measured_speed_is_that_of_one_thread_and_leaves_the_threads_alone() -> None:
    import torch

    before = torch.get_num_threads()
    assert estimate.multiply_rate() > 1e8
    assert torch.get_num_threads() == before == approx(1)
