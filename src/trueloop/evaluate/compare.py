"""Differences between evaluations of the same rows, and refusals to compare what is not alike."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from trueloop.errors import DataError
from trueloop.evaluate.record import Evaluation, EvaluationRow
from trueloop.formulas.stats import Difference, mcnemar, paired_differences, pass_at_k
from trueloop.records import Json

_PASS_AT = re.compile(r"pass@(?P<k>\d{1,6})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A candidate against the baseline, on the problems that both have scored.

    difference   candidate minus baseline, per problem; `adjusted_p` and the interval hold for all candidates at once
    better, worse, p_mcnemar
                 problems that only the candidate, or only the baseline, is right at, and McNemar's exact p-value; None
                 where there are several samples a problem or the figure is no yes or no
    left_out     problems that one of the two has not scored
    """

    name: str
    baseline: float
    candidate: float
    difference: Difference
    better: int | None
    worse: int | None
    p_mcnemar: float | None
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Candidates against one baseline in one figure.

    allowed   condition -> its values, of those that differ by permission
    carried   name -> the checks that the run behind it was allowed to fail, with the reasons; only those that have any
    """

    figure: str
    baseline: str
    candidates: tuple[Compared, ...]
    allowed: Mapping[str, tuple[Json, ...]]
    carried: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def compare(
    evaluations: Sequence[Evaluation],
    names: Sequence[str],
    *,
    figure: str | None = None,
    allow: Sequence[str] = (),
    seed: int = 0,
) -> Comparison:
    """Hold every evaluation but the first against the first.

    names    of the directories; the same one twice is refused
    figure   a key of `Score.parts`, "pass@K" (of the problems whose samples were all scored), or None for what passed
    allow    conditions that may differ

    All conditions must be alike but the seed: task, split, data, grader, template, prompts, those that were too long to
    be asked, shots, samples, sampling.
    Choosing the best of several candidates is corrected for (`formulas.stats.paired_differences`: max-T).  Problems
    that any of the evaluations has not scored are left out of all.  Raises `DataError` naming every key that differs
    with its values, and for a figure that was not computed.
    """
    if len(evaluations) < 2:
        raise DataError(f"compare: expected at least two evaluations, got {len(evaluations)}")
    _require_different(names)
    allowed = require_alike(evaluations, names, allow)
    values = [_by_problem(evaluation, figure) for evaluation in evaluations]
    common = sorted(set.intersection(*(set(v) for v in values)))
    if not common:
        raise DataError(f"compare: no problem has the figure {figure or 'passed'!r} in all of {', '.join(names)}")
    asked = len({row.problem_id for e in evaluations for row in e.rows})
    base, *others = [[v[i] for i in common] for v in values]
    differences = paired_differences([[c - b for c, b in zip(o, base, strict=True)] for o in others], seed=seed)
    return Comparison(
        figure=figure or "passed",
        baseline=names[0],
        candidates=tuple(
            _compared(name, base, other, difference, asked - len(common))
            for name, other, difference in zip(names[1:], others, differences, strict=True)
        ),
        allowed=allowed,
        carried={
            name: checks
            for name, e in zip(names, evaluations, strict=True)
            if (checks := e.model.get("checks_allowed"))
        },
    )


def require_alike(
    evaluations: Sequence[Evaluation],
    names: Sequence[str],
    allow: Sequence[str] = (),
    keys: Sequence[str] | None = None,
) -> dict[str, tuple[Json, ...]]:
    """Refuse evaluations under different conditions; what differs and is allowed.

    keys   of `Evaluation.conditions` that must be alike; None: all
    """
    conditions = [e.conditions() for e in evaluations]
    known = list(conditions[0]) if keys is None else list(keys)
    unknown = [key for key in allow if key not in known]
    if unknown:
        raise DataError(f"{unknown[0]!r} is no condition that could differ; there are {', '.join(known)}")
    differing = {
        key: tuple(c[key] for c in conditions) for key in known if any(c[key] != conditions[0][key] for c in conditions)
    }
    refused = {key: values for key, values in differing.items() if key not in allow}
    if refused:
        lines = [
            f"  {key}: " + ", ".join(f"{value!r} ({name})" for value, name in zip(values, names, strict=True))
            for key, values in refused.items()
        ]
        lines += _why_graders_differ(evaluations, names) if "grader" in refused else []
        raise DataError(
            "these evaluations are not alike, so a difference would not be the models':\n"
            + "\n".join(lines)
            + "\nEvaluate again under the same conditions, or allow a key to differ by name"
        )
    return differing


def _require_different(names: Sequence[str]) -> None:
    places: dict[Path, str] = {}
    for name in names:
        place = Path(name).resolve()
        if place in places:
            raise DataError(
                f"compare: {places[place]} and {name} are the same evaluation, which has no difference from itself; "
                "expected evaluations of different models, checkpoints or seeds"
            )
        places[place] = name


def _why_graders_differ(evaluations: Sequence[Evaluation], names: Sequence[str]) -> list[str]:
    """What verdicts depend on that is not alike; that it is code or settings, where nothing of that kind differs."""
    known = list(dict.fromkeys(key for e in evaluations for key in e.depends))
    lines = []
    for key in known:
        values = [e.depends.get(key) for e in evaluations]
        if len(set(values)) > 1:
            listed = ", ".join(f"{value!r} ({name})" for value, name in zip(values, names, strict=True))
            lines.append(f"    its {key}: {listed}")
    return lines or ["    it depends on the same things in all, so its version or its settings differ"]


def _by_problem(evaluation: Evaluation, figure: str | None) -> dict[str, float]:
    """Problem id -> its mean over the scored samples, or its pass@k where all samples were scored."""
    at_k = _PASS_AT.fullmatch(figure or "")
    values: dict[str, list[float]] = defaultdict(list)
    for row in evaluation.rows:
        value = _value(row, None if at_k else figure)
        if value is not None:
            values[row.problem_id].append(value)
    if at_k is None:
        return {i: fmean(v) for i, v in values.items()}
    k, n = int(at_k["k"]), evaluation.samples
    if not 1 <= k <= n:
        raise DataError(f"compare: {figure} of evaluations with {n} samples a problem; expected pass@1 to pass@{n}")
    return {i: pass_at_k(n, round(sum(v)), k) for i, v in values.items() if len(v) == n}


def _value(row: EvaluationRow, figure: str | None) -> float | None:
    if row.score is None or row.score.status != "scored":
        return None
    if figure is not None:
        return row.score.parts.get(figure)
    return None if row.score.passed is None else float(row.score.passed)


def _compared(
    name: str, base: Sequence[float], other: Sequence[float], difference: Difference, left_out: int
) -> Compared:
    binary = {*base, *other} <= {0.0, 1.0}
    better = sum(c > b for c, b in zip(other, base, strict=True))
    worse = sum(c < b for c, b in zip(other, base, strict=True))
    return Compared(
        name=name,
        baseline=fmean(base),
        candidate=fmean(other),
        difference=difference,
        better=better if binary else None,
        worse=worse if binary else None,
        p_mcnemar=mcnemar(better, worse) if binary else None,
        left_out=left_out,
    )
