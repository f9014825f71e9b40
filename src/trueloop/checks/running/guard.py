"""Does the guard measure what the configuration says: these problems, asked and judged so, of the weights of now?"""

from __future__ import annotations

import json
from collections.abc import Mapping

from trueloop.checks.base import Verdict, check, fail, listed, passed, unknown
from trueloop.checks.running.seen import Seen
from trueloop.records import Json


@check(
    "guard.as_promised",
    when="during",
    question="Does the guard measure what the configuration says, and the weights of now?",
    limit="task, split, data, prompts, template, grader, sampling and seed of the evaluation are those that the "
    "configuration gives; every answer comes from the weights of the step",
)
def as_promised(seen: Seen) -> Verdict:
    """The record of the latest evaluation against what was promised before the first step."""
    promised = seen.setup.guard
    if promised is None or not seen.evaluations:
        return unknown("no guard was promised")
    row = seen.evaluations[-1]
    other = {key: (row.get(key), value) for key, value in promised.items() if _plain(row.get(key)) != _plain(value)}
    version = seen.row["version"] if seen.rows else 0
    drawn = list(row.get("versions") or [])
    if drawn and set(drawn) != {version}:
        other["versions"] = (drawn, [version, version])
    if other:
        return fail(
            f"the guard's {_listed(other)}",
            "the evaluation that judges the run is another one: look at what the guard is given in the place of the "
            "task, and at what its engine loads",
            value=sorted(other),
        )
    return passed(f"{len(promised)} conditions as promised, answers of version {version}", value=[])


def _plain(value: Json) -> str:
    return json.dumps(value, sort_keys=True, default=list)


def _listed(other: Mapping[str, tuple[Json, Json]]) -> str:
    return listed(
        [f"{key} is {_plain(found)[:60]}, expected {_plain(value)[:60]}" for key, (found, value) in other.items()]
    )
