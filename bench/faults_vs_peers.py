"""The same mistakes made in TRL's trainers and in trueloop: who says so, and when.

    python bench/faults_vs_peers.py [--folder .study/peers] [--only CASE ...] [--table PAGE]

TRL gets an environment of its own in the folder (trl/, made the first time), since its requirements are not ours.  Both
train the same small model, the arithmetic world's after its warm start, on the same problems and pairs: three optimizer
steps of GRPOTrainer or DPOTrainer, each case in a process of its own (peer/trl_faults.py, peer/trl_grpo.py,
peer/trl_dpo.py); trueloop plants the fault of the same meaning (`faults.catalogue`) and runs its checks.

TRL has caught a fault if it raises, or says something on stderr that the healthy run does not say, and that message is
about the fault: it matches the case's pattern, and stands in the table.  What it logs at every step is not a message.

Results are kept under the folder by the fingerprint of what made them, so that a second run only does what is missing.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from peer.trl_pairing import OURS

from trueloop.faults import base, beds, pairs_bed
from trueloop.faults.catalogue import FAULTS
from trueloop.records import content_hash
from trueloop.tasks.worlds.arithmetic import Arithmetic

HERE = Path(__file__).parent
PEER = HERE / "peer"
PACKAGES = (
    *("torch==2.13.0", "transformers==5.23.0", "trl==1.16.0"),
    *("peft==0.21.2", "accelerate==1.15.0", "datasets==5.2.0"),
)
BEGIN, END = "<!-- table of peers -->", "<!-- end of the table of peers -->"
BATCH = 8
"""Cases of one process that imports TRL once and forks each."""


def environment(folder: Path) -> Path:
    """The Python of an environment with TRL, made if it is not there."""
    python = folder / "trl/bin/python"
    if not python.exists():
        print("making an environment for TRL", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder / "trl")], check=True)
    wanted = dict(p.split("==") for p in PACKAGES)
    code = "import importlib.metadata as m, sys; print(*[m.version(n).split('+')[0] for n in sys.argv[1:]])"
    done = subprocess.run([str(python), "-c", code, *wanted], capture_output=True, text=True)
    if done.stdout.split() != list(wanted.values()):
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def world(folder: Path) -> Path:
    """model/ and rows.json, which both sides train on."""
    place = folder / "world"
    model = beds.warm_model(folder / "warm")
    shutil.copytree(model, place / "model", dirs_exist_ok=True)
    task = Arithmetic().build()
    rows = {
        "prompts": [{"prompt": p.prompt, "gold": p.target} for p in task.first("train", 64)],
        "held_out": [{"prompt": p.prompt, "gold": p.target} for p in task.first("validation", 16)],
        "pairs": _pairs(pairs_bed.read(task, "train", 96)),
        "held_out_pairs": _pairs(pairs_bed.read(task, "validation", 16)),
    }
    (place / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    return place


def _pairs(pairs: Sequence[Any]) -> list[dict[str, str]]:
    return [{"prompt": p.problem.prompt, "chosen": p.chosen, "rejected": p.rejected} for p in pairs]


# -- TRL


def peers(python: Path, folder: Path, only: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Case -> what became of it in TRL; those that are missing are run."""
    place, out = world(folder), folder / "trl_results"
    out.mkdir(exist_ok=True)
    listed = subprocess.run([str(python), PEER / "trl_faults.py", place, out], capture_output=True, text=True)
    names = [n for n in listed.stdout.split() if not only or n in only or n.endswith("healthy")]
    marks = {name: _mark(place, name) for name in names}
    missing = [name for name in names if _kept(out / f"{name}.json", marks[name]) is None]
    print(f"TRL: {len(names)} cases, {len(missing)} to run", flush=True)
    for at in range(0, len(missing), BATCH):
        some = missing[at : at + BATCH]
        subprocess.run([str(python), PEER / "trl_faults.py", place, out, *some], check=True)
        for name in some:
            found = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
            _write(out / f"{name}.json", found | {"mark": marks[name]})
    return {name: json.loads((out / f"{name}.json").read_text(encoding="utf-8")) for name in names}


