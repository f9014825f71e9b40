"""What a check is: a small function from measurements to a verdict, under an id that reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Literal, ParamSpec

from trueloop.records import CheckResult, Json

P = ParamSpec("P")
Status = Literal["pass", "warn", "fail", "unknown"]
When = Literal["before", "during", "after"]

SEVERITY: tuple[Status, ...] = ("pass", "unknown", "warn", "fail")
"""From the best to the worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What is known of a check before it is asked.

    id        theme.what_is_wrong_when_it_fails: `sampling.cut_at_limit`
    when      before a run, during it, or after it
    question  what it asks, in one sentence; the answer of a healthy run is yes
    limit     the limit, and where it comes from
    """

    id: str
    when: When
    question: str
    limit: str

    @property
    def theme(self) -> str:
        """The part of the id before the dot."""
        return self.id.split(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A check's answer before it has the check's name; see `CheckResult` for the fields."""

    status: Status
    value: Json
    limit: Json
    evidence: str
    advice: str


CHECKS: dict[str, Check] = {}
"""Every check whose module was imported; `catalogue.CATALOGUE` imports them all."""


def check(
    id: str, *, when: When, question: str, limit: str
) -> Callable[[Callable[P, Verdict]], Callable[P, CheckResult]]:
    """Make a function from measurements to a `Verdict` the check of this id.

    @check("sampling.cut_at_limit", when="before", question="Do completions end by themselves?", limit="...")
    def cut_at_limit(finishes: Sequence[Finish], max_tokens: int) -> Verdict: ...
    """

    def named(function: Callable[P, Verdict]) -> Callable[P, CheckResult]:
        if id in CHECKS:
            raise ValueError(f"two checks have the id {id!r}")
        CHECKS[id] = Check(id=id, when=when, question=question, limit=limit)

        @wraps(function)
        def answered(*args: P.args, **kwargs: P.kwargs) -> CheckResult:
            said = function(*args, **kwargs)
            return CheckResult(
                id=id,
                status=said.status,
                value=said.value,
                limit=said.limit,
                evidence=said.evidence,
                advice=said.advice,
            )

        return answered

    return named


def passed(evidence: str, *, value: Json = None, limit: Json = None) -> Verdict:
    """The healthy answer."""
    return Verdict(status="pass", value=value, limit=limit, evidence=evidence, advice="")


def warn(evidence: str, advice: str, *, value: Json = None, limit: Json = None) -> Verdict:
    """Worth a look; the run goes on."""
    return Verdict(status="warn", value=value, limit=limit, evidence=evidence, advice=advice)


def fail(evidence: str, advice: str, *, value: Json = None, limit: Json = None) -> Verdict:
    """The run cannot mean anything."""
    return Verdict(status="fail", value=value, limit=limit, evidence=evidence, advice=advice)


def unknown(evidence: str, advice: str = "", *, value: Json = None, limit: Json = None) -> Verdict:
    """It could not be measured, or too little was: never to be read as pass."""
    return Verdict(status="unknown", value=value, limit=limit, evidence=evidence, advice=advice)


def worst(results: Sequence[CheckResult]) -> Status:
    """The gravest status among results; pass for none."""
    return max((r.status for r in results), key=SEVERITY.index, default="pass")


def listed(items: Sequence[object], most: int = 3) -> str:
    """The first few items in words, and how many more there are."""
    shown = ", ".join(str(item) for item in items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"


def excerpt(text: str, most: int = 120) -> str:
    """A text on one line, cut in its middle, with its quotes."""
    if len(text) > most:
        text = f"{text[: most * 2 // 3]} ... {text[-most // 3 :]}"
    return repr(text)
