"""Commands that start and explain runs: run, resume, demo, presets, show, keys."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from trueloop.errors import ConfigError
from trueloop.recipes import RECIPES

if TYPE_CHECKING:
    from trueloop.config import Resolved, Source

_SET = "change one key: --set optim.lr=1e-5, --set 'loss={kind=\"cispo\", max_ratio=2.0}'"


def add(commands: Any) -> None:
    """Register the commands with the subparsers `commands`."""
    run = commands.add_parser("run", help="run a preset or a .toml file")
    add_config(run)
    _add_run_options(run)
    run.add_argument("--resume", action="store_true", help="go on where the run directory stopped")
    run.set_defaults(command=_run)

    resume = commands.add_parser("resume", help="go on where a run stopped, with the configuration that it has")
    resume.add_argument("run", type=Path, metavar="RUN", help="a run directory")
    add_overrides(resume, "change one key of loop: --set loop.steps=200")
    add_allowances(resume)
    resume.set_defaults(command=_resume, seed=None, dry_run=False, resume=True)

    demo = commands.add_parser("demo", help="train a small model on arithmetic, on a CPU, from nothing")
    _add_run_options(demo)
    demo.set_defaults(command=_demo, config="arithmetic", out=Path("runs/demo"))

    presets = commands.add_parser("presets", help="list the presets")
    presets.set_defaults(command=_presets)

    show = commands.add_parser("show", help="print a whole configuration, as a file that can be run")
    add_config(show)
    add_overrides(show)
    add_seed(show)
    show.set_defaults(command=_show)

    keys = commands.add_parser("keys", help="list every key of a recipe: type, default, meaning")
    keys.add_argument("recipe", metavar="RECIPE", choices=RECIPES, help=", ".join(RECIPES))
    keys.set_defaults(command=_keys)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Which configuration."""
    parser.add_argument(
        "config", metavar="CONFIG", help="a preset's name (trueloop presets lists them) or a .toml file"
    )


def add_overrides(parser: argparse.ArgumentParser, example: str = _SET) -> None:
    """What is changed in it."""
    parser.add_argument("--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[], help=example)


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Its seed."""
    parser.add_argument("--seed", type=int, metavar="N", help="the same as --set seed=N")


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    add_overrides(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run directory (runs/NAME)")
    add_seed(parser)
    parser.add_argument("--dry-run", action="store_true", help="print the plan and write nothing")
    add_allowances(parser)


def add_allowances(parser: argparse.ArgumentParser) -> None:
    """What lets a run begin although a check fails."""
    parser.add_argument(
        "--allow", metavar="ID", action="append", default=[], help="begin although this check fails; needs --because"
    )
    parser.add_argument(
        "--because", metavar="TEXT", action="append", default=[], help="why, once for each --allow; the run carries it"
    )


def _run(arguments: argparse.Namespace) -> int:
    from trueloop.config import run_name

    recipe, resolved = resolved_of(arguments)
    if arguments.dry_run:
        print(_heading(resolved), recipe.plan(resolved.config), sep="\n")
        return 0
    out = arguments.out or Path("runs") / run_name(arguments.config)
    from trueloop.cli.checking import open_gate

    gate = open_gate(arguments)
    outcome = recipe.run(resolved.config, resolved, out, arguments.resume, gate)
    print(outcome.summary)
    if outcome.signal is not None:
        return 128 + int(outcome.signal)
    return 0 if outcome.ok else 1


def _resume(arguments: argparse.Namespace) -> int:
    """A run with the configuration in its own directory."""
    from trueloop.store.run import Run

    arguments.out = Run.open(arguments.run).path
    arguments.config = str(arguments.out / "config.toml")
    return _run(arguments)


def _demo(arguments: argparse.Namespace) -> int:
    """The arithmetic preset from its start, or from where an earlier demo stopped."""
    arguments.resume = arguments.out.exists()
    return _run(arguments)


def _show(arguments: argparse.Namespace) -> int:
    _, resolved = resolved_of(arguments)
    print(*(f"# {line}" for line in _heading(resolved).splitlines()), resolved.to_toml(), sep="\n", end="")
    return 0


def _keys(arguments: argparse.Namespace) -> int:
    from trueloop.config import key_table

    print(key_table(importlib.import_module(f"trueloop.recipes.{arguments.recipe}").Config))
    return 0


def resolved_of(arguments: argparse.Namespace) -> tuple[ModuleType, Resolved]:
    """The recipe and the configuration that the arguments ask for."""
    from trueloop.config import read, resolve

    source = read(arguments.config)
    recipe = _recipe(source)
    seed = [] if arguments.seed is None else [f"seed={arguments.seed}"]
    return recipe, resolve(recipe.Config, source, [*arguments.overrides, *seed])


def _recipe(source: Source) -> ModuleType:
    """The module of a source's recipe; it has Config, plan and run."""
    from trueloop.config import preset_names

    name = source.recipe
    if name is None:
        raise ConfigError(f'{source.presets[0]}: no recipe; say recipe = "...", or extend a preset: {preset_names()}')
    if name not in RECIPES:
        raise ConfigError(f"{source.presets[0]}: found recipe {name!r}, expected one of {', '.join(RECIPES)}")
    return importlib.import_module(f"trueloop.recipes.{name}")


def _heading(resolved: Resolved) -> str:
    """Where a configuration comes from, and what it changes of the shipped preset under it."""
    title = f"{' < '.join(resolved.presets)} ({resolved.recipe})"
    if all(name.endswith(".toml") for name in resolved.presets):
        return title
    changes = [f"  {key}: {_word(old)} -> {_word(new)}" for key, (old, new) in resolved.difference.items()]
    return "\n".join([title, *changes])


def _word(value: object) -> str:
    return "absent" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _presets(arguments: argparse.Namespace) -> int:
    from trueloop.config import preset_names, preset_title

    names = preset_names()
    width = max(map(len, names), default=0)
    for name in names:
        print(f"{name:<{width}}  {preset_title(name)}".rstrip())
    return 0
