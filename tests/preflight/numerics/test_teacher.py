import math
import random
from dataclasses import replace

import pytest

from trueloop.preflight.numerics.teacher import teacher
from trueloop.records import Sample, Teacher

SURE = math.log(0.9)


def row(k):
    """A sample of twelve tokens whose teacher is nearly sure of each of them."""
    draw = random.Random(k)
    written = tuple(draw.randrange(2, 60) for _ in range(12))
    said = Teacher(
        ids=tuple((t, (t + 1) % 60) for t in written), logprobs=tuple((SURE, math.log(0.05)) for _ in written)
    )
    return Sample(
        id=str(k),
        tokens=(0, 1, *written),
        loss_mask=(False, False, *(True,) * 12),
        weights=(0.0, 0.0, *(1.0,) * 12),
        teacher=said,
    )


ROWS = [row(k) for k in range(8)]


def test_the_score_is_the_mean_log_probability():
    found = teacher(ROWS, 60, learned=True)
    assert found.status == "pass" and found.value["as given"] == pytest.approx(SURE, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda k, s: replace(s.teacher, ids=(*s.teacher.ids[1:], s.teacher.ids[0])), "one token earlier"),
        (lambda k, s: replace(s.teacher, ids=(s.teacher.ids[-1], *s.teacher.ids[:-1])), "one token later"),
        (lambda k, s: ROWS[(k + 1) % len(ROWS)].teacher, "on the row before"),
    ],
)
def test_the_alignment_that_reads_them_better_is_named(change, words):
    moved = [replace(s, teacher=change(k, s)) for k, s in enumerate(ROWS)]
    found = teacher(moved, 60, learned=True)
    assert found.status == "fail" and words in found.evidence
