"""The RLVR recipe end to end on a few sums: every method runs, and a run that died goes on as the same run."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from pytest import approx
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from helpers import tiny_policy
from trueloop.config import load
from trueloop.errors import ConfigError, StoreError
from trueloop.models import Pretrained
from trueloop.models.reference import FrozenCopy
from trueloop.recipes import rlvr, sft, wiring
from trueloop.records import content_hash
from trueloop.store.run import Run, contents
from trueloop.store.trace import read_rollouts

SUMS = 'tasks.parts=[{task={kind="arithmetic", lowest=0, highest=6, held_out=0.1, max_tokens=32}}]'
SMALL = [
    SUMS,
    "warm_start.rows_per_step=4",
    "warm_start.loop.steps=2",
    "warm_start.loop.checkpoint_every=1",
    'warm_start.guard={every=2, metric="lenient", problems=2}',
    "flow.problems_per_step=2",
    'flow.samples={kind="fixed", n=2}',
    "loop.steps=3",
    "loop.checkpoint_every=1",
    'guard={every=3, metric="strict", problems=2}',
]
SIGNAL = [
    SUMS,
    'tasks.kind="weighted"',
    'flow={problems_per_step=4, samples={kind="fixed", n=4}}',
    "loop={steps=3, checkpoint_every=1}",
    'guard={every=3, metric="strict", problems=2}',
    "optim.lr=1e-3",
    'leniency={kind="constant", at=0.5}',
]


def run(out: Path, *overrides: str, resume: bool = False, preset: str = "arithmetic") -> Run:
    """Two steps of SFT and three of RL, of a model that is never right."""
    return start(out, preset, *SMALL, *overrides, resume=resume)


def start(out: Path, preset: str, *overrides: str, resume: bool = False) -> Run:
    resolved = load(rlvr.Config, preset, overrides)
    assert rlvr.run(resolved.config, resolved, out, resume).ok
    return Run.open(out)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that is right now and then, in several formats: rewards vary, so that RL has a gradient."""
    config = load(rlvr.Config, "arithmetic", SMALL).config
    longer = ["warm_start.rows_per_step=16", "warm_start.optim.lr=3e-3"]
    longer += ["warm_start.loop={steps=80, checkpoint_every=80}", "warm_start.guard.every=80"]
    out = tmp_path_factory.mktemp("warm") / "run"
    start(out, "arithmetic", *SMALL, *longer, f"loop.steps={config.loop.steps - 2}")
    return str(sft.last_model(Run.open(out / "warm_start")))


def train(out: Path, warm: str, *overrides: str, preset: str = "rlvr/grpo", resume: bool = False) -> Run:
    """Three steps of RL with rewards that vary."""
    return start(out, preset, f'model={{kind="pretrained", path="{warm}"}}', *SIGNAL, *overrides, resume=resume)


def weights(done: Run) -> str:
    """A hash of the last checkpoint's trained weights."""
    latest = done.checkpoints.latest()
    assert latest is not None
    return content_hash({k: v.double().sum().item() for k, v in load_file(latest.path / "trainer.safetensors").items()})


def test_a_run_holds_its_warm_start_its_rollouts_and_its_evaluations(tmp_path: Path) -> None:
    done = run(tmp_path / "run")
    assert [row["step"] for row in done.metrics()] == [1, 2, 3]
    assert [row["step"] for row in done.evaluations()] == [0, 3]
    assert done.status()["state"] == "finished"
    rows = list(read_rollouts(tmp_path / "run"))
    assert len(rows) == 3 * 2 * 2
    assert {row["fate"] for row in rows} == {"used"}
    assert done.metrics()[-1]["share/arithmetic"] == 1.0
    assert all(row["prompt"].startswith("Q: ") and row["prompt"].endswith("A: ") for row in rows)
    warm = Run.open(tmp_path / "run/warm_start")
    assert [row["step"] for row in warm.metrics()] == [1, 2]
    assert done.info.difference["loop.steps"] == [150, 3]


class Died(BaseException):
    """Stands for a kill."""


def dies(monkeypatch: pytest.MonkeyPatch, step: int, loop: str) -> None:
    """Every checkpoint of `loop` at `step` is the end of the process, before it is written."""
    save = Run.write_step

    def write_step(self: Run, row: dict[str, Any], rollouts: Any) -> None:
        save(self, row, rollouts)
        if row["step"] == step and self.info.recipe == loop:
            raise Died

    monkeypatch.setattr(Run, "write_step", write_step)


