"""Columns that have one entry per token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trueloop.errors import DataError


def require_aligned(what: str, tokens: Sequence[int], **columns: Sequence[Any] | None) -> None:
    """Raise `DataError` for a column of another length than the tokens; None is a column that is not there."""
    for name, column in columns.items():
        if column is not None and len(column) != len(tokens):
            raise DataError(f"{what}: {name} must have one entry per token, got {len(column)} for {len(tokens)} tokens")


def require_context(what: str, loss_mask: Sequence[bool]) -> None:
    """Raise `DataError` if the first token is trained."""
    if loss_mask and loss_mask[0]:
        raise DataError(
            f"{what}: the first token cannot be trained: nothing precedes it; begin with a token that is not"
        )
