"""The census of healthy runs: every embedded world at five seeds, start to end, without a fail and with few warns.

An arm that is unhealthy on purpose must get the diagnosis that it declares, and no other.
"""

from __future__ import annotations

import fcntl
import importlib
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

NAME = "census"
COVERS = ("src/trueloop/**/*.py", "src/trueloop/presets/**/*.toml")
WORLDS = ("arithmetic", "sft/arithmetic", "distill/arithmetic")
SEEDS = 5
WARNS = 0.05
"""Largest share of the checks that may warn in a healthy run."""

ROOT = Path(__file__).parents[3]


ARMS = {
    "answers-are-cut": ("tasks.parts=[{task={kind='arithmetic', max_tokens=12}}]", "loop.steps=12"),
    "sampling-is-not-random": ("draw.temperature=0.01", "loop.steps=12"),
    "policy-collapsed": ("optim.lr=0.01", "loop.steps=20"),
}
"""Arms that are unhealthy on purpose, by the diagnosis that they declare."""


def cases() -> list[dict[str, Any]]:
    """Worlds times seeds, and the arms at two seeds."""
    healthy = [{"world": world, "seed": seed} for seed in range(SEEDS) for world in WORLDS]
    return [*healthy, *({"arm": arm, "seed": seed} for arm in ARMS for seed in range(2))]


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Train the whole preset and count what the checks said before and during it; or an arm, and ask the doctor."""
    with tempfile.TemporaryDirectory() as folder:
        return _arm(case, Path(folder) / "run") if "arm" in case else _healthy(case, Path(folder) / "run")


def _healthy(case: dict[str, Any], out: Path) -> dict[str, Any]:
    """Each check counts once, with the gravest that it said."""
    from trueloop.checks.base import SEVERITY
    from trueloop.config import read, resolve
    from trueloop.doctor import examine
    from trueloop.preflight.gate import Gate
    from trueloop.store.run import Run

    source = read(case["world"])
    recipe = importlib.import_module(f"trueloop.recipes.{source.recipe}")
    resolved = resolve(recipe.Config, source, [f"seed={case['seed']}"])
    gate = Gate()
    recipe.run(resolved.config, resolved, out, False, gate)
    said: dict[str, str] = {}
    for id, status in [
        *((r.id, r.status) for r in gate.results),
        *((r["id"], r["status"]) for r in Run.open(out).checks()),
    ]:
        said[id] = max(said.get(id, "pass"), status, key=SEVERITY.index)
    loud = sorted(f"{status} {id}" for id, status in said.items() if status in ("warn", "fail"))
    counts, diagnoses = Counter(said.values()), [d.id for d in examine(out).diagnoses]
    ok = not counts["fail"] and counts["warn"] <= WARNS * len(said) and diagnoses == ["healthy"]
    why = "" if ok else f"{'; '.join(loud)}; the doctor says {', '.join(diagnoses)}"
    return {"ok": ok, "why": why, "counts": dict(counts), "loud": loud, "diagnoses": diagnoses}


def _arm(case: dict[str, Any], out: Path) -> dict[str, Any]:
    """The arm runs although its checks fail, and must get the diagnosis that it declares."""
    from trueloop.checks.catalogue import CATALOGUE
    from trueloop.config import resolve
    from trueloop.doctor import expects
    from trueloop.faults.beds import beds, warm_model
    from trueloop.preflight.gate import Gate

    folder = ROOT / ".study" / "beds"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        bed = beds(warm_model(folder))["rlvr"]
    arm = case["arm"]
    settings = [*bed.overrides, *ARMS[arm], f"seed={case['seed']}", f"expects={arm}"]
    resolved = resolve(bed.recipe.Config, bed.source, settings)
    gate = Gate(allow=dict.fromkeys(CATALOGUE, "an arm that is unhealthy on purpose"))
    bed.recipe.run(resolved.config, resolved, out, False, gate)
    verdict = expects(out, arm)
    return {"ok": verdict.status == "pass", "why": "" if verdict.status == "pass" else verdict.evidence}
