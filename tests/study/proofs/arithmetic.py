"""The world `arithmetic` from nothing to GRPO: what the preset reaches, at five seeds."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

NAME = "arithmetic"
COVERS = (
    "src/trueloop/engines/*.py",
    "src/trueloop/formulas/*.py",
    "src/trueloop/loop/*.py",
    "src/trueloop/models/*.py",
    "src/trueloop/recipes/*.py",
    "src/trueloop/tasks/**/*.py",
    "src/trueloop/train/*.py",
    "src/trueloop/verify/*.py",
    "src/trueloop/presets/**/*.toml",
)


def cases() -> list[dict[str, Any]]:
    """Five seeds."""
    return [{"seed": seed} for seed in range(5)]


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Greedy accuracy on 200 held-out problems before and after RL; RL must help beyond both intervals."""
    from trueloop.config import load
    from trueloop.recipes import rlvr
    from trueloop.store.run import Run

    out = Path(tempfile.mkdtemp()) / "run"
    resolved = load(rlvr.Config, "arithmetic", [f"seed={case['seed']}"])
    rlvr.run(resolved.config, resolved, out, False)
    rows = Run.open(out).evaluations()
    shutil.rmtree(out.parent)
    before, after = rows[0], rows[-1]
    figures = {
        f"{name}_{when}": [round(row[name][part], 3) for part in ("mean", "low", "high")]
        for name in ("lenient", "strict")
        for when, row in (("before", before), ("after", after))
    }
    rises = all(before[name]["high"] < after[name]["low"] for name in ("lenient", "strict"))
    return {"ok": rises, "why": "" if rises else f"no clear gain: {figures}", **figures}
