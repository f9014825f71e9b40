"""The command line with the recipes and models that ship: what each command does, small enough to wait for."""

import importlib
import shutil
from pathlib import Path

import pytest

from trueloop import cli
from trueloop.config import Config, preset_names, read
from trueloop.recipes import RECIPES
from trueloop.store.run import Run


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A directory with the arithmetic world's model, untrained."""
    from trueloop.models import Policy
    from trueloop.tasks.worlds import tiny_model

    folder = tmp_path_factory.mktemp("model")
    tiny_model.write_tokenizer(folder / "tokenizer")
    Policy.fresh(tiny_model.model_config(), folder / "tokenizer", 0).save(folder / "model")
    return folder / "model"


def test_sample_prints_each_prompt_with_its_completions(model, capsys):
    def sample(*arguments):
        assert cli.main(["sample", str(model), "1+1=", "2+", "--n", "2", "--max-tokens", "5", *arguments]) == 0
        return capsys.readouterr().out.splitlines()

    greedy = sample("--temperature", "0")
    assert [line[:2] for line in greedy[1::2]] == ["1+", "1+", "2+", "2+"]
    assert greedy[::2] == [f"--- prompt {i}, completion {k}" for i in (1, 2) for k in (1, 2)]
    assert (greedy[1], greedy[5]) == (greedy[3], greedy[7])
    drawn = sample("--seed", "1")
    assert len(set(drawn)) == 8
    assert drawn == sample("--seed", "1") != sample("--seed", "2")


def test_sample_takes_the_newest_model_of_a_run(model, tmp_path, capsys):
    def sample(name):
        code = cli.main(["sample", str(name), "1+1=", "--temperature", "0", "--max-tokens", "5"])
        return code, *capsys.readouterr()

    with Run.create(tmp_path / "run", recipe="fake", config={}, difference={}, seed=0, data={}) as run:
        code, _, error = sample(tmp_path / "run")
        assert (code, "no checkpoint yet" in error) == (1, True)
        run.checkpoints.save(3, lambda place: shutil.copytree(model, place / "model"))
        assert sample(tmp_path / "run") == sample(model)


def test_sample_refuses_weights_that_are_broken(model, tmp_path, capsys):
    import torch

    from trueloop.models import Policy

    policy = Policy.load(model)
    with torch.no_grad():
        policy.base_model.lm_head.weight[0, 0] = torch.nan
    policy.save(tmp_path)
    assert cli.main(["sample", str(tmp_path), "1+1="]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_an_absent_model_is_one_line(tmp_path, capsys):
    assert cli.main(["sample", str(tmp_path / "none"), "1"]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/none: no such directory")


TINY = {
    "arithmetic": ["loop.steps=3", "warm_start.loop.steps=2"],
    "distill/arithmetic": ["loop.steps=3", "warm_start.loop.steps=2"],
    "sft/arithmetic": ["loop.steps=3"],
}


@pytest.mark.parametrize("name", TINY)
def test_every_recipe_can_be_planned_from_the_command_line(name, capsys):
    overrides = [word for setting in TINY[name] for word in ("--set", setting)]
    assert cli.main(["run", name, "--dry-run", *overrides]) == 0
    assert "parameters" in capsys.readouterr().out
    assert {read(n).recipe for n in TINY} == set(RECIPES)


def test_a_run_of_the_smallest_kind_from_beginning_to_resume(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    task = 'task={kind="arithmetic", lowest=1, highest=9, held_out=0.1, max_tokens=8}'
    small = [task, "rows_per_step=4", "guard.problems=3", "loop.steps=2"]
    assert cli.main(["run", "sft/arithmetic", *(word for s in small for word in ("--set", s))]) == 0
    assert cli.main(["resume", "runs/sft/arithmetic", "--set", "loop.steps=4"]) == 0
    assert [row["step"] for row in Run.open(Path("runs/sft/arithmetic")).metrics()] == [1, 2, 3, 4]
    capsys.readouterr()
    assert cli.main(["sample", "runs/sft/arithmetic", "Q: 1+2=?\nA: ", "--max-tokens", "3"]) == 0
    assert capsys.readouterr().out.startswith("Q: 1+2=?\nA: ")


def test_every_recipe_is_named_and_nothing_else():
    """A recipe is a module with a configuration of its own, a plan and a run."""
    folder = Path(cli.__file__).with_name("recipes")
    modules = {p.stem: importlib.import_module(f"trueloop.recipes.{p.stem}") for p in folder.glob("[a-z]*.py")}
    whole = {name for name, m in modules.items() if all(hasattr(m, part) for part in ("Config", "plan", "run"))}
    assert whole == set(RECIPES)


@pytest.mark.parametrize("name", preset_names())
def test_a_shipped_preset_names_a_recipe_that_exists(name):
    recipe = cli._recipe(read(name))
    assert issubclass(recipe.Config, Config)
    assert callable(recipe.plan) and callable(recipe.run)
