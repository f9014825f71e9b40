"""`trueloop check CONFIG --plant`: faults planted into the user's own run, and the table of what catches them."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any


def plant(arguments: argparse.Namespace, recipe: ModuleType, resolved: Any) -> int:
    """Plant the faults that fit, one by one; exit 1 if one was missed."""
    from trueloop.faults.battery import battery, row, summary
    from trueloop.faults.catalogue import FAULTS
    from trueloop.faults.own import choose, own_bed, require_known

    require_known(list(FAULTS.values()), arguments.plant)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        bed = own_bed(recipe, resolved, Path(folder))
        faults, left_out = choose(list(FAULTS.values()), bed, arguments.plant)
        for planted in battery(faults, {bed.name: bed}, said=lambda words: print(f"... {words}", file=sys.stderr)):
            found.append(planted)
            if not arguments.json:
                id, by, when, seconds = row(planted)
                print(f"{id:<44} {by:<44} {when:<24} {seconds:>6} s", flush=True)
    if arguments.json:
        rows = [dict(zip(("fault", "caught_by", "when", "seconds"), row(p), strict=True)) for p in found]
        print(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        print(summary(found))
        print(*(f"left out: {words}" for words in left_out), sep="\n")
    return 1 if any(p.how == "missed" for p in found) else 0
