"""docs/checks.md says of every check and every diagnosis what the code says."""

from checks_page import PAGE, anchors, checks_table, with_table
from trueloop.doctor.causes import CAUSES, HEALTHY, NOTHING, UNCLEAR


def test_the_table_of_checks_is_the_catalogue():
    page = PAGE.read_text()
    assert page == with_table(page, checks_table()), "run: python tests/checks_page.py"


def test_each_diagnosis_has_its_section():
    wanted = {*(cause.id for cause in CAUSES), HEALTHY, UNCLEAR, NOTHING}
    assert wanted <= anchors(PAGE.read_text())


def test_anchors_are_those_of_headings():
    assert anchors("# A\n## answers-are-cut\n### What, then?\ntext\n") == {"a", "answers-are-cut", "what-then"}
