"""Each world's recipe learns ten problems by heart: its reward comes near the best, or its loss near the floor."""

from __future__ import annotations

import importlib
from typing import Any

NAME = "overfit"
COVERS = ("src/trueloop/**/*.py", "src/trueloop/presets/**/*.toml")
STEPS = {"arithmetic": 150, "sft/arithmetic": 60}
"""Optimizer steps by world; those that imitate a teacher have no reward of their own to come near to."""


def cases() -> list[dict[str, Any]]:
    """One a world."""
    return [{"world": world} for world in STEPS]


def run(case: dict[str, Any]) -> dict[str, Any]:
    """As `trueloop check WORLD --overfit`, its warm start included."""
    from trueloop.config import read, resolve
    from trueloop.preflight.overfit import overfit

    source = read(case["world"])
    assert source.recipe is not None
    recipe = importlib.import_module(f"trueloop.recipes.{source.recipe}")
    config = resolve(recipe.Config, source, []).config
    (found,) = overfit(source.recipe, recipe.run, config, STEPS[case["world"]])
    return {
        "ok": found.status == "pass",
        "why": "" if found.status == "pass" else found.evidence,
        "said": found.evidence,
    }
