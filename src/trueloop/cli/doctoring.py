"""The doctor's command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trueloop.cli.checking import json_text


def add(commands: Any) -> None:
    """Register the command with the subparsers `commands`."""
    doctor = commands.add_parser(
        "doctor", help="say what is most likely wrong with a run, or with another trainer's transcripts"
    )
    doctor.add_argument(
        "record", type=Path, metavar="RUN_OR_JSONL", help="a run directory, or JSON lines of prompt, completion, reward"
    )
    doctor.add_argument(
        "--beside", type=Path, action="append", default=[], metavar="RUN", help="a run that it is to be compared with"
    )
    doctor.add_argument(
        "--varies",
        action="append",
        default=[],
        metavar="KEY",
        help="the key in which they are meant to differ",
    )
    doctor.add_argument("--json", action="store_true", help="print the diagnoses as JSON")
    doctor.set_defaults(command=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    """0 where it is healthy, or has the diagnosis that it declares; 1 otherwise."""
    from trueloop.checks.outcome.ending import as_expected
    from trueloop.doctor import as_json, examine, words
    from trueloop.errors import ConfigError

    if arguments.varies and not arguments.beside:
        raise ConfigError("--varies names what differs between runs, and there is one run: add --beside RUN")
    report = examine(arguments.record, arguments.beside, arguments.varies)
    if arguments.json:
        print(json_text(as_json(report)))
    else:
        print(words(report))
    if report.expected is None:
        return 0 if report.healthy else 1
    verdict = as_expected([d.id for d in report.diagnoses], report.expected)
    if not arguments.json:
        print(f"{verdict.status}: {verdict.evidence}")
    return 0 if verdict.status == "pass" else 1
