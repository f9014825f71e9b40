"""Does the teacher speak of the very tokens that the student is taught?"""

from __future__ import annotations

import math
from collections.abc import Mapping

from trueloop.checks.base import Verdict, check, fail, passed, unknown

CLEAR = 0.5
"""Nats a token by which another alignment must read the rows better to be the right one."""


@check(
    "numerics.teacher_reads_rows",
    when="before",
    question="Does the teacher speak of the very tokens that the student is taught?",
    limit="its log-probability of the rows' own tokens is not half a nat a token higher one token earlier or later, or "
    "on another row, and not below that of a uniform guess",
)
def teacher_reads_rows(scores: Mapping[str, float], tokens: int, vocabulary: int, *, learned: bool = True) -> Verdict:
    """scores: alignment -> mean log-probability in nats of the rows' tokens; "as given" is the run's own.

    learned  False where a warm start comes first, so that neither side knows anything yet
    """
    if not learned:
        return unknown("a warm start comes first: the teacher knows nothing yet")
    own = scores["as given"]
    best = max(scores, key=lambda name: scores[name])
    value = {name: round(score, 4) for name, score in scores.items()}
    shown = f"the teacher gives the rows' {tokens} tokens {own:.2f} nats each"
    if scores[best] - own > CLEAR:
        return fail(
            f"{shown}, and {scores[best]:.2f} if its words are read {best}",
            "the teacher's words are laid on other tokens than those that it read: look at offsets and at the order of "
            "rows between student and teacher",
            value=value,
            limit=own + CLEAR,
        )
    if own < -math.log(vocabulary):
        return fail(
            f"{shown}, less than a uniform guess among {vocabulary} would",
            "look at whether teacher and student have one vocabulary, at the hint, and at how the teacher is asked",
            value=value,
            limit=-math.log(vocabulary),
        )
    return passed(shown, value=value, limit=-math.log(vocabulary))
