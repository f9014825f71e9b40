import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueloop.errors import DataError
from trueloop.loop.feed import Mixed, Offline
from trueloop.train.batch import Stream


def offline(n: int, per_step: int, *, epochs: int | None = None, seed: int = 0) -> tuple[Offline[int], list[list[int]]]:
    seen: list[list[int]] = []

    def streams(items: Sequence[int], step: int) -> Sequence[Stream]:
        seen.append(list(items))
        return []

    return Offline(range(n), per_step=per_step, seed=seed, streams=streams, epochs=epochs), seen


def take(feed: Any, steps: int) -> int:
    async def go() -> int:
        for step in range(1, steps + 1):
            if await feed.next(step) is None:
                return step - 1
        return steps

    return asyncio.run(go())


@given(n=st.integers(1, 17), per_step=st.integers(1, 20), epochs=st.integers(1, 4))
def test_every_item_comes_once_an_epoch_and_no_step_but_the_last_is_short(n: int, per_step: int, epochs: int) -> None:
    feed, seen = offline(n, per_step, epochs=epochs)
    steps = take(feed, 1000)
    assert steps == -(-n * epochs // per_step)
    flat = [item for items in seen for item in items]
    assert all(len(items) == per_step for items in seen[:-1])
    for epoch in range(epochs):
        assert sorted(flat[epoch * n : (epoch + 1) * n]) == list(range(n))


@given(n=st.integers(1, 11), per_step=st.integers(1, 8), before=st.integers(0, 9), seed=st.integers(0, 5))
def test_a_restored_feed_goes_on_as_if_never_interrupted(n: int, per_step: int, before: int, seed: int) -> None:
    whole, seen = offline(n, per_step, seed=seed)
    take(whole, before + 5)
    first, _ = offline(n, per_step, seed=seed)
    take(first, before)
    second, rest = offline(n, per_step, seed=seed)
    second.restore(first.state())
    take(second, 5)
    assert rest == seen[before:]


def test_epochs_are_shuffled_differently_and_by_the_seed() -> None:
    feed, seen = offline(50, 50)
    take(feed, 2)
    other, elsewhere = offline(50, 50, seed=1)
    take(other, 1)
    assert seen[0] != seen[1] != elsewhere[0] != seen[0]


def test_other_data_cannot_be_restored_into() -> None:
    feed, _ = offline(5, 2)
    larger, _ = offline(6, 2)
    with pytest.raises(DataError, match="written with 5 rows of data, now there are 6"):
        larger.restore(feed.state())


def test_a_mixed_feed_is_as_alive_as_both_of_its_feeds() -> None:
    (main, _), (second, _) = offline(3, 1), offline(3, 1)
    main.life, second.life = lambda: 3, lambda: 4  # type: ignore[method-assign]
    assert Mixed(main, second).life() == 7


def test_no_data_is_an_error_and_not_an_endless_run() -> None:
    with pytest.raises(DataError, match="the data set is empty"):
        offline(0, 1)


def test_a_mixed_feed_hands_out_both_and_restores_both() -> None:
    main, seen_main = offline(7, 2, epochs=2)
    second, seen_second = offline(5, 3)
    steps = take(Mixed(main, second), 100)
    assert (steps, len(seen_main), len(seen_second)) == (7, 7, 7)
    again_main, rest_main = offline(7, 2, epochs=2)
    again_second, rest_second = offline(5, 3)
    again = Mixed(again_main, again_second)
    first_main, _ = offline(7, 2, epochs=2)
    first_second, _ = offline(5, 3)
    first = Mixed(first_main, first_second)
    take(first, 3)
    again.restore(first.state())
    take(again, 100)
    assert (rest_main, rest_second) == (seen_main[3:], seen_second[3:])
    assert Counter(x for items in seen_main for x in items) == Counter(dict.fromkeys(range(7), 2))
