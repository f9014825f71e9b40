"""The command replay: a recorded step, taken again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trueloop.recipes.replay import Replay, Row, Taken

WIDEST = 400


def add(commands: Any) -> None:
    """Register the command with the subparsers `commands`."""
    parser = commands.add_parser(
        "replay", help="repeat a step of a run, or the one that ended it, bit by bit; exit 1 if it is not the same"
    )
    parser.add_argument("place", metavar="RUN", type=Path, help="a run directory, or a bundle in its failures/")
    parser.add_argument("--at", type=int, metavar="STEP", help="the step (the last recorded one, or the bundle's)")
    parser.add_argument("--rows", type=int, metavar="N", default=3, help="rows that are shown (3)")
    parser.add_argument(
        "--drop", metavar="ROW", action="append", default=[], help="take the step once more without this row"
    )
    parser.set_defaults(command=_replay)


def _replay(arguments: argparse.Namespace) -> int:
    from trueloop.recipes.replay import replay

    found = replay(arguments.place, at=arguments.at, drop=arguments.drop)
    print("\n".join(_words(found, arguments.rows, arguments.drop)))
    return 1 if found.differences else 0


def _words(found: Replay, rows: int, drop: list[str]) -> list[str]:
    since = f"step {found.began}" if found.began else "the start"
    lines = [f"step {found.step}, repeated from {since}: {_summary(found.taken)}"]
    if found.why:
        lines.append(f"what ended it in the run: {found.why}")
    if found.recorded is None:
        lines.append("the run was killed before it wrote this step down, so there is nothing to compare it with")
    elif found.differences:
        lines += [f"NOT the same in {len(found.differences)} places:", *(f"  {d}" for d in found.differences[:12])]
    else:
        what = "error" if found.taken.error is not None else "loss, gradient norm, metrics and weights"
        lines.append(f"the same as in the run, bit by bit: {what}")
    whole = sum((r.brought.norm or 0.0) for r in found.rows)
    lines.append(f"rows with the largest gradients, of {len(found.rows)} that were run:")
    for row in found.rows[:rows]:
        lines += _row(row, whole)
    if found.without is not None:
        lines.append(f"without {', '.join(drop)}: {_summary(found.without)}")
    return lines


def _summary(taken: Taken) -> str:
    if taken.row is None:
        return f"error: {taken.error}"
    return f"loss {taken.row['loss']:.6g}, gradient norm {taken.row['grad_norm']:.6g}, weights {taken.weights}"


def _row(row: Row, whole: float) -> list[str]:
    brought = row.brought
    if brought.norm is None:
        said = brought.why
    else:
        share = brought.norm / whole if whole else 0.0
        said = f"gradient norm {brought.norm:.3g} ({share:.0%} of the sum over rows), loss {brought.loss:.3g}"
    texts = [text if len(text) <= WIDEST else f"{text[: WIDEST // 2]} ... {text[-WIDEST // 2 :]}" for text in row.texts]
    return [f"  {brought.stream}/{brought.id}: {said}", *(f"    {text!r}" for text in texts)]
