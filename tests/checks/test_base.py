import pytest

from trueloop.checks import base
from trueloop.checks.base import CHECKS, check, excerpt, fail, listed, passed, unknown, warn, worst
from trueloop.checks.catalogue import CATALOGUE
from trueloop.records import CheckResult


@pytest.fixture
def own(monkeypatch):
    """A registry of the test's own."""
    monkeypatch.setattr(base, "CHECKS", {})

    @check("mood.is_low", when="during", question="Is it high?", limit="0.5, by taste")
    def low(mood):
        if mood is None:
            return unknown("nobody asked")
        return passed("high", value=mood, limit=0.5) if mood > 0.5 else fail("low", "sing", value=mood, limit=0.5)

    return low


def test_a_check_answers_under_its_name(own):
    found = own(0.2)
    assert found == CheckResult(
        id="mood.is_low", status="fail", value=0.2, limit=0.5, evidence="low", advice="sing", allowed=""
    )
    assert found.refuses and not own(0.9).refuses and own(None).status == "unknown"
    assert base.CHECKS["mood.is_low"].theme == "mood" and base.CHECKS["mood.is_low"].when == "during"


def test_two_checks_of_one_name_are_refused(own):
    with pytest.raises(ValueError, match=r"mood\.is_low"):
        check("mood.is_low", when="before", question="?", limit="")(lambda: passed(""))


def test_an_allowed_fail_refuses_nothing():
    assert not CheckResult(id="a.b", status="fail", allowed="a test").refuses


def test_the_worst_of_several():
    results = [CheckResult(id="a.b", status=status) for status in ("pass", "unknown", "warn")]
    assert worst(results) == "warn" and worst(results[:2]) == "unknown" and worst([]) == "pass"
    assert warn("e", "a").status == "warn"


def test_lists_and_texts_are_cut():
    assert listed([1, 2, 3]) == "1, 2, 3" and listed(range(5)) == "0, 1, 2 and 2 more"
    assert excerpt("a\nb") == r"'a\nb'" and len(excerpt("x" * 1000)) < 140


def test_every_check_of_the_catalogue_reads():
    assert {id: CHECKS[id] for id in CATALOGUE} == {**CATALOGUE} and len(CATALOGUE) > 0
    for id, one in CATALOGUE.items():
        assert id.count(".") == 1 and id == id.lower() and " " not in id
        assert one.question.endswith("?") and one.limit, id
