from trueloop.checks.numerics.teacher import teacher_reads_rows

SOUND = {"as given": -0.4, "one token earlier": -5.0, "one token later": -4.0, "on the next row": -6.0}


def test_a_teacher_that_reads_the_rows():
    assert teacher_reads_rows(SOUND, 100, 99).status == "pass"


def test_words_laid_on_other_tokens_are_named():
    found = teacher_reads_rows({**SOUND, "as given": -5.0, "one token later": -0.4}, 100, 99)
    assert found.status == "fail" and "one token later" in found.evidence


def test_a_teacher_that_knows_less_than_a_guess():
    assert teacher_reads_rows(dict.fromkeys(SOUND, -9.0), 100, 99).status == "fail"


def test_before_a_warm_start_nothing_is_known():
    assert teacher_reads_rows(dict.fromkeys(SOUND, -9.0), 100, 99, learned=False).status == "unknown"
