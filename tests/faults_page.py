"""The tables of planted faults and of failures on record in docs/checks.md.  `python tests/faults_page.py` writes them.

What caught each fault, and when, is what the study `faults` found last (tests/study/run.py faults).
"""

import json
import re
from collections import defaultdict
from pathlib import Path

from checks_page import PAGE, cell
from trueloop.faults.battery import one_of_each
from trueloop.faults.catalogue import FAULTS
from trueloop.faults.outcome import SPOILED
from trueloop.faults.recorded import RECORDED

RESULTS = Path(__file__).parents[1] / ".study/faults"
BEGIN, END = "<!-- table of faults -->\n", "<!-- end of the table of faults -->"


def found(folder=RESULTS):
    """Fault -> (caught by, when), of every case of the study, the latest last."""
    paths = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
    cases = [json.loads(path.read_text()) for path in paths]
    return {fault: (by, when) for case in cases for fault, by, when in case.get("rows", [])}


def faults_table(results):
    """One row per fault, those of one mechanism together."""
    order = {fault.mechanism: k for k, fault in enumerate(one_of_each(list(FAULTS.values())))}
    lines = ["| fault | what was done | caught by | when |", "|---|---|---|---|"]
    for fault in sorted(FAULTS.values(), key=lambda f: order[f.mechanism]):
        by, when = results.get(fault.id, ("not tried", "-"))
        caught = f"`{by}`" if " " not in by and by != "-" else re.sub(r"/\S+", "...", cell(by))[:160]
        lines.append(f"| `{fault.id}` | {cell(fault.what)} | {caught} | {when} |")
    return "\n".join(lines) + "\n"


def recorded_table():
    """One row per failure on record, with the faults that stand for it, or why none does."""
    planted = defaultdict(list)
    for fault in [*FAULTS.values(), *SPOILED]:
        for number in fault.recorded:
            planted[number].append(fault.id)
    lines = ["| failure on record | what happened | planted as |", "|---|---|---|"]
    for record in RECORDED.values():
        faults = ", ".join(f"`{id}`" for id in dict.fromkeys(planted[record.id]))
        lines.append(f"| {record.id} | {cell(record.what)} | {faults or 'not planted: ' + cell(record.unplanted)} |")
    return "\n".join(lines) + "\n"


def summary(results):
    """The counts of the table."""
    tried = [results[id] for id in FAULTS if id in results]
    caught = [when for by, when in tried if by != "-"]
    early = sum(when == "before the first step" for when in caught)
    numbers = {number for fault in FAULTS.values() for number in fault.recorded}
    share = 100 / max(len(tried), 1)
    return (
        f"{len(tried)} faults in runs of the embedded worlds, {len(caught)} caught ({len(caught) * share:.1f} %), "
        f"{early} of them before the first optimizer step ({early * share:.1f} %).  They stand for "
        f"{len(numbers)} of {len(RECORDED)} failures on record.\n\n"
        "Most were written by the authors of the checks, and some checks were changed after a fault had got through:\n"
        "the table shows that each mechanism is watched, and is no estimate for other faults.  The study `faults`\n"
        "plants them all again.\n"
    )


def with_tables(page, results):
    """The page with both tables between its marks."""
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    parts = [summary(results), faults_table(results), "### Failures on record\n", recorded_table()]
    return page[:begin] + "\n".join(parts) + page[end:]


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(), found()))