@pytest.mark.parametrize("step", [1, 2])
def test_a_run_that_died_in_its_warm_start_goes_on_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    run(tmp_path / "whole")
    with monkeypatch.context() as patched, pytest.raises(Died):
        dies(patched, step, "sft")
        run(tmp_path / "died")
    run(tmp_path / "died", resume=True)
    assert contents(tmp_path / "whole") == contents(tmp_path / "died")
    assert contents(tmp_path / "whole/warm_start") == contents(tmp_path / "died/warm_start")


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize(
    "overrides",
    [[], ["kl={coefficient=0.1, refresh_every=2}"], ['adapter={kind="lora", rank=2, alpha=4}', "kl={coefficient=0.1}"]],
    ids=["plain", "renewed reference", "lora"],
)
def test_a_run_that_died_in_rl_goes_on_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: str, step: int, overrides: list[str]
) -> None:
    whole = train(tmp_path / "run", warm, *overrides)
    assert all(row["grad_norm"] > 0 for row in whole.metrics())
    (tmp_path / "run").rename(tmp_path / "whole")
    with monkeypatch.context() as patched, pytest.raises(Died):
        dies(patched, step, "rlvr")
        train(tmp_path / "run", warm, *overrides)
    train(tmp_path / "run", warm, *overrides, resume=True)
    assert contents(tmp_path / "whole") == contents(tmp_path / "run")


def test_checkpoints_of_an_adapter_over_a_fresh_model_load_in_transformers(tmp_path: Path) -> None:
    done = run(tmp_path / "run", 'adapter={kind="lora", rank=2, alpha=4}')
    for model in (sft.last_model(done), sft.last_model(Run.open(tmp_path / "run/warm_start"))):
        loaded = AutoModelForCausalLM.from_pretrained(model)
        ids = torch.tensor([[5, 6, 7]])
        policy = wiring.build_policy(Pretrained(path=str(model), if_adapter="continue"), None, 0)
        with torch.no_grad():
            assert torch.allclose(loaded(ids).logits, policy.model(ids).logits, atol=1e-6)


@pytest.mark.parametrize("kind", ["lora", "saved"])
def test_an_adapter_goes_through_the_warm_start_once(tmp_path: Path, warm: str, kind: str) -> None:
    """With a learning rate of almost 0 the warm start changes nothing, so RL begins from what was given."""
    adapter = 'adapter={kind="lora", rank=2, alpha=4}'
    still = [f'model={{kind="pretrained", path="{warm}"}}', "warm_start.optim.lr=1e-30"]
    if kind == "saved":
        trained = sft.last_model(train(tmp_path / "adapter", warm, adapter))
        adapter = f'adapter={{kind="saved", path="{trained}"}}'
    given = wiring.build_policy(load(rlvr.Config, "arithmetic", [*SMALL, *still, adapter]).config.model, None, 0)
    config = load(rlvr.Config, "arithmetic", [*SMALL, *still, adapter, "optim.lr=1e-30"]).config
    expected = wiring.build_policy(config.model, config.adapter, 0).engine_weights()
    done = run(tmp_path / "run", *still, adapter, "optim.lr=1e-30")
    model = Pretrained(path=str(sft.last_model(done)), if_adapter="continue")
    found = wiring.build_policy(model, None, 0)
    assert found.adapter is not None
    moved = max((found.engine_weights()[k] - v).abs().max().item() for k, v in expected.items())
    assert moved < 1e-6
    if kind == "saved":
        assert max((given.engine_weights()[k] - v).abs().max().item() for k, v in expected.items()) > 1e-5


def test_a_changed_configuration_is_refused_on_resume_and_named(tmp_path: Path) -> None:
    run(tmp_path / "run")
    with pytest.raises(StoreError, match=r"optim\.lr.*0\.0001.*0\.5"):
        run(tmp_path / "run", "optim.lr=0.5", resume=True)
    longer = run(tmp_path / "run", "loop.steps=4", resume=True)
    assert [row["step"] for row in longer.metrics()] == [1, 2, 3, 4]


