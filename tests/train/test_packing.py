from hypothesis import given, settings
from hypothesis import strategies as st

from trainer_toys import groups, pairs
from trueloop.records import Sample
from trueloop.train.packing import Limits, Row, cost, divide, pack, plain_rows, trained_span

packed = settings(max_examples=60, deadline=None)


def single(samples):
    return [(k,) for k in range(len(samples))]


@packed
@given(
    seed=st.integers(0, 10**6),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    budget=st.integers(1, 100),
    share=st.booleans(),
    parts=st.integers(1, 3),
)
def test_every_sample_is_in_exactly_one_row_and_the_budget_holds(seed, sizes, budget, share, parts):
    samples = groups(seed, sizes)
    passes = pack(samples, single(samples), Limits(budget=budget, share=share, parts=parts))
    members = [k for rows in passes for row in rows for k in row.members]
    assert sorted(members) == list(range(len(samples)))
    for rows in passes:
        assert cost(rows) <= budget or sum(len(row.members) for row in rows) == 1
        assert len({row.length > row.prefix > 0 for row in rows}) == 1
        assert cost(rows) - sum(row.length for row in rows) <= budget // 32
        for row in rows:
            spans = [trained_span(samples[k]) for k in row.members]
            if row.prefix:
                assert len({samples[k].tokens[: row.prefix] for k in row.members}) == 1 < len(row.members)
                assert row.length == row.prefix + sum(last - first for first, last in spans)
            else:
                assert row.length == spans[0][1] and len(row.members) == 1


def test_a_group_is_one_row_and_is_split_at_the_budget():
    samples = groups(1, [4], longest=2)  # one prompt, four completions of one token
    prompt = trained_span(samples[0])[0]
    assert pack(samples, single(samples), Limits(budget=100, share=True)) == [[Row((0, 1, 2, 3), prompt, prompt)]]
    longer = groups(2, [6], longest=9)
    whole = sum(last - first for first, last in map(trained_span, longer)) + trained_span(longer[0])[0]
    rows = [row for rows in pack(longer, single(longer), Limits(budget=whole // 2, share=True)) for row in rows]
    assert len(rows) > 1 and all(row.length <= whole // 2 for row in rows)


def test_samples_of_other_prompts_never_share_a_row():
    samples = groups(3, [1, 1, 1])
    rows = pack(samples, single(samples), Limits(budget=1000, share=True))
    assert all(row.prefix == 0 for one in rows for row in one)


def test_both_answers_of_a_pair_stay_in_one_pass():
    rows = [s for pair in pairs(4, 12) for s in (pair.chosen, pair.rejected)]
    items = [(2 * k, 2 * k + 1) for k in range(12)]
    for passes in (pack(rows, items, Limits(budget=b, share=share)) for b in (1, 30, 500) for share in (True, False)):
        for one in passes:
            members = {k for row in one for k in row.members}
            assert members == {k ^ 1 for k in members}


def test_unequal_answers_do_not_keep_pairs_apart():
    def answers(k, length):
        tokens = tuple(range(10 * k, 10 * k + 4))
        return Sample(id=str(k), tokens=tokens * length, loss_mask=(False,) + (True,) * (4 * length - 1),
                      weights=(1.0,) * (4 * length))  # fmt: skip

    rows = [answers(k, 8 if k % 2 else 2) for k in range(16)]
    items = [(2 * k, 2 * k + 1) for k in range(8)]
    assert len(pack(rows, items, Limits(budget=256, share=True))) == 2


def test_sorting_leaves_little_padding():
    samples = groups(5, [1] * 200, longest=60)
    passes = pack(samples, single(samples), Limits(budget=800, share=False))
    used = sum(row.length for rows in passes for row in rows)
    unsorted = plain_rows(samples)
    assert sum(cost(unsorted[k : k + 20]) for k in range(0, 200, 20)) > 1.6 * used
    assert sum(map(cost, passes)) < 1.1 * used


def test_work_is_divided_evenly_and_repeatably():
    assert divide([5, 1, 4, 2], 2) == [[0, 1], [2, 3]]
    assert divide([3], 2) == [[0], []]
    samples = groups(6, [4] * 8)
    passes = pack(samples, single(samples), Limits(budget=10**6, share=True, parts=2))
    costs = [cost(rows) for rows in passes]
    loads = [sum(costs[k] for k in part) for part in divide(costs, 2)]
    assert max(loads) < 1.2 * sum(loads) / 2


def test_plain_rows_end_before_the_last_trained_token():
    samples = groups(7, [2])
    assert plain_rows(samples) == tuple(Row((k,), 0, len(s.tokens) - 1) for k, s in enumerate(samples))
