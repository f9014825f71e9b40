import pytest

from trueloop.errors import DataError
from trueloop.records.aligned import require_aligned, require_context


def test_a_column_that_is_there_has_one_entry_per_token() -> None:
    require_aligned("row 'a'", (1, 2), weights=(0.0, 1.0), logprobs=None)
    with pytest.raises(DataError, match="row 'a': logprobs must have one entry per token, got 3 for 2 tokens"):
        require_aligned("row 'a'", (1, 2), weights=(0.0, 1.0), logprobs=(0.0,) * 3)


def test_the_first_token_has_no_context() -> None:
    for mask in ((), (False, True)):
        require_context("row 'a'", mask)
    with pytest.raises(DataError, match="row 'a': the first token cannot be trained"):
        require_context("row 'a'", (True, True))
