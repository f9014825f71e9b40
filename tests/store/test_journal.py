import errno
import json
import math
import os

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trueloop.errors import DataError, StoreError
from trueloop.store.journal import Journal

ROWS = [{"step": i, "text": "naïve " * i} for i in range(4)]


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "rows.jsonl")
    for row in ROWS:
        journal.append(row)
    return journal


def test_rows_come_back_in_order(journal):
    assert journal.rows() == ROWS
    assert journal.path.read_text().splitlines()[2] == '{"step":2,"text":"naïve naïve "}'


def test_no_file_is_no_rows(tmp_path):
    journal = Journal(tmp_path / "rows.jsonl")
    assert journal.rows() == []
    assert not journal.repair()
    journal.keep(lambda row: False)
    assert not journal.path.exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(cut=st.integers(0, 500))
def test_a_file_cut_anywhere_loses_its_torn_line_only(tmp_path_factory, cut):
    journal = Journal(tmp_path_factory.mktemp("journal") / "rows.jsonl")
    for row in ROWS:
        journal.append(row)
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:cut])
    left = whole[:cut].count(b"\n")
    assert journal.rows() == ROWS[:left], "a reader passes over the torn line"
    torn = not whole[:cut].endswith(b"\n") and cut > 0
    assert journal.repair() == torn
    assert not journal.repair()
    for row in ROWS[left:]:
        journal.append(row)
    assert journal.path.read_bytes() == whole


def test_a_kill_at_any_call_leaves_whole_rows_and_at_most_a_torn_one(tmp_path, killed_at):
    kept = set()
    for n in range(1, 20):
        journal = Journal(tmp_path / f"{n}.jsonl")
        journal.append(ROWS[1])
        with killed_at(n) as died:
            journal.append(ROWS[2])
        journal.repair()
        assert journal.rows() in (ROWS[1:2], ROWS[1:3])
        kept.add(len(journal.rows()))
        if not died():
            break
    assert kept == {1, 2}


def test_damage_in_the_middle_is_an_error_and_is_not_cut(journal):
    lines = journal.path.read_bytes().splitlines(keepends=True)
    damaged = b"".join([lines[0], lines[1][:5] + b"\n", *lines[2:]])
    journal.path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"rows\.jsonl: line 2 is damaged"):
        journal.repair()
    assert journal.path.read_bytes() == damaged


def test_keep_leaves_the_other_lines_byte_for_byte(journal):
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.keep(lambda row: row["step"] != 2)
    assert journal.path.read_bytes() == lines[0] + lines[1] + lines[3]


def test_a_value_without_a_json_form_is_named_and_nothing_is_written(journal):
    before = journal.path.read_bytes()
    with pytest.raises(DataError, match=r"rows\.jsonl: a row with step, thing is not JSON: .*set"):
        journal.append({"step": 5, "thing": {1}})
    assert journal.path.read_bytes() == before


def test_what_is_not_finite_and_what_is_not_utf8_comes_back(tmp_path):
    journal = Journal(tmp_path / "rows.jsonl")
    journal.append({"step": 1, "kl": math.inf, "loss": math.nan, "why": "bad \udc80 byte"})
    row = journal.rows()[0]
    assert row["kl"] == math.inf
    assert math.isnan(row["loss"])
    assert row["why"] == "bad \udc80 byte"


def test_duckdb_reads_it(journal):
    journal.append({"step": 4, "kl": math.inf})
    found = duckdb.sql(f"select step, kl from read_json('{journal.path}', format='newline_delimited')").fetchall()
    assert [step for step, _ in found] == [0, 1, 2, 3, 4]
    assert float(found[-1][1]) == math.inf


def test_a_refused_write_leaves_whole_lines(journal, monkeypatch):
    before = journal.path.read_bytes()
    real = os.write
    written = []

    def fill_up(fd, data):
        if written:
            raise OSError(errno.ENOSPC, "full")
        written.append(data)
        return real(fd, data[:7])

    monkeypatch.setattr(os, "write", fill_up)
    with pytest.raises(StoreError, match=r"rows\.jsonl: cannot write a row: the disk is full"):
        journal.append({"step": 9, "text": "x" * 50})
    assert journal.path.read_bytes() == before


def test_a_full_disk_leaves_whole_lines(small_disk):
    journal = Journal(small_disk("64k") / "rows.jsonl")
    with pytest.raises(StoreError, match="the disk is full"):
        for step in range(1000):
            journal.append({"step": step, "text": "x" * 999})
    lines = journal.path.read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["step"] for line in lines] == list(range(len(lines)))
    assert len(lines) > 10
    assert not journal.repair()
