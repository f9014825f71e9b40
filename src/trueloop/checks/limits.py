"""Limits that are statistical: an interval decides, so that a small sample gives `unknown` and not noise."""

from __future__ import annotations

from collections.abc import Callable

from trueloop.checks.base import Verdict, fail, passed, unknown, warn
from trueloop.formulas.stats import clopper_pearson

LEVEL = 0.99
"""Of the intervals: with some fifty shares looked at before a run, one false alarm in a hundred each is too many for a
fail, so a fail asks for an interval that lies wholly beyond its limit, and a healthy share lies far from it."""


def interval(successes: int, n: int) -> tuple[float, float]:
    """The exact interval of a share at `LEVEL`."""
    return clopper_pearson(successes, n, level=LEVEL)


def at_the_edge(tokens: int) -> float:
    """How many of so many tokens may lie beyond a truncation's edge, where another precision draws than looks."""
    return max(2, 0.001 * tokens)


def share_is_low(
    successes: int,
    n: int,
    *,
    what: str,
    advice: str,
    fail_above: float | None = None,
    warn_above: float | None = None,
) -> Verdict:
    """A share that should be small: fail or warn where its interval lies above a limit, pass where it is below.

    A share beyond a limit that its interval still holds is unknown: too few were looked at.
    """
    return _decide(successes, n, what, advice, fail_above, warn_above, beyond=lambda low, high, limit: low > limit)


def share_is_high(
    successes: int,
    n: int,
    *,
    what: str,
    advice: str,
    fail_below: float | None = None,
    warn_below: float | None = None,
) -> Verdict:
    """A share that should be large; see `share_is_low`."""
    return _decide(successes, n, what, advice, fail_below, warn_below, beyond=lambda low, high, limit: high < limit)


def _decide(
    successes: int,
    n: int,
    what: str,
    advice: str,
    fail_limit: float | None,
    warn_limit: float | None,
    *,
    beyond: Callable[[float, float, float], bool],
) -> Verdict:
    limits = {"fail": fail_limit, "warn": warn_limit}
    if n == 0:
        return unknown(f"{what}: nothing to count", value=None, limit=limits)
    low, high = interval(successes, n)
    share = successes / n
    shown = f"{what}: {successes} of {n} = {share:.1%} (99 % interval {low:.1%} to {high:.1%})"
    if fail_limit is not None and beyond(low, high, fail_limit):
        return fail(shown, advice, value=share, limit=limits)
    if warn_limit is not None and beyond(low, high, warn_limit):
        return warn(shown, advice, value=share, limit=limits)
    undecided = [x for x in (fail_limit, warn_limit) if x is not None and low <= x <= high and beyond(share, share, x)]
    if undecided:
        return unknown(f"{shown}: too few to tell it from {undecided[0]:.0%}", advice, value=share, limit=limits)
    return passed(shown, value=share, limit=limits)
