"""The policy's weights before a run."""

from __future__ import annotations

from trueloop.checks import weights
from trueloop.models import Policy
from trueloop.records import CheckResult


def finite(policy: Policy) -> CheckResult:
    """Whether every weight is a number; one pass over them."""
    named = dict(policy.model.named_parameters())
    return weights.finite([n for n, p in named.items() if not bool(p.isfinite().all())], len(named))
