"""The doctor: reads any run directory, or transcripts of another trainer, and says what is most likely wrong."""

from __future__ import annotations

from pathlib import Path

from trueloop.checks.outcome.ending import as_expected
from trueloop.doctor.report import Report, as_json, examine, words
from trueloop.records import CheckResult

__all__ = ["Report", "as_json", "examine", "expects", "words"]


def expects(run: Path, diagnosis_id: str) -> CheckResult:
    """Whether a run that is unhealthy on purpose gets the diagnosis that it declares; healthy is a fail like others."""
    return as_expected([d.id for d in examine(run).diagnoses], diagnosis_id)