VARIANTS: dict[str, tuple[list[str], set[str]]] = {
    "kl in the loss": (["kl={coefficient=0.1}"], {"policy/kl"}),
    "renewed reference": (["kl={coefficient=0.1, refresh_every=2}"], {"policy/kl"}),
    "kl in the reward": (['kl={coefficient=0.5, where="reward", estimator="k1"}'], set()),
    "lora": (['adapter={kind="lora", rank=2, alpha=4}', "kl={coefficient=0.1}"], {"policy/kl"}),
    "entropy bonus": (["entropy=0.01"], {"policy/entropy"}),
    "truncated sampling": (["draw={top_k=5, top_p=0.9}"], set()),
    "importance weights": (["draw={top_k=5, top_p=0.9}", "importance_cap=2.0"], set()),
    "length penalty": (["overlong={limit=16, cache=12}"], set()),
    "sft mix": (["sft_mix={rows_per_step=3, coefficient=0.1}"], {"sft_mix/nll", "second/data/epochs"}),
    "adaptive": (['flow.samples={kind="adaptive", successes=1, failures=1, chunk=2, max_samples=6}'], set()),
    "ahead": (["flow.max_staleness=2", "flow.sync_every=2", "flow.max_reads=2"], {"flow/lag_max"}),
    "few shots": (['shots={kind="piecewise", points=[[0, 0], [1, 1]]}'], set()),
    "leniency": (['leniency={kind="linear", start=1.0, end=0.0, finish=2}'], set()),
    "dynamic sampling": (["flow.drop_zero_variance=true"], {"groups/filtered"}),
    "hotter": (["draw.temperature=1.3"], set()),
    "bfloat16 compute": (['batching.compute_dtype="bfloat16"'], set()),
    "gradient checkpointing": (["gradient_checkpointing=true"], set()),
}
SAME_AS_PLAIN = {"gradient checkpointing"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, warm: str) -> str:
    return weights(train(tmp_path_factory.mktemp("plain") / "run", warm))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_setting_changes_what_is_trained(tmp_path: Path, warm: str, plain: str, name: str) -> None:
    overrides, metrics = VARIANTS[name]
    done = train(tmp_path / "run", warm, *overrides)
    rows = done.metrics()
    assert rows[-1]["version"] > 0
    assert all(metrics <= row.keys() for row in rows)
    if "policy/kl" in metrics:
        assert rows[0]["policy/kl"] == approx(0.0, abs=1e-6)
        assert rows[1]["policy/kl"] > 1e-8
    if name not in SAME_AS_PLAIN:
        assert weights(done) != plain


def test_two_processes_train_as_one(tmp_path: Path, warm: str) -> None:
    one, two = (train(tmp_path / str(n), warm, f"processes={n}", "loop.steps=1") for n in (1, 2))
    parts = [load_file(r.checkpoints.latest().path / "trainer.safetensors") for r in (one, two)]  # type: ignore[union-attr]
    assert parts[0].keys() == parts[1].keys()
    gradients = [name for name in parts[0] if name.startswith("moments/")]
    gap = sum((parts[0][n] - parts[1][n]).norm().item() ** 2 for n in gradients) ** 0.5
    size = sum(parts[0][n].norm().item() ** 2 for n in gradients) ** 0.5
    assert size > 0
    assert gap < 1e-4 * size


def test_shots_follow_their_schedule(tmp_path: Path) -> None:
    run(tmp_path / "run", *VARIANTS["few shots"][0])
    shots = {row["step"]: row["prompt"].count("Q: ") - 1 for row in read_rollouts(tmp_path / "run")}
    assert shots == {1: 0, 2: 1, 3: 1}


@pytest.mark.parametrize("preset", ["grpo", "dr_grpo", "dapo", "rloo", "gspo", "cispo", "max_rl"])
def test_every_algorithm_preset_is_whole_but_for_what_it_asks_of_the_user(preset: str) -> None:
    user = ["model.kind=tiny", *SMALL[:1], 'tasks.kind="weighted"', "loop={steps=1, checkpoint_every=1}"]
    user += ['flow={problems_per_step=1, samples={kind="fixed", n=2}}']
    length = ["reduction.length=64"] if preset == "dr_grpo" else []
    config = load(rlvr.Config, f"rlvr/{preset}", user + length).config
    assert "1 steps of 1 problems x at most 2 samples" in rlvr.plan(config)


def test_a_schedule_that_starves_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    resolved = load(rlvr.Config, "arithmetic", [*SMALL, "flow.sync_every=3"])
    with pytest.raises(ConfigError, match="the trainer would wait for ever"):
        rlvr.run(resolved.config, resolved, tmp_path / "run", False)
    assert not (tmp_path / "run").exists()


