"""The census of healthy runs: every embedded world at five seeds, start to end, without a fail and with few warns.

An arm that is unhealthy on purpose must get the diagnosis that it declares, and no other.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

NAME = "census"
COVERS = ("src/trueloop/**/*.py", "src/trueloop/presets/**/*.toml")
WORLDS = ("arithmetic", "sft/arithmetic", "distill/arithmetic")
SEEDS = 5
WARNS = 0.05
"""Most warns among all results of a healthy run."""


def cases() -> list[dict[str, Any]]:
    """Worlds times seeds."""
    return [{"world": world, "seed": seed} for seed in range(SEEDS) for world in WORLDS]


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Train the whole preset; count what the checks said before and during it."""
    import importlib

    from trueloop.config import read, resolve
    from trueloop.preflight.gate import Gate
    from trueloop.store.run import Run

    source = read(case["world"])
    recipe = importlib.import_module(f"trueloop.recipes.{source.recipe}")
    out = Path(tempfile.mkdtemp()) / "run"
    resolved = resolve(recipe.Config, source, [f"seed={case['seed']}"])
    gate = Gate()
    recipe.run(resolved.config, resolved, out, False, gate)
    said = [*(r.status for r in gate.results), *(row["status"] for row in Run.open(out).checks() if row["step"])]
    loud = [f"step {row['step']}: {row['status']} {row['id']}" for row in Run.open(out).checks() if _loud(row)]
    shutil.rmtree(out.parent)
    counts = Counter(said)
    ok = not counts["fail"] and counts["warn"] <= WARNS * len(said)
    return {"ok": ok, "why": "" if ok else "; ".join(loud), "counts": dict(counts), "loud": loud}


def _loud(row: dict[str, Any]) -> bool:
    return row["status"] in ("warn", "fail")
