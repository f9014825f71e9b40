"""Commands that check: check, checks, faults."""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueloop.cli.runs import add_allowances, add_config, add_overrides, add_seed, resolved_of
from trueloop.errors import ConfigError

if TYPE_CHECKING:
    from types import ModuleType

    from trueloop.config import Resolved
    from trueloop.preflight.gate import Gate
    from trueloop.records import CheckResult

MARKS = {"pass": "pass", "warn": "WARN", "fail": "FAIL", "unknown": "?"}


def add(commands: Any) -> None:
    """Register the commands with the subparsers `commands`."""
    check = commands.add_parser("check", help="check a run before it begins; exit 1 if it could not mean anything")
    add_config(check)
    add_overrides(check)
    add_seed(check)
    add_allowances(check)
    check.add_argument("--json", action="store_true", help="print the results as JSON")
    check.add_argument(
        "--plant",
        metavar="FAULT",
        nargs="*",
        help="plant faults (all that fit, or those named by id or mechanism) and show what catches them",
    )
    check.add_argument(
        "--overfit",
        metavar="STEPS",
        nargs="?",
        type=int,
        const=100,
        help="then run the recipe on ten problems for so many steps (100) and ask whether it learns them",
    )
    check.set_defaults(command=_check)

    faults = commands.add_parser("faults", help="list the faults that can be planted, and what catches each")
    faults.set_defaults(command=_faults)

    checks = commands.add_parser("checks", help="list every check with its question and limit")
    checks.set_defaults(command=_checks)


def open_gate(arguments: argparse.Namespace) -> Gate:
    """The gate of a run: it says what is not right, and lets through what was allowed."""
    from trueloop.preflight.gate import Gate

    return Gate(allow=allowances(arguments), show=_show_trouble, say=_say)


def allowances(arguments: argparse.Namespace) -> dict[str, str]:
    """Check id -> why it is allowed, of --allow and --because."""
    ids, reasons = arguments.allow, arguments.because
    if len(ids) != len(reasons):
        raise ConfigError(
            f"{len(ids)} --allow and {len(reasons)} --because; give one --because TEXT with each --allow ID"
        )
    return dict(zip(ids, reasons, strict=True))


def _check(arguments: argparse.Namespace) -> int:
    from trueloop.config import run_name
    from trueloop.preflight.gate import Gate, counted

    recipe, resolved = resolved_of(arguments)
    if arguments.plant is not None:
        from trueloop.cli.planting import plant

        return plant(arguments, recipe, resolved)
    shown: dict[str, Any] = {} if arguments.json else {"show": _show, "say": print}
    place = Path("runs") / run_name(arguments.config)
    gate = Gate(allow=allowances(arguments), only=True, place=place, **shown)
    try:
        _ask(recipe, resolved, gate, arguments)
    finally:
        print(json_text([asdict(r) for r in gate.results]) if arguments.json else counted(gate.results))
    return 1 if gate.refusals() else 0


def _ask(recipe: ModuleType, resolved: Resolved[Any], gate: Gate, arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recipe.run(resolved.config, resolved, Path(folder) / "run", False, gate)
    if arguments.overfit is not None:
        from trueloop.preflight.overfit import overfit

        gate.take(overfit(resolved.recipe or "", recipe.run, resolved.config, arguments.overfit))


def _checks(arguments: argparse.Namespace) -> int:
    from trueloop.checks.catalogue import CATALOGUE

    for check in CATALOGUE.values():
        print(f"{check.id} ({check.when})\n  {check.question}\n  limit: {check.limit}")
    return 0


def _faults(arguments: argparse.Namespace) -> int:
    from trueloop.faults.catalogue import FAULTS

    for fault in FAULTS.values():
        print(f"{fault.id} ({fault.mechanism}; run: {fault.bed})\n  {fault.what}\n  {', '.join(fault.caught_by)}")
    return 0


def json_text(value: Any) -> str:
    """JSON that every reader takes: a number that is not finite is its name."""
    return json.dumps(_finite(value), ensure_ascii=False, indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _show(result: CheckResult) -> None:
    """One result as it comes: what was found, and what to do where that is needed."""
    allowed = f" (allowed: {result.allowed})" if result.allowed else ""
    print(f"{MARKS[result.status]:<5} {result.id:<36} {result.evidence}{allowed}", flush=True)
    if result.advice and result.status != "pass":
        print(f"{'':<42} -> {result.advice}", flush=True)


def _show_trouble(result: CheckResult) -> None:
    """One result of a run that is about to begin, if it is not healthy."""
    if result.status in ("warn", "fail"):
        text = f"{MARKS[result.status]} {result.id}: {result.evidence}"
        print(f"{text} (allowed: {result.allowed})" if result.allowed else text, file=sys.stderr, flush=True)