def test_the_plan_says_what_will_be_done_and_needed() -> None:
    words = rlvr.plan(load(rlvr.Config, "arithmetic").config)
    said = ("7125 problems", "150 steps of 16 problems x at most 8 samples", "813,184 parameters", "disk: at most")
    for part in said:
        assert part in words
    assert "400 steps of 128 rows" in words


def test_sft_trains_the_answer_and_its_end_and_not_the_prompt() -> None:
    config = load(rlvr.Config, "arithmetic", SMALL).config
    task = config.tasks.parts[0].task.build()
    policy = wiring.build_policy(config.model, None, 0)
    sample = wiring.supervised(task, list(task.demonstrations("train"))[:1], policy)[0]
    trained = [t for t, m in zip(sample.tokens, sample.loss_mask, strict=True) if m]
    prompt = [t for t, m in zip(sample.tokens, sample.loss_mask, strict=True) if not m]
    assert trained[-1] in policy.end_ids
    assert policy.tokenizer.decode(prompt).endswith("A: ")
    assert sum(sample.weights) == len(trained)
    assert sft.streams([sample], 1)[0].loss.silent_at_zero_weight  # type: ignore[union-attr]


def test_greedy_rollouts_are_refused(tmp_path: Path) -> None:
    resolved = load(rlvr.Config, "arithmetic", [*SMALL, "draw.temperature=0"])
    with pytest.raises(ConfigError, match=r"draw\.temperature = 0"):
        rlvr.run(resolved.config, resolved, tmp_path / "run", False)


def test_a_full_disk_is_one_clear_error_and_the_run_goes_on_when_there_is_room(
    tmp_path: Path, small_disk: Callable[..., Path]
) -> None:
    disk = small_disk("30m")
    with pytest.raises(StoreError, match="the disk is full"):
        run(disk / "run")
    assert not list(disk.rglob("*.partial"))
    subprocess.run(["mount", "-o", "remount,size=300m", str(disk)], check=True)
    run(disk / "run", resume=True)
    run(tmp_path / "whole")
    assert contents(disk / "run") == contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(("signals", "code"), [([signal.SIGTERM], 143), ([signal.SIGINT, signal.SIGINT], 130)])
def test_signals_leave_a_run_that_can_be_resumed(tmp_path: Path, signals: list[int], code: int) -> None:
    """The second Ctrl-C comes while the first is being obeyed; either way one clear line and nothing half-written."""
    many = [*SMALL, "warm_start.loop.steps=100000", "warm_start.rows_per_step=64", "warm_start.guard.every=100000"]
    words = [word for setting in many for word in ("--set", setting)]
    command = [sys.executable, "-m", "trueloop.cli", "run", "arithmetic", "--out", str(tmp_path / "run"), *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (tmp_path / "run/warm_start/metrics.jsonl").exists():
        time.sleep(0.05)
        assert process.poll() is None, process.stderr and process.stderr.read()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.01)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert "interrupted" in errors
    warm = Run.open(tmp_path / "run/warm_start")
    assert warm.status()["state"] in ("interrupted", "killed")
    assert warm.checkpoints.latest() is not None


def test_a_reference_says_the_same_of_a_fixed_row_until_it_is_renewed() -> None:
    policy = tiny_policy()
    reference = FrozenCopy(policy, every=10)
    kept = rlvr.Kept(reference, 50)
    backward = Mock()
    said = []
    for step in (1, 2, 6, 11):
        kept.refresh(step, backward)
        said.append({name: metric.mean for name, metric in kept.metrics().items()}.get("reference/logprob"))
        with torch.no_grad():
            for p in policy.trainable().values():
                p.add_(0.01)
    assert said[1] is None and said[0] == said[2] != said[3]


def test_the_penalty_on_length_knows_each_task_s_own_limit():
    config = load(rlvr.Config, "arithmetic", [SUMS]).config
    assert config.overlong is not None and config.overlong.limit is None
    rlvr.check(config)
    with pytest.raises(ConfigError, match=r"overlong\.cache = 33 is above a task's max_tokens, 32"):
        rlvr.check(load(rlvr.Config, "arithmetic", [SUMS, "overlong={cache=33}"]).config)
    with pytest.raises(ConfigError, match=r"overlong\.limit = 33 is beyond the longest completion, 32"):
        rlvr.check(load(rlvr.Config, "arithmetic", [SUMS, "overlong={cache=4, limit=33}"]).config)
