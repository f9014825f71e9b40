"""The command line with the recipes and models that ship: what each command does, small enough to wait for."""

import importlib
from pathlib import Path

import pytest

from trueloop import cli
from trueloop.cli import runs
from trueloop.config import Config, preset_names, read
from trueloop.recipes import RECIPES
from trueloop.store.run import Run

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
    small.append('allow."data.answers_cut"="the smallest run"')
    assert cli.main(["run", "sft/arithmetic", *(word for s in small for word in ("--set", s))]) == 0
    assert cli.main(["resume", "runs/sft/arithmetic", "--set", "loop.steps=4"]) == 0
    assert [row["step"] for row in Run.open(Path("runs/sft/arithmetic")).metrics()] == [1, 2, 3, 4]
    capsys.readouterr()
    assert cli.main(["sample", "runs/sft/arithmetic", "Q: 1+2=?\nA: ", "--max-tokens", "3"]) == 0
    assert capsys.readouterr().out.startswith("Q: 1+2=?\nA: ")


def test_every_recipe_is_named_and_nothing_else():
    """A recipe is a module with a configuration of its own, a plan and a run."""
    folder = Path(cli.__file__).parents[1] / "recipes"
    modules = {p.stem: importlib.import_module(f"trueloop.recipes.{p.stem}") for p in folder.glob("[a-z]*.py")}
    whole = {name for name, m in modules.items() if all(hasattr(m, part) for part in ("Config", "plan", "run"))}
    assert whole == set(RECIPES)


@pytest.mark.parametrize("name", preset_names())
def test_a_shipped_preset_names_a_recipe_that_exists(name):
    recipe = runs._recipe(read(name))
    assert issubclass(recipe.Config, Config)
    assert callable(recipe.plan) and callable(recipe.run)
