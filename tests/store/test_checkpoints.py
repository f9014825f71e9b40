import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trueloop.errors import DataError, StoreError
from trueloop.store.artefacts import damage, sweep
from trueloop.store.checkpoints import Checkpoints, Keep


def write(directory):
    (directory / "weights").write_bytes(b"w" * 100)
    (directory / "state").mkdir()
    (directory / "state" / "optimizer").write_bytes(b"o" * 100)


def steps(checkpoints):
    return [c.step for c in checkpoints.all()]


def spoil(checkpoint):
    """Another byte, the same size."""
    (checkpoint.path / "weights").write_bytes(b"v" + b"w" * 99)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "checkpoints"


def saved(place, scores, **keep):
    checkpoints = Checkpoints(place, Keep(**keep))
    for step, score in scores.items():
        checkpoints.save(step, write, score)
    return checkpoints


def test_a_checkpoint_is_named_by_its_step_and_holds_what_was_written(place):
    made = Checkpoints(place, Keep()).save(40, write, 0.25)
    assert made.path == place / "step-000040"
    assert (made.step, made.score) == (40, 0.25)
    assert (made.path / "state" / "optimizer").read_bytes() == b"o" * 100
    assert Checkpoints(place, None).latest() == made


def test_nothing_saved_is_none(place):
    assert Checkpoints(place, Keep()).latest() is None
    assert Checkpoints(place, Keep()).best() is None


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ({"latest": 1, "best": 0}, [6]),
        ({"latest": 2, "best": 1}, [2, 5, 6]),
        ({"latest": 1, "best": 2}, [2, 4, 6]),
        ({"latest": 1, "best": 0, "every": 3}, [3, 6]),
        ({"latest": 9, "best": 0}, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_the_policy_keeps_the_newest_the_best_and_every_nth(place, keep, expected):
    checkpoints = saved(place, {1: 0.1, 2: 0.9, 3: 0.2, 4: 0.5, 5: 0.3, 6: None}, **keep)
    assert steps(checkpoints) == expected


def test_best_is_the_highest_score_and_the_earlier_at_a_tie(place):
    assert saved(place, {1: -3.0, 2: -1.0, 3: -1.0, 4: None}, latest=9).best().step == 2


def test_steps_beyond_six_digits_stay_in_order(place):
    assert saved(place, {999_999: None, 1_000_000: None}).latest().step == 1_000_000


def test_a_damaged_latest_falls_back_to_the_whole_one_before_it(place):
    checkpoints = saved(place, {1: 0.1, 2: 0.9, 3: 0.5}, latest=3)
    spoil(checkpoints.all()[-1])
    again = Checkpoints(place, Keep())
    with pytest.warns(UserWarning, match=r"step-000003 is damaged and passed over: weights is not what was written"):
        assert again.latest().step == 2
    spoil(checkpoints.all()[1])
    with pytest.warns(UserWarning) as told:
        assert again.best().step == 1
    assert [str(w.message).split(" is damaged")[0][-6:] for w in told] == ["000002", "000003"]


def test_pruning_never_removes_the_only_whole_one(place):
    checkpoints = saved(place, {1: None, 2: None, 3: None}, latest=3, best=0)
    for checkpoint in checkpoints.all()[1:]:
        spoil(checkpoint)
    again = Checkpoints(place, Keep(latest=1, best=0))
    again.prune()
    assert steps(again) == [1, 3], "1 is the only whole one, 3 the newest"
    again.save(4, write)
    assert steps(again) == [4]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    scores=st.lists(st.none() | st.integers(-3, 3).map(float), min_size=1, max_size=7),
    spoiled=st.sets(st.integers(1, 7)),
    latest=st.integers(1, 3),
    best=st.integers(0, 2),
    every=st.none() | st.integers(1, 3),
)
def test_what_pruning_leaves(tmp_path_factory, scores, spoiled, latest, best, every):
    place = tmp_path_factory.mktemp("prune") / "checkpoints"
    everything = saved(place, dict(enumerate(scores, start=1)), latest=99)
    for checkpoint in everything.all():
        if checkpoint.step in spoiled:
            spoil(checkpoint)
    whole = {c.step for c in everything.all()} - spoiled
    Checkpoints(place, Keep(latest=latest, best=best, every=every)).prune()
    left = set(steps(everything))
    assert left >= set(range(1, len(scores) + 1)[-latest:])
    assert not whole or left & whole
    if every:
        assert left >= {s for s in range(1, len(scores) + 1) if s % every == 0}
    if best and any(s is not None for s in scores):
        top = max(s for s in scores if s is not None)
        assert scores.index(top) + 1 in left


def test_rewind_drops_the_later_ones_and_the_damaged(place):
    checkpoints = saved(place, {1: None, 2: None, 3: None}, latest=3)
    (place / "step-000003" / "stamp.json").unlink()
    checkpoints.rewind(1)
    assert [p.name for p in place.iterdir()] == ["step-000001"]


def test_an_exception_while_writing_leaves_the_others(place):
    checkpoints = saved(place, {1: None})

    def fail(directory):
        write(directory)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        checkpoints.save(2, fail)
    assert [p.name for p in place.iterdir()] == ["step-000001"]
    assert checkpoints.latest().step == 1


def test_a_kill_at_any_call_leaves_a_whole_latest(place, killed_at):
    seen = set()
    for n in range(1, 400):
        here = place / str(n)
        saved(here, {1: 0.5, 2: 0.1}, latest=1)
        with killed_at(n) as died:
            Checkpoints(here, Keep(latest=1)).save(3, write, 0.2)
        sweep(here)
        left = Checkpoints(here, Keep(latest=1))
        assert all(damage(c.path) is None for c in left.all())
        assert left.best().step == 1
        assert {p.name for p in here.iterdir()} == {c.path.name for c in left.all()}
        seen.add(tuple(steps(left)))
        if not died():
            break
    assert not died()
    assert seen == {(1, 2), (1, 2, 3), (1, 3)}


def test_a_full_disk_leaves_the_others(small_disk):
    place = small_disk("1m") / "checkpoints"
    checkpoints = saved(place, {1: 0.5})
    with pytest.raises(StoreError, match=r"step-000002: cannot write the checkpoint of step 2: the disk is full"):
        checkpoints.save(2, lambda d: (d / "weights").write_bytes(b"x" * (2 << 20)))
    assert [p.name for p in place.iterdir()] == ["step-000001"]
    assert checkpoints.latest().step == 1


def test_a_score_must_be_a_number_or_none(place):
    with pytest.raises(DataError, match="step 1: score must be finite or None, got nan"):
        Checkpoints(place, Keep()).save(1, write, float("nan"))


def test_a_reader_cannot_save(place):
    with pytest.raises(StoreError, match="opened for reading"):
        Checkpoints(place, None).save(1, write)
