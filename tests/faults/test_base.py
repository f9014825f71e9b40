from contextlib import contextmanager
from types import ModuleType

import pytest

from trueloop.config import Config as Base
from trueloop.config import Source
from trueloop.errors import CheckFailed, DataError
from trueloop.faults.base import Bed, Fault, healthy, plant
from trueloop.records import CheckResult
from trueloop.store.run import Run


class Loop(Base):
    """Steps."""

    steps: int = 0


class Config(Base):
    """A recipe that says what it is told."""

    says: str = "pass"
    loop: Loop = Loop()


STATE = {"raises": None, "during": None}


def run(config, resolved, out, resume, gate):
    if STATE.get("breaks"):
        raise KeyError("broken")
    if STATE["raises"]:
        raise DataError(STATE["raises"])
    gate.take([CheckResult(id="a.b", status=config.says), CheckResult(id="a.c", status="warn")])
    if gate.only:
        return
    with Run.create(out, recipe="toy", config={}, difference={}, seed=0, data={}) as store:
        gate.decide(store, begins=True)
        for step in range(1, config.loop.steps + 1):
            store.write_step({"step": step}, [])
            if step == STATE["during"]:
                store.add_check(CheckResult(id="a.d", status="fail", evidence="now"), step)
                raise CheckFailed("a.d says so")


recipe = ModuleType("toy")
recipe.Config, recipe.run = Config, run
BED = Bed(name="toy", recipe=recipe, source=Source(recipe="toy", presets=("toy.toml",), layers=({},)))


@contextmanager
def state(**values):
    before = dict(STATE)
    STATE.update(values)
    try:
        yield
    finally:
        STATE.update(before)


def fault(**fields):
    return Fault(**{"id": "f", "mechanism": "m", "what": "w", "bed": "toy", "caught_by": ("a.b", "a.d"), **fields})


SOUND = {"a.b": "pass", "a.c": "warn"}


def test_a_fault_is_caught_by_its_check_before_the_first_step():
    found = plant(fault(overrides=("says=fail",)), BED, SOUND)
    assert (found.how, found.by, found.step, found.others) == ("check", "a.b", 0, ())


def test_a_fault_that_nothing_sees_is_missed():
    assert plant(fault(), BED, SOUND).how == "missed"


def test_a_check_that_says_the_same_without_the_fault_has_caught_nothing():
    assert plant(fault(overrides=("says=warn",)), BED, {"a.b": "warn"}).how == "missed"
    assert plant(fault(caught_by=("a.c",)), BED, SOUND).how == "missed"


def test_another_check_alone_does_not_count_and_is_told():
    found = plant(fault(overrides=("says=fail",), caught_by=("a.x",)), BED, SOUND)
    assert (found.how, found.others) == ("missed", ("a.b",))


def test_an_error_counts_only_where_it_is_about_the_fault():
    about = fault(plant=lambda: state(raises="rate 0 trains nothing"), refused="rate 0")
    assert plant(about, BED, SOUND).how == "error"
    assert plant(fault(plant=about.plant, refused="other"), BED, SOUND).how == "missed"
    assert plant(fault(plant=about.plant), BED, SOUND).how == "missed"


def test_a_fault_that_breaks_other_code_has_caught_nothing_and_ends_no_battery():
    broken = fault(plant=lambda: state(during="x"), when="during", steps=1, refused="nothing")
    STATE["breaks"] = True
    try:
        found = plant(broken, BED, SOUND)
    finally:
        STATE["breaks"] = False
    assert found.how == "missed" and found.by == "KeyError: 'broken'"


def test_a_fault_of_a_run_is_caught_at_its_step():
    during = fault(when="during", steps=5, plant=lambda: state(during=3))
    found = plant(during, BED, SOUND)
    assert (found.how, found.by, found.step) == ("check", "a.d", 3)
    assert plant(fault(when="during", steps=2, plant=lambda: state(during=3)), BED, SOUND).how == "missed"


def test_what_a_bed_says_without_a_fault():
    assert {id: r.status for id, r in healthy(BED).items()} == SOUND
    with state(raises="broken"), pytest.raises(CheckFailed, match="'toy' is not healthy: broken"):
        healthy(BED)
