import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueloop.errors import DataError
from trueloop.records import Problem
from trueloop.tasks.source import Part, ProblemSource, read_order


def rows(name, n):
    return [Problem.create(prompt=str(i), target="", task=name, split="train") for i in range(n)]


def part(name="a", n=5, **options):
    return Part(name=name, problems=rows(name, n), **options)


def drain(source, limit=10_000):
    tickets = []
    while len(tickets) < limit and (ticket := source.next()) is not None:
        tickets.append(ticket)
    return tickets


def names(tickets):
    return "".join(t.problem.task for t in tickets)


def places(tickets):
    return [(t.problem.prompt, t.epoch) for t in tickets]


def test_every_epoch_serves_every_problem_once_in_its_own_order():
    tickets = drain(ProblemSource([part(n=50)], seed=1, epochs=3))
    epochs = [[t.problem.prompt for t in tickets if t.epoch == e] for e in range(3)]
    assert all(sorted(e, key=int) == [str(i) for i in range(50)] for e in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert [t.index for t in tickets] == list(range(150))


def test_the_order_depends_on_seed_and_content_alone():
    problems = rows("a", 50)
    one, again = (Part(name="a", problems=p) for p in (problems, problems[::-1]))
    assert places(drain(ProblemSource([one], seed=1, epochs=2))) == places(
        drain(ProblemSource([again], seed=1, epochs=2))
    )
    assert places(drain(ProblemSource([one], seed=1, epochs=2))) != places(
        drain(ProblemSource([one], seed=2, epochs=2))
    )


def test_without_epochs_it_never_ends():
    tickets = drain(ProblemSource([part(n=3)], seed=0), limit=100)
    assert len(tickets) == 100 and tickets[-1].epoch == 33


def test_a_listed_order_is_served_as_it_stands_in_every_epoch():
    problems = rows("a", 5)
    order = [problems[i].id for i in (3, 0, 4)]
    source = ProblemSource([Part(name="a", problems=problems, order=order)], seed=0, epochs=2)
    assert places(drain(source)) == [("3", 0), ("0", 0), ("4", 0), ("3", 1), ("0", 1), ("4", 1)]
    assert source.report()["a"]["matched"] == 1.0
    assert source.report()["a"]["unserved"] == 2


def test_an_order_that_names_other_problems_is_refused_with_their_ids():
    problems = rows("a", 200)
    known = [p.id for p in problems]
    with pytest.raises(DataError, match=r"only 98\.5% of the 200 ids .*not found: x0, x1, x2"):
        ProblemSource([Part(name="a", problems=problems, order=[*known[3:], "x0", "x1", "x2"])], seed=0)
    with pytest.raises(DataError, match=r"not found: x0, x1, x2, x3, x4, x5, x6, x7, x8, x9$"):
        ProblemSource([Part(name="a", problems=problems, order=[f"x{i}" for i in range(50)])], seed=0)
    nearly = ProblemSource([Part(name="a", problems=problems, order=[*known[2:], "x0", "x1"])], seed=0, epochs=1)
    assert nearly.report()["a"]["matched"] == 0.99
    assert len(drain(nearly)) == 198


def test_an_order_that_is_empty_or_repeats_itself_is_refused():
    problems = rows("a", 3)
    with pytest.raises(DataError, match="the order is empty"):
        ProblemSource([Part(name="a", problems=problems, order=[])], seed=0)
    with pytest.raises(DataError, match="1 ids occur in the order of part 'a' more than once"):
        ProblemSource([Part(name="a", problems=problems, order=[problems[0].id] * 2)], seed=0)


def test_weights_control_the_share_however_large_the_parts_are():
    source = ProblemSource([part("a", 3, weight=3.0), part("b", 500, weight=1.0)], seed=0)
    tickets = drain(source, limit=400)
    assert names(tickets).count("a") == 300
    report = source.report()
    assert (report["a"]["asked"], report["a"]["share"], report["a"]["epoch"]) == (0.75, 0.75, 100)
    assert (report["b"]["share"], report["b"]["unserved"]) == (0.25, 400)


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=5), st.integers(1, 200))
def test_no_part_is_ever_far_from_its_share(weights, n):
    source = ProblemSource([part(str(i), 7, weight=w) for i, w in enumerate(weights)], seed=0)
    drain(source, limit=n)
    for row in source.report().values():
        behind = row["asked"] * n - row["drawn"]
        assert -1 - 1e-9 < behind < max(1, len(weights) - 1) + 1e-9


