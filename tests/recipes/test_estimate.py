from pathlib import Path
from typing import Any

import pytest
from pytest import approx

from trueloop.config import load
from trueloop.models.size import Size
from trueloop.recipes import distill, estimate, rlvr, sft, wiring

SIZE = Size(parameters=1000, trained=100, cache_per_token=8)


def config(*overrides: str) -> Any:
    return load(rlvr.Config, "arithmetic", overrides).config


def test_memory_is_weights_gradients_moments_engine_and_cache() -> None:
    wide = estimate.memory(config("engine.cache_tokens=50"), SIZE)
    assert wide == 4 * 1000 + 12 * 100 + 4 * (1000 + 50 * 8)
    narrow = estimate.memory(config("engine.cache_tokens=50", "engine.dtype=bfloat16"), SIZE)
    assert wide - narrow == 2 * (1000 + 50 * 8)


def test_each_process_has_its_gradients_and_a_frozen_copy_is_once_what_trains() -> None:
    one = estimate.memory(config(), SIZE)
    assert estimate.memory(config("processes=3"), SIZE) - one == 2 * 4 * 100
    assert estimate.memory(config(), SIZE, frozen=True) - one == 4 * 100


def test_disk_is_the_checkpoints_kept_of_each_loop_one_being_written_and_bounded_rollouts() -> None:
    one = 4 * 1000 + 12 * 100
    warm, loop = estimate.Stage(name="warm", steps=400), estimate.Stage(name="loop", steps=80)
    drawn, guard = estimate.Stage(name="loop", steps=80, sampled=1000), estimate.Stage(name="guard", sampled=10**9)
    assert estimate.disk(config(), SIZE, [loop]) == 4 * one
    assert estimate.disk(config(), SIZE, [warm, loop, guard]) == 7 * one
    assert estimate.disk(config("retention.checkpoints.every=10"), SIZE, [loop]) == 12 * one
    assert estimate.disk(config(), SIZE, [drawn]) - 4 * one == 5800
    assert estimate.disk(config("retention.rollout_bytes=7"), SIZE, [drawn]) - 4 * one == 7
    assert estimate.disk(config(), SIZE, [loop], frozen=True) == 4 * (one + 4 * 100)


def test_a_model_that_is_not_here_leaves_the_sizes_unknown_and_says_why(tmp_path: Path) -> None:
    absent = config('model={kind="pretrained", path="/absent/model"}')
    assert estimate.describe(absent, [])[0].startswith("memory, disk and time: not known")
    assert "/absent/model" in estimate.describe(absent, [])[0]
    teacher = distill.TeacherModel(path="/absent/teacher")
    assert "/absent/teacher" in estimate.describe(config(), [], teacher=teacher)[0]


def test_operations_of_a_stage() -> None:
    def flops(*overrides: str, **tokens: int) -> float:
        return estimate.flops(config(*overrides), SIZE, estimate.Stage(name="x", **tokens), 50)

    assert flops(trained=7) == 7 * (4 * 1000 + 2 * 100)
    assert flops("gradient_checkpointing=true", trained=7) - flops(trained=7) == 7 * 2 * 1000
    assert flops("processes=2", trained=7) == flops(trained=7) / 2
    assert flops("processes=2", sampled=7) == flops(sampled=7) == flops(read=7) == 7 * 2 * 1000
    assert flops(taught=7) == 7 * 2 * 50


def test_the_time_is_that_of_all_stages_at_the_measured_speed(monkeypatch: Any) -> None:
    monkeypatch.setattr(estimate, "multiply_rate", lambda: 2e9)
    stages = [estimate.Stage(name="first", trained=1_000_000), estimate.Stage(name="second", sampled=3_000_000)]
    minutes = 6 * 813_184 * 1e6 / 2e9 / 60
    line = next(line for line in estimate.describe(config(), stages) if line.startswith("time"))
    assert f"about {2 * minutes:.0f} min of matrix products (first {minutes:.0f} min, second {minutes:.0f} min)" in line


def test_a_guard_evaluates_before_every_so_often_and_at_the_end() -> None:
    guard = config("guard.every=20", "guard.problems=5", "guard.samples=2").guard
    for steps, evaluations in ((80, 5), (81, 6), (19, 2)):
        (stage,) = estimate.guarding("guard", guard, steps, max_tokens=64)
        assert (stage.sampled, stage.steps) == (evaluations * 5 * 2 * 64, 0)
    assert estimate.guarding("guard", None, 80, 64) == []


