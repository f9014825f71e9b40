"""A user's own configuration as a bed: its model after its warm start, its tasks, its recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from trueloop.config import Resolved, Source
from trueloop.errors import ConfigError
from trueloop.faults.base import Bed, Fault
from trueloop.preflight.gate import Gate
from trueloop.recipes import sampling, sft


def own_bed(recipe: ModuleType, resolved: Resolved[Any], folder: Path) -> Bed:
    """The configuration as a bed of its recipe's name.  A warm start is trained first, in `folder`, once."""
    tree, config = dict(resolved.raw), resolved.config
    if isinstance(config, sampling.Common) and config.warm_start is not None:
        _, run = sft.train_alone(sampling.warm_config(config), folder / "warm", title="warm start", gate=Gate())
        tree.pop("warm_start")
        tree["model"] = {"kind": "pretrained", "path": str(sft.best_model(run)), "if_adapter": "continue"}
        tree.pop("adapter", None)
    source = Source(recipe=resolved.recipe, presets=("own.toml",), layers=(tree,))
    return Bed(name=resolved.recipe or "", recipe=recipe, source=source)


def require_known(faults: Sequence[Fault], named: Sequence[str]) -> None:
    """Raise `ConfigError` for a name that is neither a fault nor a mechanism."""
    known = {f.id for f in faults} | {f.mechanism for f in faults}
    if unknown := [name for name in named if name not in known]:
        raise ConfigError(f"--plant {unknown[0]}: no fault or mechanism has this name; trueloop faults lists them")


def choose(faults: Sequence[Fault], bed: Bed, named: Sequence[str]) -> tuple[list[Fault], list[str]]:
    """The faults to plant into a user's bed, and in words which are left out: those made for another kind of run.

    Raises as `require_known` does.
    """
    require_known(faults, named)
    asked = [f for f in faults if not named or f.id in named or f.mechanism in named]
    same = [f for f in asked if f.bed == bed.name]
    fitting = [f for f in same if not any(o.startswith(("tasks.", "task.", "model")) for o in f.overrides)]
    others = sorted({f.bed for f in asked} - {bed.name})
    left_out = [f"{sum(f.bed == other for f in asked)} faults are of the run {other!r}" for other in others]
    if len(fitting) < len(same):
        left_out.append(f"{len(same) - len(fitting)} faults bring a task or model of their own")
    return fitting, left_out
