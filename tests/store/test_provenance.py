import json
import os
import subprocess

import pytest

from trueloop.store import provenance
from trueloop.store.provenance import capture


def git(directory, *arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], cwd=directory, check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.fixture
def project(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "-q", "-b", "main")
    (project / "train.py").write_text("lr = 1\n")
    (project / "old.bin").write_bytes(bytes(range(256)))
    (project / ".gitignore").write_text("ignored/\n")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "first")
    return project


def code(project):
    return next(c for c in capture(project).code if c.name == "project")


def dirty(project):
    (project / "train.py").write_text("lr = 2\n")
    (project / "old.bin").write_bytes(bytes(range(255, -1, -1)))
    (project / "new file ü.py").write_text("import train\n")
    (project / "sub").mkdir()
    (project / "sub" / "data.bin").write_bytes(b"\0\1\2")
    (project / "ignored").mkdir()
    (project / "ignored" / "big").write_text("x")


def test_a_clean_checkout_is_its_commit(project):
    found = code(project)
    assert found.commit == git(project, "rev-parse", "HEAD")
    assert (found.branch, found.dirty, found.patch, found.left_out) == ("main", False, b"", {})
    assert capture(project).main == found


def test_the_patch_rebuilds_the_working_tree_untracked_files_included(project, tmp_path):
    dirty(project)
    index = (project / ".git" / "index").read_bytes()
    found = code(project)
    assert found.dirty
    assert (project / ".git" / "index").read_bytes() == index
    assert git(project, "status", "--porcelain").count("??") == 2, "what was untracked still is"
    copy = tmp_path / "copy"
    git(tmp_path, "clone", "-q", str(project), str(copy))
    (tmp_path / "p.patch").write_bytes(found.patch)
    git(copy, "apply", str(tmp_path / "p.patch"))
    for name in ("train.py", "old.bin", "new file ü.py", "sub/data.bin"):
        assert (copy / name).read_bytes() == (project / name).read_bytes()
    assert not (copy / "ignored").exists()


def test_the_fingerprint_is_of_the_code_and_not_of_the_moment(project):
    clean = code(project).fingerprint
    dirty(project)
    changed = code(project).fingerprint
    assert changed != clean
    assert code(project).fingerprint == changed
    (project / "sub" / "data.bin").write_bytes(b"\0\1\3")
    assert code(project).fingerprint not in (clean, changed)


def test_a_change_in_the_second_of_the_commit_that_keeps_the_size_is_seen(project):
    then = (10**9, 10**9)
    git(project, "config", "core.trustctime", "false")
    os.utime(project / "train.py", then)
    git(project, "add", ".")
    (project / "train.py").write_text("lr = 3\n")
    for path in (project / "train.py", project / ".git" / "index"):
        os.utime(path, then)
    assert b"+lr = 3" in code(project).patch
    (project / "new.py").write_text("")
    assert b"+lr = 3" in code(project).patch


def test_large_files_and_secrets_are_left_out_and_listed(project, monkeypatch):
    monkeypatch.setattr(provenance, "FILE_BYTES", 1000)
    (project / "weights").write_bytes(b"w" * 1001)
    (project / ".env").write_text("TOKEN=hunter2")
    (project / "deep").mkdir()
    (project / "deep" / "id_rsa").write_text("hunter2")
    (project / "train.py").write_text("x" * 2000)
    (project / "small.py").write_text("kept = True\n")
    found = code(project)
    assert set(found.left_out) == {"weights", ".env", "deep/id_rsa", "train.py"}
    assert found.left_out["weights"].startswith("1001 bytes, over 1000; sha256 ")
    assert found.left_out[".env"] == "its name is one of a secret"
    assert b"kept = True" in found.patch
    assert b"hunter2" not in found.patch
    assert b"wwww" not in found.patch
    before = found.fingerprint
    (project / "weights").write_bytes(b"v" * 1001)
    assert code(project).fingerprint != before


def test_the_whole_patch_is_bounded(project, monkeypatch):
    monkeypatch.setattr(provenance, "PATCH_BYTES", 3000)
    for i in range(5):
        (project / f"f{i}").write_text(f"{i}" * 1000)
    found = code(project)
    assert len(found.patch) <= 3000
    assert {name for name in found.left_out if "the patch" in found.left_out[name]} >= {"f3", "f4"}


def test_run_directories_inside_the_project_are_no_code(project):
    before = code(project)
    run = project / "runs" / "a"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "metrics.jsonl").write_text("{}")
    after = code(project)
    assert (after.patch, after.dirty, after.fingerprint) == (b"", False, before.fingerprint)


def test_a_project_without_a_commit_is_all_patch(tmp_path):
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "a.py").write_text("a = 1\n")
    (tmp_path / "b.py").write_text("b = 1\n")
    git(tmp_path, "add", "a.py")
    found = code(tmp_path)
    assert (found.commit, found.dirty) == (None, True)
    assert b"a = 1" in found.patch
    assert b"b = 1" in found.patch


def test_no_checkout_and_no_git_are_no_code(tmp_path, monkeypatch):
    assert not any(c.name == "project" for c in capture(tmp_path).code)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = capture(tmp_path)
    assert found.code == ()
    assert found.main is None


def test_packages_and_interpreter_are_named(project):
    import platform

    import pydantic

    found = capture(project)
    assert found.packages["pydantic"] == pydantic.VERSION
    assert found.python.startswith(platform.python_version())


def test_what_is_written_is_the_patch_and_json_without_it(project, tmp_path):
    dirty(project)
    found = capture(project)
    (tmp_path / "out").mkdir()
    found.write(tmp_path / "out")
    stored = json.loads((tmp_path / "out" / "provenance.json").read_text())
    first = stored["code"][0]
    assert first["name"] == "project"
    assert first["fingerprint"] == found.code[0].fingerprint
    assert "patch" not in first
    assert (tmp_path / "out" / "project.patch").read_bytes() == found.code[0].patch
