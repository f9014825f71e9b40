"""The fault battery: every fault planted into its healthy run is caught by a check of its mechanism.

A case is some faults of one bed, so that the bed without a fault is run once for all of them.
"""

from __future__ import annotations

import fcntl
from collections import Counter
from pathlib import Path
from typing import Any

NAME = "faults"
COVERS = ("src/trueloop/**/*.py", "src/trueloop/presets/**/*.toml")
ROOT = Path(__file__).parents[3]
AT_ONCE = {"before": 10, "during": 5, "after": 10}
"""Faults of a case, by when they are caught."""


def cases() -> list[dict[str, Any]]:
    """Ten faults of a bed that are caught before the first step, or five that are caught later."""
    return [{"bed": bed, "when": when, "part": part} for bed, when, part in _parts()]


def _parts() -> dict[tuple[str, str, int], list[Any]]:
    from trueloop.faults.catalogue import FAULTS

    parts: dict[tuple[str, str, int], list[Any]] = {}
    counts = Counter[tuple[str, str]]()
    for fault in FAULTS.values():
        key = (fault.bed, fault.when)
        parts.setdefault((*key, counts[key] // AT_ONCE[fault.when]), []).append(fault)
        counts[key] += 1
    return parts


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Plant them one by one; each must be caught, at the time that it says, and the bed itself must be sound."""
    import torch

    from trueloop.faults.base import healthy, plant
    from trueloop.faults.battery import row
    from trueloop.faults.beds import beds

    torch.set_num_threads(1)
    bed = beds(_model())[case["bed"]]
    faults = _parts()[case["bed"], case["when"], case["part"]]
    sound = healthy(bed, max(f.steps for f in faults))
    failed = [id for id, result in sound.items() if result.status == "fail"]
    found = []
    for fault in faults:
        found.append(plant(fault, bed, {id: r.status for id, r in sound.items()}))
        print(*row(found[-1]), found[-1].others, flush=True)
    missed = [p.fault.id for p in found if p.how == "missed"]
    late = [p.fault.id for p in found if p.fault.when == "before" and p.step > 0]
    why = "; ".join(
        f"{words}: {', '.join(names)}"
        for words, names in (("fails without a fault", failed), ("missed", missed), ("caught late", late))
        if names
    )
    return {
        "ok": not why,
        "why": why,
        "rows": [[p.fault.id, *row(p)[1:3]] for p in found],
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
