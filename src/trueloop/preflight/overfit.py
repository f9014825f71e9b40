"""The recipe on a few problems, as a run of its own in a directory that does not stay: does it learn them by heart?"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyarrow import parquet

from trueloop.checks import overfit as checks
from trueloop.checks.catalogue import CATALOGUE
from trueloop.config import Resolved, plain
from trueloop.preflight.gate import Gate
from trueloop.records import CheckResult
from trueloop.store.run import Run
from trueloop.tasks.base import Demonstration

ROWS = 10
"""Problems, or demonstrations."""

STEPS = 100
"""Optimizer steps, unless another number is asked for."""

Train = Callable[[Any, Resolved[Any], Path, bool, Gate], object]
"""A recipe's run: (configuration, resolved, directory, resume, gate)."""


def overfit(recipe: str, train: Train, config: Any, steps: int = STEPS) -> Iterator[CheckResult]:
    """Run `train` on a few of the configuration's problems, without a guard, and ask what it learned.

    A warm start is run as it is configured.  What its own checks say does not count: so few rows are asked for.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        few = narrowed(config, Path(folder), steps)
        gate = Gate(allow=dict.fromkeys(CATALOGUE, "a few rows are read over and over, on purpose"))
        train(few, Resolved(recipe=recipe, config=few, presets=(), difference={}, raw=plain(few)), Path(folder) / "run",
              False, gate)  # fmt: skip
        yield from judged(Run.open(Path(folder) / "run"))


def narrowed(config: Any, folder: Path, steps: int) -> Any:
    """The configuration on `ROWS` rows of its first task, without a guard, for so many steps; files go to `folder`."""
    loop = config.loop.model_copy(update={"steps": steps, "checkpoint_every": steps})
    changes: dict[str, Any] = {"loop": loop, "guard": None}
    if hasattr(config, "tasks"):
        return config.model_copy(update=changes | _few_problems(config, folder))
    task = config.task.build()
    ids = {p.id for p in task.first(config.split, min(ROWS, len(task.problems(config.split))))}
    _write_rows([d for d in task.demonstrations(config.split) if d.problem.id in ids], folder / "rows.jsonl")
    rows = folder / "rows.jsonl" if config.rows is None else config.rows
    return config.model_copy(update=changes | {"rows": rows, "rows_per_step": min(config.rows_per_step, ROWS)})


def judged(run: Run) -> Iterator[CheckResult]:
    """What the finished run learned: its rewards, or its loss where nothing was sampled."""
    rows = run.metrics()
    rewards = [row["reward/mean"] for row in rows if "reward/mean" in row]
    if rewards:
        yield checks.reward(rewards, _best(run), ROWS)
    else:
        yield checks.loss([row["loss"] for row in rows], ROWS)


def _best(run: Run) -> float:
    """The highest reward of a completion."""
    parts = sorted((run.path / "rollouts").glob("*.parquet"))
    rewards = [r for part in parts for r in parquet.read_table(part, columns=["reward"])["reward"].to_pylist()]
    return max((r for r in rewards if r is not None), default=0.0)


def _few_problems(config: Any, folder: Path) -> dict[str, Any]:
    """A curriculum of a few ids, and a flow that takes groups without signal, which come when all is learned."""
    part = config.tasks.parts[0]
    task = part.task.build()
    order = folder / "order.json"
    few = task.first(part.split, min(ROWS, len(task.problems(part.split))))
    order.write_text(json.dumps([p.id for p in few]), encoding="utf-8")
    parts = (part.model_copy(update={"order": order}),)
    flow = config.flow.model_copy(
        update={"drop_zero_variance": False, "problems_per_step": min(config.flow.problems_per_step, ROWS)}
    )
    return {"tasks": config.tasks.model_copy(update={"parts": parts, "epochs": None}), "flow": flow}


def _write_rows(demonstrations: list[Demonstration], place: Path) -> None:
    rows = [json.dumps({"id": d.problem.id, "completion": d.completion}) for d in demonstrations]
    place.write_text("\n".join(rows) + "\n", encoding="utf-8")
