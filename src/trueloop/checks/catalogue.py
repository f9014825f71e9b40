"""Every check, by id."""

from __future__ import annotations

from trueloop.checks import liveness
from trueloop.checks.base import CHECKS, Check

THEMES = (liveness,)
"""Importing a theme registers its checks."""

CATALOGUE: dict[str, Check] = dict(sorted(CHECKS.items()))
