import argparse
import json

import pytest

from trueloop.cli import planting
from trueloop.config import read, resolve
from trueloop.faults import battery, catalogue
from trueloop.faults.base import Fault, Planted
from trueloop.recipes import sft


@pytest.fixture
def planted(monkeypatch):
    """Three faults, of which one is missed and one is of another kind of run."""
    faults = {
        id: Fault(id=id, mechanism="m", what="w", bed=bed) for id, bed in (("a", "sft"), ("b", "sft"), ("c", "rlvr"))
    }
    monkeypatch.setattr(catalogue, "FAULTS", faults)

    def plant(chosen, beds, said):
        for fault in chosen:
            how = "check" if fault.id == "a" else "missed"
            yield Planted(fault=fault, how=how, by="x.y" if how == "check" else "", step=0, seconds=1.0)

    monkeypatch.setattr(battery, "battery", plant)


def asked(*names, as_json=False):
    return argparse.Namespace(plant=list(names), json=as_json), sft, resolve(sft.Config, read("sft/arithmetic"), [])


def test_the_table_says_what_was_caught_missed_and_left_out(planted, capsys):
    assert planting.plant(*asked()) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["a", "x.y"] and lines[1].split()[:2] == ["b", "-"]
    assert lines[2] == "2 faults planted, 1 caught, 1 of them before the first optimizer step"
    assert lines[3] == "left out: 1 faults are of the run 'rlvr'"


def test_a_fault_can_be_named_and_the_table_be_json(planted, capsys):
    assert planting.plant(*asked("a", as_json=True)) == 0
    assert [row["fault"] for row in json.loads(capsys.readouterr().out)] == ["a"]
