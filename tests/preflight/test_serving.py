from dataclasses import replace

import pytest
from tests.stepping_toys import rehearsal, said

from trueloop.models.spec import LoRA
from trueloop.preflight import serving as measured
from trueloop.preflight.serving import rms, serving, visible_step, written
from trueloop.preflight.trial import take
from trueloop.preflight.undo import undone


class Wrapped:
    """An engine with other methods."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)


class Deaf(Wrapped):
    async def load_weights(self, source, version):
        self.inner._scheduler.version = version


def asked(whole, engine=None):
    whole = whole if engine is None else replace(whole, engine=engine)
    with undone(whole.trainer) as before:
        trial = take(whole.trainer, whole.streams, before)
        return {id: r.status for id, r in said(serving(whole, trial, whole.streams)).items()}


def test_an_engine_that_follows():
    with rehearsal() as whole:
        assert set(asked(whole).values()) == {"pass"}


def test_an_engine_that_keeps_its_weights():
    with rehearsal() as whole:
        assert asked(whole, Deaf(whole.engine))["liveness.sampler_follows"] == "fail"


def test_an_adapter_is_saved_served_and_asked_for_by_its_name():
    with rehearsal(adapter=LoRA(rank=2, alpha=4)) as whole:
        found = asked(whole)
        assert found["liveness.unknown_adapter_refused"] == "pass" and set(found.values()) == {"pass"}


@pytest.mark.parametrize("lr", [1e-7, 1e-3, 1e6])
def test_a_step_is_made_visible_whatever_its_size(lr):
    with rehearsal(lr=lr) as whole, undone(whole.trainer) as before:
        seen = visible_step(take(whole.trainer, whole.streams, before), whole.streams)
        assert seen is not None
        change = [abs(n - o) for n, o in zip(seen.new, seen.old, strict=True)]
        assert 0.2 <= sum(change) / len(change) <= 3.0


def test_a_step_that_changes_nothing_is_not_visible():
    with rehearsal(lr=1e-30) as whole:
        assert asked(whole) == {"liveness.sampler_follows": "unknown"}


def test_rms():
    assert rms([3.0, -4.0]) == pytest.approx(12.5**0.5)


def test_a_checkpoint_is_written_only_where_it_has_room(monkeypatch):
    with rehearsal() as whole:
        numbers = sum(p.numel() for p in whole.trainer.trainable.values())
        assert written(whole.policy, whole.trainer) == 16 * numbers
        monkeypatch.setattr(measured, "LARGEST_SAVED", 16 * numbers - 1)
        assert asked(whole)["liveness.checkpoint_loads"] == "unknown"
    with rehearsal(adapter=LoRA(rank=2, alpha=4)) as whole:
        numbers = sum(p.numel() for p in whole.trainer.trainable.values())
        assert written(whole.policy, whole.trainer) == 16 * numbers


def test_a_checkpoint_is_tried_where_the_run_would_write_it(tmp_path, monkeypatch):
    places, write = [], measured.checkpoint.write

    def noted(place, trainer):
        places.append(place)
        write(place, trainer)

    monkeypatch.setattr(measured.checkpoint, "write", noted)
    with rehearsal() as whole:
        assert asked(replace(whole, place=tmp_path))["liveness.checkpoint_loads"] == "pass"
    assert places[0].parent.parent == tmp_path and not list(tmp_path.iterdir())


def test_a_disk_that_refuses_a_checkpoint_ends_no_check(monkeypatch):
    def refused(place, trainer):
        raise OSError("disk full")

    monkeypatch.setattr(measured.checkpoint, "write", refused)
    with rehearsal() as whole:
        before = whole.policy.fingerprint()
        assert asked(whole)["liveness.checkpoint_loads"] == "unknown"
        assert whole.policy.fingerprint() == before
