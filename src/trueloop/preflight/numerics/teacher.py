"""What a teacher says of the rows' own tokens, as it was laid on them and as it might have been meant."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trueloop.checks.numerics import teacher as checks
from trueloop.records import CheckResult, Sample, Teacher

ROWS = 32
"""Rows that are looked at."""


def teacher(samples: Sequence[Sample], vocabulary: int, *, learned: bool) -> CheckResult:
    """The check, of samples that have a teacher."""
    rows = [(_written(s), s.teacher) for s in samples[:ROWS] if s.teacher is not None]
    others = [said for _, said in (*rows[1:], *rows[:1])]
    scores = {
        "as given": _score([(tokens, said, 0) for tokens, said in rows]),
        "one token earlier": _score([(tokens, said, -1) for tokens, said in rows]),
        "one token later": _score([(tokens, said, 1) for tokens, said in rows]),
    }
    if len(rows) > 1:
        scores["on the next row"] = _score([(t, said, 0) for (t, _), said in zip(rows, others, strict=True)])
        scores["on the row before"] = _score([(t, rows[k - 1][1], 0) for k, (t, _) in enumerate(rows)])
    return checks.teacher_reads_rows(scores, sum(len(t) for t, _ in rows), vocabulary, learned=learned)


def _written(sample: Sample) -> list[int]:
    return [token for token, on in zip(sample.tokens, sample.loss_mask, strict=True) if on]


def _score(rows: Sequence[tuple[Sequence[int], Teacher, int]]) -> float:
    """Mean log-probability of each token under the teacher's words `shift` positions on; those that it does not list
    share what is left of its probability, and one at the least."""
    found = []
    for tokens, said, shift in rows:
        for place, token in enumerate(tokens):
            if 0 <= place + shift < len(said.ids):
                found.append(_logprob(said, place + shift, token))
    return math.fsum(found) / len(found) if found else -math.inf


def _logprob(said: Teacher, place: int, token: int) -> float:
    ids, logprobs = said.ids[place], said.logprobs[place]
    if token in ids:
        return max(logprobs[ids.index(token)], -20.0)
    left = 1.0 - sum(map(math.exp, logprobs))
    return max(math.log(left) if left > 0 else -20.0, -20.0)
