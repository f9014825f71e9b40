"""The fault battery: every fault planted into its healthy run is caught by a check of its mechanism.

A case is all faults of one mechanism in one bed, so that the bed without a fault is run once for all of them.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

NAME = "faults"
COVERS = ("src/trueloop/**/*.py", "src/trueloop/presets/**/*.toml")
ROOT = Path(__file__).parents[3]


def cases() -> list[dict[str, Any]]:
    """Bed and mechanism of every fault."""
    from trueloop.faults.catalogue import FAULTS

    pairs = dict.fromkeys((fault.bed, fault.mechanism) for fault in FAULTS.values())
    return [{"bed": bed, "mechanism": mechanism} for bed, mechanism in pairs]


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Plant them one by one; each must be caught, at the time that it says, and the bed itself must be sound."""
    import torch

    from trueloop.faults.base import healthy, plant
    from trueloop.faults.battery import row
    from trueloop.faults.beds import beds
    from trueloop.faults.catalogue import FAULTS

    torch.set_num_threads(1)
    bed = beds(_model())[case["bed"]]
    faults = [f for f in FAULTS.values() if (f.bed, f.mechanism) == (case["bed"], case["mechanism"])]
    sound = healthy(bed, max(f.steps for f in faults))
    failed = [id for id, result in sound.items() if result.status == "fail"]
    found = [plant(f, bed, {id: r.status for id, r in sound.items()}) for f in faults]
    missed = [p.fault.id for p in found if p.how == "missed"]
    late = [p.fault.id for p in found if p.fault.when == "before" and p.step > 0]
    why = "; ".join(
        words
        for words, names in (("fails without a fault", failed), ("missed", missed), ("caught late", late))
        if names
        for words in [f"{words}: {', '.join(names)}"]
    )
    return {
        "ok": not why,
        "why": why,
        "rows": [[*row(p)[:3], p.fault.mechanism, p.fault.what, *p.fault.recorded] for p in found],
        "missed": missed,
        "planted": len(found),
        "early": sum(p.how != "missed" and p.step == 0 for p in found),
    }


def _model() -> Path:
    """The beds' policy, trained once for all cases."""
    from trueloop.faults.beds import warm_model

    folder = ROOT / ".study" / "beds"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return warm_model(folder)
