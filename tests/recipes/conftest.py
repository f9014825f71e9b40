"""Runs of two steps of random models mean nothing, and their tests are about other things: nothing refuses them."""

import pytest

from trueloop.records import CheckResult

ABOUT_CHECKS = ("test_before", "test_affording", "test_reading")


@pytest.fixture(autouse=True)
def nothing_is_refused(request, monkeypatch):
    """No fail stops a run, but in the tests of what is checked."""
    if not request.module.__name__.endswith(ABOUT_CHECKS):
        monkeypatch.setattr(CheckResult, "refuses", property(lambda self: False))