def _mark(place: Path, name: str) -> str:
    """The fingerprint of a case: what runs it, what it is, and what it is run on."""
    own = "trl_dpo.py" if name.startswith("pairs_") else "trl_grpo.py"
    texts = [ast.dump(ast.parse((PEER / file).read_text(encoding="utf-8"))) for file in ("trl_faults.py", own)]
    return content_hash(*texts, (place / "rows.json").read_text(encoding="utf-8"), *PACKAGES)


def _kept(path: Path, mark: str) -> dict[str, Any] | None:
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found if found.get("mark") == mark else None


def _write(path: Path, value: Mapping[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1), encoding="utf-8")
    partial.replace(path)


@dataclass(frozen=True)
class Said:
    """TRL's answer: raised, warned, silent, timed out; the message that is about the fault, or None."""

    how: str
    message: str | None
    moved: str

    @property
    def caught(self) -> bool:
        """Whether someone was told of the fault."""
        return self.message is not None


def judged(found: Mapping[str, Any], healthy: Mapping[str, Any]) -> Said:
    """What TRL said of a case that it does not say of the healthy run."""
    usual = {_plain(line) for line in healthy["said"].splitlines()}
    lines = [line for line in found["said"].splitlines() if _is_message(line) and _plain(line) not in usual]
    about = re.compile(found["about"], re.IGNORECASE)
    warned = next((line for line in lines if about.search(line)), None)
    error = found.get("error")
    if error or not found["ending"].startswith("exit 0"):
        message = error if error and about.search(error) else warned
        how = "raised" if error else found["ending"]
        return (
            Said(how, _short(message) if message else None, "-")
            if message
            else Said(f"{how}, not about it: {_short(error or found['ending'])}", None, "-")
        )
    moved = "no" if not found["moved"] else "yes" if found["finite"] else "yes, to NaN"
    return Said("warned" if warned else "silent", _short(warned) if warned else None, moved)


def _is_message(line: str) -> bool:
    """Progress bars are none."""
    return bool(line.strip()) and re.search(r"it/s|examples/s|\d+%\|", line) is None


def _plain(line: str) -> str:
    return re.sub(r"[\d.:/-]+", "#", line).strip()


def _short(text: str) -> str:
    return re.sub(r"\S*/site-packages/", "", " ".join(text.split()))[:160].replace("|", "/")


# -- trueloop


