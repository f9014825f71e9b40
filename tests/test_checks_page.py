"""docs/checks.md says of every check and every diagnosis what the code says."""

import re

from checks_page import PAGE, anchors, checks_table, with_table
from faults_page import BEGIN, END
from trueloop.doctor.causes import CAUSES, HEALTHY, NOTHING, UNCLEAR
from trueloop.faults.catalogue import FAULTS
from trueloop.faults.recorded import RECORDED


def test_the_table_of_checks_is_the_catalogue():
    page = PAGE.read_text()
    assert page == with_table(page, checks_table()), "run: python tests/checks_page.py"


def test_every_fault_and_every_failure_on_record_has_its_row():
    page = PAGE.read_text()
    part = page[page.index(BEGIN) : page.index(END)]
    rows = re.findall(r"^\| `?([\w ]+?)`? \|", part, re.M)
    assert {*rows} - {"fault", "failure on record"} == FAULTS.keys() | RECORDED.keys(), (
        "run: python tests/faults_page.py"
    )


def test_each_diagnosis_has_its_section():
    wanted = {*(cause.id for cause in CAUSES), HEALTHY, UNCLEAR, NOTHING}
    assert wanted <= anchors(PAGE.read_text())


def test_anchors_are_those_of_headings():
    assert anchors("# A\n## answers-are-cut\n### What, then?\ntext\n") == {"a", "answers-are-cut", "what-then"}
