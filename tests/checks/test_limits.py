import math

import pytest

from trueloop.checks.limits import interval, share_is_high, share_is_low


@pytest.mark.parametrize(
    ("successes", "n", "status"),
    [(0, 100, "pass"), (90, 100, "fail"), (45, 100, "warn"), (2, 3, "unknown"), (0, 0, "unknown"), (15, 100, "pass")],
)
def test_a_share_that_should_be_small(successes, n, status):
    found = share_is_low(successes, n, what="cut", advice="raise it", fail_above=0.5, warn_above=0.2)
    assert found.status == status
    assert found.limit == {"fail": 0.5, "warn": 0.2}
    if n:
        assert found.value == successes / n and f"{successes} of {n}" in found.evidence
    assert (found.advice == "raise it") == (status in ("warn", "fail") or (status == "unknown" and n > 0))


@pytest.mark.parametrize(("successes", "n", "status"), [(100, 100, "pass"), (10, 100, "fail"), (1, 2, "unknown")])
def test_a_share_that_should_be_large(successes, n, status):
    assert share_is_high(successes, n, what="right", advice="", fail_below=0.9).status == status


def test_the_same_share_of_more_rows_decides():
    few, many = (share_is_low(k, n, what="cut", advice="", fail_above=0.5) for k, n in ((6, 10), (600, 1000)))
    assert (few.status, many.status) == ("unknown", "fail")


def test_the_interval_holds_its_share():
    low, high = interval(30, 100)
    assert 0.18 < low < 0.3 < high < 0.44


@pytest.mark.parametrize("limit", [0.005, 0.02, 0.1, 0.5])
def test_a_share_at_its_limit_is_found_beyond_it_no_oftener_than_the_level_says(limit):
    for n in (1, 2, 5, 16, 64, 128):
        beyond = [k for k in range(n + 1) if interval(k, n)[0] > limit]
        assert math.fsum(math.comb(n, k) * limit**k * (1 - limit) ** (n - k) for k in beyond) <= 0.005 + 1e-9
