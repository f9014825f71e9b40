"""Whether steps changed the weights at all: a run without any signal must not pass for one that trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trueloop.records import Json

FIRST = 5
"""Steps after which a run that has changed nothing is warned of."""

ADVICE = (
    "look at the rollouts and their scores in the trace and at the reward; make the problems or the verdict milder "
    "(leniency, few-shot examples, a warm start), or draw more samples per problem (flow.samples)"
)


def unchanged_steps(rows: Sequence[Mapping[str, Json]]) -> list[Mapping[str, Json]]:
    """The rows of metrics.jsonl, one per step from the first, at which `version` did not advance."""
    before = [0, *(row["version"] for row in rows)]
    return [row for row, version in zip(rows, before, strict=False) if row["version"] == version]


def reason(unchanged: Sequence[Mapping[str, Json]]) -> str:
    """Why these steps changed nothing, as far as their rows tell."""
    flat = all(row.get("groups/flat") == 1.0 for row in unchanged)
    return "in all their groups all rewards agree" if flat else "their gradient was zero"
