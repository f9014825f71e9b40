"""What crosses a stage boundary: frozen, keyword-only records.  No torch, no I/O.

*problem* (a task's row) -> *completion* (what an engine returned) -> *rollout* (problem + completion + score)
-> *group* (rollouts of one problem) -> *sample* (a trainable row).  "Not computed" is `None`, never 0.
"""

from trueloop.records.problems import Json, Message, Problem, Prompt, content_hash, derive_seed
from trueloop.records.reports import CheckResult, Metric, RunInfo, StepReport
from trueloop.records.rollouts import (
    Completion,
    Finish,
    Group,
    Probe,
    Request,
    Rollout,
    Sampling,
    Score,
    Status,
    to_rollout,
)
from trueloop.records.samples import Pair, Sample, SamplePair, Teacher

__all__ = [
    "CheckResult",
    "Completion",
    "Finish",
    "Group",
    "Json",
    "Message",
    "Metric",
    "Pair",
    "Probe",
    "Problem",
    "Prompt",
    "Request",
    "Rollout",
    "RunInfo",
    "Sample",
    "SamplePair",
    "Sampling",
    "Score",
    "Status",
    "StepReport",
    "Teacher",
    "content_hash",
    "derive_seed",
    "to_rollout",
]
