import json
import tomllib

import pytest

from trueloop.errors import StoreError
from trueloop.records import RunInfo
from trueloop.store.info import accepted_changes, code_changes, read_info, with_config, write_info
from trueloop.store.provenance import Code, Provenance


@pytest.fixture
def info():
    return RunInfo(
        recipe="rlvr",
        config={"optim": {"lr": 1e-5, "betas": [0.9, 0.95]}, "steps": 10, "note": None},
        difference={"optim.lr": [1e-6, 1e-5]},
        fingerprint="f",
        commit=None,
        dirty=None,
        packages={},
        seed=1,
        data={"train": "aa", "template": "bb"},
        started_at="2026-01-01T00:00:00+00:00",
    )


def test_it_comes_back_and_the_toml_is_what_a_run_takes(info, tmp_path):
    write_info(tmp_path, info)
    assert read_info(tmp_path) == info
    stored = tomllib.loads((tmp_path / "config.toml").read_text())
    assert stored == {"recipe": "rlvr", "optim": {"lr": 1e-5, "betas": [0.9, 0.95]}, "steps": 10}


def test_another_format_is_refused(info, tmp_path):
    write_info(tmp_path, info)
    stored = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(stored | {"format": 99}))
    with pytest.raises(StoreError, match="format 99, expected 1"):
        read_info(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(StoreError, match=r"run\.json cannot be read"):
        read_info(tmp_path)


def test_all_that_differs_is_named_at_once(info, tmp_path):
    given = {"optim": {"lr": 2e-5, "betas": (0.9, 0.95)}, "steps": 20, "new": {"key": "x"}}
    with pytest.raises(StoreError) as refused:
        accepted_changes(tmp_path / "a", info, given, {"train": "aa", "template": "cc", "extra": "dd"}, ["steps"])
    assert str(refused.value).splitlines() == [
        f"{tmp_path}/a cannot be resumed with what was given (stored -> given):",
        "  config optim.lr: 1e-05 -> 2e-05",
        '  config new.key: absent -> "x"',
        '  data extra: absent -> "dd"',
        '  data template: "bb" -> "cc"',
        "Give what is stored, or start a new run in another directory",
    ]


def test_what_may_change_is_returned_and_nothing_else(info, tmp_path):
    same = {"optim": {"lr": 1e-5, "betas": (0.9, 0.95)}, "steps": 10}
    assert accepted_changes(tmp_path, info, same, info.data, []) == {}
    changed = {"optim": {"lr": 1e-5, "betas": (0.9, 0.99)}, "steps": 12}
    accepted = accepted_changes(tmp_path, info, changed, info.data, ["optim", "steps"])
    assert accepted == {"optim.betas": ([0.9, 0.95], [0.9, 0.99]), "steps": (10, 12)}
    with pytest.raises(StoreError, match="config steps"):
        accepted_changes(tmp_path, info, changed, info.data, ["optim", "step"])


def test_long_values_are_shown_where_they_part(info, tmp_path):
    long = with_config(info, {"template": "a" * 1000 + "old" + "z" * 1000})
    with pytest.raises(StoreError) as refused:
        accepted_changes(tmp_path, long, {"template": "a" * 1000 + "new" + "z" * 1000}, info.data, [])
    text = str(refused.value)
    assert "aaaoldzzz" in text
    assert "aaanewzzz" in text
    assert len(text) < 800


def test_another_configuration_is_another_fingerprint(info):
    once = with_config(info, {"steps": 11})
    assert once.config == {"steps": 11}
    assert once.fingerprint == with_config(info, {"steps": 11}).fingerprint
    assert once.fingerprint != with_config(info, {"steps": 12}).fingerprint


def test_changed_code_is_told_in_words():
    def made(*codes):
        return Provenance(code=codes, packages={}, python="", platform="", machine={}, argv=())

    def of(name, commit, patch=b""):
        return Code(name=name, root="/p", commit=commit, branch=None, dirty=bool(patch), patch=patch)

    stored = made(of("project", "c1"), of("trueloop", "t1")).plain()["code"]
    assert code_changes(stored, made(of("project", "c1"), of("trueloop", "t1"))) == []
    assert code_changes(stored, made(of("project", "c2"), of("trueloop", "t1", b"+x"))) == [
        "project: commit c1 -> c2",
        "trueloop: other uncommitted changes on top of commit t1",
    ]
    assert code_changes(stored, made(of("trueloop", "t1"), of("other", "o"))) == [
        "other is now a checkout",
        "project is no longer a checkout",
    ]
