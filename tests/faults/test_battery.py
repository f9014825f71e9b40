"""One fault of each mechanism is planted and caught; a run without one is told nothing.  The study plants them all."""

import fcntl
import json

import pytest

from trueloop.faults.base import Fault, Planted, healthy, plant
from trueloop.faults.battery import battery, one_of_each, row, summary
from trueloop.faults.beds import beds
from trueloop.faults.catalogue import FAULTS
from trueloop.faults.outcome import SPOILED
from trueloop.faults.recorded import RECORDED
from trueloop.recipes import before

PLANTED = one_of_each(list(FAULTS.values()))


def fault(id, mechanism="m", bed="rlvr"):
    return Fault(id=id, mechanism=mechanism, what="w", bed=bed)


def planted(how, by="a.b", step=0):
    return Planted(fault=fault("f"), how=how, by=by, step=step, seconds=1.25)


def test_a_row_says_by_what_and_when():
    assert row(planted("check")) == ("f", "a.b", "before the first step", "1.2")
    assert row(planted("check", step=3))[2] == "step 3"
    assert row(planted("error", by="no lr\nmore"))[1] == "refused: no lr"
    assert row(planted("missed", by=""))[1:3] == ("-", "-")


def test_a_summary_counts():
    found = [planted("check"), planted("check", step=2), planted("missed")]
    assert summary(found) == "3 faults planted, 2 caught, 1 of them before the first optimizer step"


def test_one_of_each_mechanism_is_the_first():
    assert [f.id for f in one_of_each([fault("a"), fault("b"), fault("c", "n")])] == ["a", "c"]


def test_faults_without_a_bed_are_passed_over():
    assert list(battery([fault("a", bed="nowhere")], {})) == []


def test_every_recorded_failure_is_planted_or_says_why_not():
    planted = {number for fault in [*FAULTS.values(), *SPOILED] for number in fault.recorded}
    assert planted <= RECORDED.keys(), sorted(planted - RECORDED.keys())
    silent = [id for id, record in RECORDED.items() if not record.unplanted and id not in planted]
    assert not silent, f"neither planted nor explained: {silent}"
    both = [id for id, record in RECORDED.items() if record.unplanted and id in planted]
    assert not both, f"planted, and said not to be: {both}"


def test_every_fault_names_checks_that_exist():
    from trueloop.checks.catalogue import CATALOGUE

    unknown = {id for fault in FAULTS.values() for id in fault.caught_by} - CATALOGUE.keys()
    assert not unknown
    assert all(f.caught_by or f.refused for f in FAULTS.values())


@pytest.fixture(scope="module")
def healthy_beds(warm_model):
    """Each bed with what the checks say of it: run when it is first asked for, once for all test processes."""
    made = beds(warm_model)

    def look(name):
        place = warm_model.parent / f"healthy-{name}.json"
        with place.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.exists():
                found = healthy(made[name], max(f.steps for f in PLANTED if f.bed == name))
                place.write_text(json.dumps({id: result.status for id, result in found.items()}))
        return made[name], json.loads(place.read_text())

    return look


@pytest.fixture
def begin_at_once(monkeypatch):
    """Nothing is asked before a run: what a fault under way does not need, and half of its time."""

    async def rehearsed(*arguments):
        """Nothing is sampled first."""

    def begin():
        monkeypatch.setattr(before, "static", lambda *arguments: ())
        monkeypatch.setattr(before, "rehearse", rehearsed)

    return begin


@pytest.mark.slow
@pytest.mark.parametrize("fault", PLANTED, ids=lambda f: f.id)
def test_a_planted_fault_is_caught_by_its_mechanism(fault, healthy_beds, begin_at_once):
    bed, sound = healthy_beds(fault.bed)
    failed = [id for id, status in sound.items() if status == "fail"]
    assert not failed, f"the healthy run fails {failed}"
    if fault.when == "during":
        begin_at_once()
    found = plant(fault, bed, sound, briefly=True)
    assert found.how != "missed", (found.by, found.others)
    assert fault.when != "before" or found.step == 0