def ours(folder: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Fault id -> what caught it; those that are missing, or whose source changed, are planted."""
    out = folder / "trueloop_results"
    out.mkdir(exist_ok=True)
    mark = _source()
    made = beds.beds(beds.warm_model(folder / "warm"))
    wanted = list(dict.fromkeys(id for name in names if (id := OURS.get(name)) in FAULTS))
    missing = [id for id in wanted if _kept(out / f"{id}.json", mark) is None]
    print(f"trueloop: {len(wanted)} faults, {len(missing)} to plant", flush=True)
    sound: dict[tuple[str, int], dict[str, str]] = {}
    for id in missing:
        fault = FAULTS[id]
        at = (fault.bed, fault.steps)
        if at not in sound:
            sound[at] = {k: r.status for k, r in base.healthy(made[fault.bed], fault.steps).items()}
            loud = {k: s for k, s in sound[at].items() if s in ("warn", "fail")}
            _write(out / f"healthy-{fault.bed}-{fault.steps}.json", {"mark": mark, "loud": loud})
        planted = base.plant(fault, made[fault.bed], sound[at])
        evidence = next((r.evidence for r in planted.results if r.id == planted.by), planted.by)
        row = {"how": planted.how, "by": planted.by, "step": planted.step, "seconds": planted.seconds}
        _write(out / f"{id}.json", {"mark": mark, "evidence": evidence, "others": planted.others, **row})
        print(f"{id}: {planted.how} {planted.by.splitlines()[0] if planted.by else ''}", flush=True)
    return {id: json.loads((out / f"{id}.json").read_text(encoding="utf-8")) for id in wanted}


def _source() -> str:
    files = sorted((HERE.parent / "src").rglob("*.py"))
    return content_hash([(f.name, f.read_text(encoding="utf-8")) for f in files])


# -- the table


def table(said: Mapping[str, Said], mine: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One row a case: TRL's answer, whether weights moved, trueloop's answer, and when."""
    rows = ["| planted fault | TRL 1.16.0 | weights moved | trueloop | when |", "|---|---|---|---|---|"]
    for name, answer in said.items():
        if name.endswith("healthy"):
            continue
        shown = f"{answer.how}: {answer.message}" if answer.message else answer.how
        rows.append(f"| {name.replace('_', ' ')} | {shown} | {answer.moved} | {_own(name, mine)} |")
    return rows


def _own(name: str, mine: Mapping[str, Mapping[str, Any]]) -> str:
    """Two cells."""
    found = mine.get(OURS.get(name, ""))
    if found is None:
        return f"{CANNOT.get(name, 'not planted')} | -"
    when = "before the first step" if found["step"] == 0 else f"step {found['step']}"
    words = {"check": f"`{found['by']}`", "error": f"refused: {_short(found['by'])}", "missed": "**missed**"}
    return f"{words[found['how']]} | {'-' if found['how'] == 'missed' else when}"


CANNOT = {
    "half_the_rows_twice": "cannot be made: a row that comes again is left out and counted",
    "adapter_directory_as_the_base": "cannot be made: such a directory is merged into its base, which is noted",
}
"""Cases of which trueloop has no such mistake, and why; they count neither as planted nor as caught."""


def totals(said: Mapping[str, Said], mine: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """How many were caught, by trainer."""
    lines = []
    for title, pick in (("GRPOTrainer", False), ("DPOTrainer", True)):
        names = [n for n in said if n.startswith("pairs_") == pick and not n.endswith("healthy")]
        planted = [n for n in names if OURS.get(n) in mine]
        caught = [n for n in planted if mine[OURS[n]]["how"] != "missed"]
        early = [n for n in caught if mine[OURS[n]]["step"] == 0]
        raised = sum(said[n].caught and said[n].how == "raised" for n in names)
        warned = sum(said[n].caught and said[n].how != "raised" for n in names)
        quiet = sum(not said[n].caught for n in names)
        lines.append(
            f"{title}: {len(names)} faults; TRL raised {raised}, warned {warned}, said nothing about {quiet}.  "
            f"trueloop: {len(planted)} planted, {len(caught)} caught, {len(early)} of them before the first step."
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=HERE.parent / ".study/peers", help="where everything is kept")
    parser.add_argument("--only", nargs="*", default=[], help="these cases alone")
    parser.add_argument("--table", type=Path, help=f"a page that gets the table between {BEGIN} and {END}")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    found = peers(environment(folder), folder, arguments.only)
    healthy = {kind: found[name] for kind, name in (("grpo", "healthy"), ("dpo", "pairs_healthy"))}
    for kind, one in healthy.items():
        assert one["ending"] == "exit 0" and one["moved"] and one["finite"], f"TRL's healthy {kind} run: {one}"
    said = {name: judged(one, healthy[one["trainer"]]) for name, one in found.items()}
    mine = ours(folder, list(said))
    lines = [*totals(said, mine), "", *table(said, mine)]
    print("\n".join(lines))
    rows = {n: {"trl": vars(s), "trueloop": mine.get(OURS.get(n, "")), "fault": OURS.get(n)} for n, s in said.items()}
    _write(folder / "faults_vs_peers.json", {"cases": rows, "packages": PACKAGES})
    if arguments.table is not None:
        page = arguments.table.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        assert END in rest, f"{arguments.table}: no {BEGIN} ... {END}"
        text = "\n".join([before + BEGIN, "", *lines, "", END + rest.partition(END)[2]])
        arguments.table.write_text(text, encoding="utf-8")
    print(f"\n{time.perf_counter() - start:.0f} s; {folder / 'faults_vs_peers.json'}")


if __name__ == "__main__":
    main()
