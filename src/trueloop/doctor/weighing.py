"""From the answers of checks to diagnoses: each cause's log-odds, with what each answer added to them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trueloop.checks.base import SEVERITY
from trueloop.doctor.causes import CAUSES, HEALTHY, NOTHING, PRIOR, UNCLEAR, Cause
from trueloop.records import CheckResult

NEEDED = ("outcome.trained", "transcripts.reward_varies", "outcome.loss_fell", "outcome.effect")
"""Where none of these could be answered, nothing is known that healthy could rest on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """An answer, and what it added to a cause's log-odds."""

    result: CheckResult
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A named cause.

    odds     for it, to 1
    reasons  for and against, the weightiest first
    """

    id: str
    says: str
    then: str
    odds: float
    reasons: tuple[Reason, ...] = ()
    cause: Cause | None = None

    @property
    def link(self) -> str:
        """Its section."""
        return f"docs/checks.md#{self.id}"


def diagnose(asked: Sequence[CheckResult], recorded: Sequence[CheckResult]) -> list[Diagnosis]:
    """Every cause that is likelier than not, the likeliest first; without one, `healthy`, `unclear` or too little.

    asked     the doctor's own answers
    recorded  those that the run wrote down
    """
    answers, kept = _gravest(asked), _gravest(recorded)
    found = [d for cause in CAUSES if (d := _weighed(cause, answers, kept)) is not None]
    found.sort(key=lambda d: -d.odds)
    explained = {r.result.id for d in found for r in d.reasons if r.weight > 0}
    open_questions = [
        r
        for r in [*answers.values(), *kept.values()]
        if r.id not in explained and (r.refuses or (r.status in ("fail", "warn") and r.id in answers))
    ]
    if found:
        return found
    if open_questions:
        return [_unclear(open_questions)]
    if not any(answers[id].status == "pass" for id in NEEDED if id in answers):
        return [
            Diagnosis(id=NOTHING, says="Too little is on record to say anything.", then="ask again later", odds=1.0)
        ]
    return [Diagnosis(id=HEALTHY, says="Nothing that was looked at is wrong.", then="", odds=math.exp(-PRIOR))]


def _gravest(results: Sequence[CheckResult]) -> Mapping[str, CheckResult]:
    """The gravest answer of each check, the latest of equals."""
    found: dict[str, CheckResult] = {}
    for result in results:
        known = found.get(result.id)
        if known is None or SEVERITY.index(result.status) >= SEVERITY.index(known.status):
            found[result.id] = result
    return found


def _weighed(cause: Cause, answers: Mapping[str, CheckResult], kept: Mapping[str, CheckResult]) -> Diagnosis | None:
    reasons = [
        Reason(result=answers[id], weight=_weight(w, answers[id])) for id, w in cause.signs.items() if id in answers
    ]
    for pattern, weights in cause.record.items():
        said = [r for id, r in kept.items() if re.fullmatch(rf"{pattern}.*", id) and r.status in ("fail", "warn")]
        if said:
            gravest = max(said, key=lambda r: SEVERITY.index(r.status))
            reasons.append(Reason(result=gravest, weight=_weight(weights, gravest)))
    score = PRIOR + sum(r.weight for r in reasons)
    if score <= 0:
        return None
    telling = sorted((r for r in reasons if r.weight), key=lambda r: -r.weight)
    return Diagnosis(
        id=cause.id, says=cause.says, then=cause.then, odds=math.exp(score), reasons=tuple(telling), cause=cause
    )


def _weight(weights: tuple[float, float, float], result: CheckResult) -> float:
    fail, warn, passed = weights
    return {"fail": fail, "warn": warn, "pass": passed, "unknown": 0.0}[result.status]


def _unclear(results: Sequence[CheckResult]) -> Diagnosis:
    """Something is wrong that no cause accounts for."""
    gravest = sorted(results, key=lambda r: -SEVERITY.index(r.status))
    return Diagnosis(
        id=UNCLEAR,
        says="Something is wrong, and no cause that is known here accounts for it.",
        then=gravest[0].advice or "read the evidence",
        odds=1.0,
        reasons=tuple(Reason(result=r, weight=0.0) for r in gravest),
    )