def test_a_weighted_mix_ends_when_the_part_that_is_due_has_had_its_epochs():
    source = ProblemSource([part("a", 2), part("b", 10)], seed=0, epochs=1)
    assert names(drain(source)) == "abab"
    assert source.report()["b"]["unserved"] == 8


def test_a_sequential_mix_serves_one_part_after_the_other():
    source = ProblemSource([part("a", 3, count=4), part("b", 2)], seed=0, mix="sequential", epochs=2)
    assert names(drain(source)) == "aaaabbbb"
    assert source.report()["a"]["asked"] is None
    with pytest.raises(DataError, match="'a' never ends, so later parts are never reached"):
        ProblemSource([part("a", 3), part("b", 2)], seed=0, mix="sequential")


def test_shares_are_not_computed_before_the_first_ticket():
    assert ProblemSource([part()], seed=0).report()["a"]["share"] is None


def test_a_ticket_given_back_comes_again_first_and_unchanged():
    source = ProblemSource([part()], seed=0, epochs=1)
    first, second = source.next(), source.next()
    source.give_back(first)
    source.give_back(second)
    assert [source.next(), source.next()] == [second, first]
    assert len(drain(source)) == 3
    source.give_back(first)
    assert drain(source) == [first]
    assert source.report()["a"]["drawn"] == 5


@pytest.mark.parametrize("mix", ["weighted", "sequential"])
@settings(deadline=None)
@given(cut=st.integers(0, 40), back=st.integers(0, 3), open_=st.integers(0, 3))
def test_a_restored_source_goes_on_exactly(mix, cut, back, open_):
    def fresh():
        parts = [part("a", 4, weight=2.0, count=9), part("b", 7)]
        return ProblemSource(parts, seed=5, mix=mix, epochs=4)

    source = fresh()
    taken = drain(source, limit=cut)
    for ticket in taken[:back]:
        source.give_back(ticket)
    unfinished = taken[back : back + open_]
    state = json.loads(json.dumps(source.state(given_back=unfinished)))
    restored = fresh()
    restored.restore(state)
    assert drain(restored) == unfinished + drain(source)
    assert restored.report() == source.report()


def test_a_state_of_other_data_or_settings_is_refused():
    state = ProblemSource([part(n=5)], seed=0).state()
    for other in (
        ProblemSource([part(n=6)], seed=0),
        ProblemSource([part(n=5)], seed=1),
        ProblemSource([part(n=5)], seed=0, epochs=1),
        ProblemSource([part(n=5, order=[p.id for p in rows("a", 5)])], seed=0),
    ):
        with pytest.raises(DataError, match="other data or settings"):
            other.restore(state)


def test_a_problem_belongs_to_one_part():
    with pytest.raises(DataError, match="5 problems occur more than once"):
        ProblemSource([part("a"), Part(name="b", problems=rows("a", 5))], seed=0)
    with pytest.raises(DataError, match="1 parts have a name more than once, such as a"):
        ProblemSource([part("a", 5), Part(name="a", problems=rows("b", 5))], seed=0)


@pytest.mark.parametrize(
    ("parts", "epochs"), [([], None), ([part(n=0)], None), ([part(weight=0.0)], None), ([part()], 0)]
)
def test_mixes_that_cannot_be_are_refused(parts, epochs):
    with pytest.raises(DataError, match=r"needs problems|must be positive"):
        ProblemSource(parts, seed=0, epochs=epochs)


@pytest.mark.parametrize("text", ["a-1\na-2\n\n a-3 \n", '["a-1", "a-2", "a-3"]'])
def test_an_order_file_is_lines_or_a_json_list(tmp_path, text):
    path = tmp_path / "order.txt"
    path.write_text(text)
    assert read_order(path) == ["a-1", "a-2", "a-3"]


@pytest.mark.parametrize(("text", "message"), [("[1, 2]", "strings only"), ("[oops", "not JSON")])
def test_a_bad_order_file_is_named(tmp_path, text, message):
    path = tmp_path / "order.json"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"order\.json.*{message}"):
        read_order(path)
    with pytest.raises(DataError, match="no such file"):
        read_order(tmp_path / "absent")