def stages_of(monkeypatch: Any, recipe: Any, preset: str, *overrides: str) -> tuple[dict[str, estimate.Stage], Any]:
    """What a recipe's plan hands over."""
    seen: list[Any] = []

    def describe(config: Any, stages: Any, **rest: Any) -> list[str]:
        seen.append(({stage.name: stage for stage in stages}, rest))
        return []

    monkeypatch.setattr(estimate, "describe", describe)
    recipe.plan(load(recipe.Config, preset, overrides).config)
    stages, rest = seen[0]
    return stages, rest


def test_rlvr_counts_warm_start_guards_and_reference(monkeypatch: Any) -> None:
    stages, rest = stages_of(monkeypatch, rlvr, "arithmetic")
    assert set(stages) == {"warm start", "guard of warm start", "rlvr", "guard of rlvr"}
    assert stages["warm start"].steps == 400
    assert 400 * 128 * 20 < stages["warm start"].trained < 400 * 128 * 80
    loop = stages["rlvr"]
    assert (loop.steps, loop.sampled, loop.trained, loop.read) == (150, 1_228_800, 1_228_800, 0)
    assert stages["guard of rlvr"].sampled == 9 * 200 * 64
    assert rest == {"frozen": False}
    stages, rest = stages_of(monkeypatch, rlvr, "arithmetic", "kl={coefficient=0.1}")
    assert (stages["rlvr"].read, rest) == (1_228_800, {"frozen": True})
    mixed, _ = stages_of(monkeypatch, rlvr, "arithmetic", "sft_mix={rows_per_step=128, coefficient=0.1}")
    assert (mixed["rlvr"].trained - 1_228_800) / 150 == approx(stages["warm start"].trained / 400, rel=1e-3)


def test_a_new_adapter_needs_no_copy_as_reference(monkeypatch: Any) -> None:
    small = ["model.kind=tiny", 'tasks={kind="weighted", parts=[{task={kind="arithmetic"}}]}']
    small += ["loop={steps=1, checkpoint_every=1}", 'flow={problems_per_step=1, samples={kind="fixed", n=2}}']
    small += ["kl={coefficient=0.1}", 'adapter={kind="lora", rank=2, alpha=4}']
    assert stages_of(monkeypatch, rlvr, "rlvr/grpo", *small)[1] == {"frozen": False}
    assert stages_of(monkeypatch, rlvr, "rlvr/grpo", *small, "kl.refresh_every=2")[1] == {"frozen": True}


def test_distillation_charges_a_teacher_at_its_own_size(monkeypatch: Any) -> None:
    stages, rest = stages_of(monkeypatch, distill, "distill/arithmetic")
    assert (stages["distill"].read, stages["distill"].taught, rest["frozen"]) == (245_760, 0, True)
    other = ['teacher={kind="model", path="x"}']
    stages, rest = stages_of(monkeypatch, distill, "distill/arithmetic", *other)
    assert (stages["distill"].read, stages["distill"].taught, rest["frozen"]) == (0, 245_760, False)
    assert rest["teacher"].path == "x"


def test_a_teachers_weights_are_in_memory_in_its_own_precision(tmp_path: Path, monkeypatch: Any) -> None:
    wiring.build_policy(wiring.Tiny(), None, 0).save(tmp_path)
    monkeypatch.setattr(estimate, "_bytes", lambda n: f"{n} bytes")

    def room(**rest: Any) -> int:
        return int(estimate.describe(config(), [], **rest)[1].split()[1])

    for dtype, width in (("float32", 4), ("bfloat16", 2)):
        teacher = distill.TeacherModel(path=str(tmp_path), dtype=dtype)  # type: ignore[arg-type]
        assert room(teacher=teacher) - room() == 813_184 * width
        assert "teacher: 813,184" in estimate.describe(config(), [], teacher=teacher)[0]


def test_sft_counts_its_rows_and_its_guard(monkeypatch: Any) -> None:
    stages, _ = stages_of(monkeypatch, sft, "sft/arithmetic", "loop.steps=10")
    assert set(stages) == {"sft", "guard of sft"}
    assert (stages["sft"].steps, stages["sft"].sampled) == (10, 0)
    assert stages["guard of sft"].sampled == 2 * 200 * 64


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], True),
        (["flow.max_staleness=1"], False),
        (["flow.max_staleness=1", "importance_cap=2.0"], True),
        (['loss={kind="reinforce"}'], False),
    ],
)
def test_the_plan_says_where_clipping_has_no_effect(overrides: list[str], said: bool) -> None:
    words = rlvr.plan(config(*overrides))
    assert ("clip bounds have no effect" in words) == said
    assert "one thread per process; processes = 1, this machine has" in words
    assert "of the problems asked" not in words


def test_the_measured_speed_is_that_of_one_thread_and_leaves_the_threads_alone() -> None:
    import torch

    before = torch.get_num_threads()
    assert estimate.multiply_rate() > 1e8
    assert torch.get_num_threads() == before == approx(1)
