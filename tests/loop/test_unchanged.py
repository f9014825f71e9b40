from typing import Any

from trueloop.loop.unchanged import reason, unchanged_steps


def rows(*versions: int, flat: float | None = 1.0) -> list[dict[str, Any]]:
    extra = {} if flat is None else {"groups/flat": flat}
    return [{"step": k, "version": v, **extra} for k, v in enumerate(versions, start=1)]


def test_steps_whose_version_stayed_are_found_the_first_one_included() -> None:
    assert [row["step"] for row in unchanged_steps(rows(0, 1, 1, 2, 2, 2))] == [1, 3, 5, 6]
    assert unchanged_steps(rows(1, 2, 3)) == unchanged_steps([]) == []


def test_equal_rewards_are_given_as_the_reason_only_where_they_are_it() -> None:
    assert "all rewards agree" in reason(rows(0, 0))
    assert reason([*rows(0), *rows(0, flat=0.5)]) == reason(rows(0, flat=None)) == "their gradient was zero"
