import json
import os
import random
import shutil
import signal
import time
import warnings

import pytest

from trueloop.errors import DataError, StoreError
from trueloop.records import CheckResult
from trueloop.store.artefacts import damage
from trueloop.store.checkpoints import Keep
from trueloop.store.run import Retention, Run, contents
from trueloop.store.trace import read_rollouts


def test_a_new_run_says_what_it_is(new_run):
    run = new_run()
    names = {p.relative_to(run.path).as_posix() for p in run.path.rglob("*")}
    assert names == {
        "run.json",
        "config.toml",
        "status.json",
        "lock",
        "rollouts",
        "checkpoints",
        "provenance",
        "provenance/000",
        "provenance/000/provenance.json",
    }
    info = Run.open(run.path).info
    assert (info.recipe, info.seed, info.commit, info.dirty) == ("rlvr", 7, "c0ffee", False)
    assert info.config == {"optim": {"lr": 1e-5}, "steps": 10}
    assert info.difference == {"optim.lr": [1e-6, 1e-5]}
    assert info == run.info
    assert {p.name for p in run.path.parent.iterdir()} == {"run"}


def test_a_directory_with_a_run_is_refused_and_told_how_to_go_on(new_run, train):
    run = new_run()
    train(run, 1, 2)
    with pytest.raises(StoreError) as refused:
        new_run()
    assert str(refused.value) == (
        f"{run.path}: holds a run already (rlvr, started {run.info.started_at}, running, last step 2); "
        "continue it with --resume, or choose another directory"
    )


def test_a_directory_with_something_else_is_refused_and_an_empty_one_taken(tmp_path, new_run):
    (tmp_path / "empty").mkdir()
    assert new_run("empty").last_step is None
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis").write_text("x")
    with pytest.raises(StoreError, match="mine: something else stands here"):
        new_run("mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis"]


def test_creation_killed_at_any_call_leaves_nothing_or_a_whole_run(tmp_path, new_run, killed_at, resume):
    outcomes = set()
    for n in range(1, 200):
        with killed_at(n) as died:
            new_run(str(n)).close()
        path = tmp_path / str(n)
        outcomes.add(path.exists())
        again = resume(path) if path.exists() else new_run(str(n))
        assert again.status()["state"] == "running"
        assert {p.name for p in tmp_path.iterdir() if p.name.startswith(f".{n}.")} == set()
        again.close()
        if not died():
            break
    assert not died()
    assert outcomes == {True, False}


def test_steps_checks_and_evaluations_are_read_back(new_run, train):
    run = new_run()
    train(run, 1, 4)
    reader = Run.open(run.path)
    assert [row["loss"] for row in reader.metrics()] == [1, 1 / 2, 1 / 3, 1 / 4]
    assert [(row["step"], row["id"], row["value"]) for row in reader.checks()] == [(i, "kl", i) for i in range(1, 5)]
    assert [(row["step"], row["accuracy"]) for row in reader.evaluations()] == [(3, 0.03)]
    assert [row["step"] for row in read_rollouts(run.path)] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert reader.last_step == 4
    assert reader.checkpoints.latest().step == 3


def test_steps_go_up(new_run, train):
    run = new_run()
    train(run, 1, 2)
    for step in (2, 1, None, "3"):
        with pytest.raises(DataError, match=r"a row of step .* after step 2; expected a later one"):
            run.write_step({"step": step}, [])
    assert [row["step"] for row in run.metrics()] == [1, 2]


def test_the_status_follows_the_run(new_run, train, resume):
    run = new_run()
    train(run, 1, 2)
    status = Run.open(run.path).status()
    assert (status["state"], status["step"], status["pid"]) == ("running", 2, os.getpid())
    run.close()
    assert Run.open(run.path).status()["state"] == "killed"
    run = resume(run.path)
    run.finish("finished", "all 10 steps")
    run.finish("failed", "too late")
    run.close()
    status = Run.open(run.path).status()
    assert (status["state"], status["why"], status["step"]) == ("finished", "all 10 steps", 2)


@pytest.mark.parametrize(
    ("error", "state", "why"),
    [
        (ValueError("bad batch"), "failed", "ValueError: bad batch"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (None, "interrupted", "closed without an outcome"),
    ],
)
def test_as_a_context_the_run_says_how_it_ended(new_run, error, state, why):
    try:
        with new_run() as run:
            if error is not None:
                raise error
    except (ValueError, KeyboardInterrupt) as raised:
        assert raised is error
    status = Run.open(run.path).status()
    assert (status["state"], status["why"]) == (state, why)
    with new_run("closed by hand") as run:
        run.close()


def test_only_the_holder_of_the_lock_writes(new_run, resume):
    run = new_run()
    reader = Run.open(run.path)
    writes = [
        lambda r: r.write_step({"step": 1}, []),
        lambda r: r.add_check(CheckResult(id="a", status="pass"), 1),
        lambda r: r.add_evaluation({}, 1),
        lambda r: r.rewind(0),
        lambda r: r.finish("finished", ""),
    ]
    for write in writes:
        with pytest.raises(StoreError, match="opened for reading, or closed; resume the run"):
            write(reader)
    with pytest.raises(StoreError, match=f"process {os.getpid()} on .* is writing this run"):
        resume(run.path)
    run.close()
    with pytest.raises(StoreError, match="or closed"):
        run.write_step({"step": 1}, [])
    resume(run.path).close()


@pytest.mark.parametrize("kind", ["missing", "no run"])
def test_what_is_not_a_run_is_named(tmp_path, resume, kind):
    path = tmp_path / "a"
    if kind == "no run":
        path.mkdir()
    for take in (Run.open, resume):
        with pytest.raises(
            StoreError, match=r"a (does not exist|is not a run directory: it has no run\.json); expected"
        ):
            take(path)


def test_a_changed_configuration_or_data_is_refused_and_nothing_is_touched(new_run, resume, train):
    run = new_run()
    train(run, 1, 3)
    run.close()
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file() and p.name != "lock"}
    config, data = {"optim": {"lr": 3e-5}, "steps": 10}, {"gsm8k/train": "aa11", "template": "zz"}
    with pytest.raises(StoreError) as refused:
        resume(run.path, config=config, data=data)
    assert "config optim.lr: 1e-05 -> 3e-05" in str(refused.value)
    assert 'data template: "bb22" -> "zz"' in str(refused.value)
    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file() and p.name != "lock"} == before
    resume(run.path).close()


def test_what_may_change_is_in_force_from_then_on(new_run, resume):
    run = new_run()
    run.close()
    more = {"optim": {"lr": 1e-5}, "steps": 20}
    run = resume(run.path, config=more, may_change=["steps"])
    assert run.info.config == Run.open(run.path).info.config == more
    assert run.info.fingerprint != new_run("other").info.fingerprint
    assert run.resumes()[0]["config"] == {"steps": [10, 20]}
    run.close()
    with pytest.raises(StoreError, match="config steps: 20 -> 10"):
        resume(run.path)


def test_changed_code_is_recorded_and_warned_of_once(new_run, resume, steady_code):
    run = new_run()
    run.close()
    steady_code("beef", b"+ a line")
    with pytest.warns(UserWarning, match=r"resumed with other code than before: project: commit c0ffee -> beef"):
        run = resume(run.path)
    assert (run.path / "provenance" / "001" / "project.patch").read_bytes() == b"+ a line"
    assert run.resumes()[0]["code"] == ["project: commit c0ffee -> beef"]
    run.close()
    run = resume(run.path)
    assert [row["code"] for row in run.resumes()][1:] == [[]]
    assert run.info.commit == "c0ffee", "what the run began with"


def test_leftovers_and_torn_lines_go_at_resume(new_run, resume, train):
    run = new_run()
    train(run, 1, 3)
    run.close()
    (run.path / "rollouts" / ".step-000004.parquet.0.partial").write_text("half")
    (run.path / "checkpoints" / ".step-000004.0.partial").mkdir()
    (run.path / ".status.json.0.partial").write_text("half")
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert Run.open(run.path).last_step == 3
    run = resume(run.path)
    assert run.last_step == 3
    assert not list(run.path.rglob("*.partial"))
    train(run, 4, 4)
    assert [row["step"] for row in run.metrics()] == [1, 2, 3, 4]


def test_a_damaged_journal_stops_the_resume_and_frees_the_lock(new_run, resume, train):
    run = new_run()
    train(run, 1, 3)
    run.close()
    path = run.path / "metrics.jsonl"
    good = path.read_text()
    path.write_text(good.replace('{"step":2,', '{"step"2,'))
    with pytest.raises(StoreError, match=r"metrics\.jsonl: line 2 is damaged"):
        resume(run.path)
    path.write_text(good)
    resume(run.path).close()


@pytest.mark.parametrize("stopped", [3, 4, 5, 6, 8])
def test_a_rewound_run_writes_what_an_uninterrupted_one_does(new_run, resume, train, stopped):
    whole = new_run("whole")
    train(whole, 1, 9)
    run = new_run("stopped")
    train(run, 1, stopped)
    run.close()
    run = resume(run.path)
    back = run.checkpoints.latest().step
    run.rewind(back)
    assert run.last_step == back == stopped - stopped % 3
    train(run, back + 1, 9)
    assert contents(run.path) == contents(whole.path)
    for name in ("checks.jsonl", *(f"rollouts/step-{i:06d}.parquet" for i in range(1, 10))):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_rewinding_to_before_the_first_step_drops_everything(new_run, train):
    run = new_run()
    run.add_evaluation({"accuracy": 0.1}, 0)
    train(run, 1, 4)
    run.rewind(0)
    assert contents(run.path)["evaluations.jsonl"] == [{"step": 0, "accuracy": 0.1}]
    assert run.last_step is None
    run.rewind(-1)
    assert set(contents(run.path)) == {"metrics.jsonl", "checks.jsonl", "evaluations.jsonl", "liveness.jsonl"}
    assert not any(contents(run.path).values())


def test_contents_tells_a_changed_value_from_a_changed_timing(new_run):
    runs = [new_run(name) for name in "abc"]
    for run, loss, seconds in zip(runs, (1.0, 1.0, 1.5), (0.1, 0.2, 0.1), strict=True):
        run.write_step({"step": 1, "loss": loss, "seconds": {"step": seconds}}, [])
    a, b, c = (contents(run.path) for run in runs)
    assert a == b != c


def test_rewinding_killed_at_any_call_can_be_done_again(tmp_path, new_run, resume, train, killed_at):
    whole = new_run("whole")
    train(whole, 1, 3)
    longer = new_run("longer")
    train(longer, 1, 6)
    for n in range(1, 200):
        run = resume(shutil.copytree(longer.path, tmp_path / str(n)))
        with killed_at(n) as died:
            run.rewind(3)
        run.close()
        run = resume(run.path)
        run.rewind(3)
        assert contents(run.path) == contents(whole.path)
        run.close()
        if not died():
            break
    assert not died()


def test_a_step_killed_at_any_call_is_there_or_not(tmp_path, new_run, resume, train, killed_at):
    seen = set()
    begun = new_run("begun")
    train(begun, 1, 3)
    for n in range(1, 200):
        run = resume(shutil.copytree(begun.path, tmp_path / str(n)))
        with killed_at(n) as died:
            train(run, 4, 4)
        run.close()
        run = resume(run.path)
        assert run.last_step in (3, 4)
        seen.add(run.last_step)
        parts = {row["step"] for row in read_rollouts(run.path)}
        assert set(range(1, run.last_step + 1)) <= parts
        run.rewind(3)
        assert {row["step"] for row in read_rollouts(run.path)} == {1, 2, 3}
        run.close()
        if not died():
            break
    assert not died()
    assert seen == {3, 4}


def test_the_retention_reaches_checkpoints_and_rollouts(new_run, train):
    run = new_run(retention=Retention(checkpoints=Keep(latest=1, best=0), rollout_bytes=0))
    train(run, 1, 6)
    assert [c.step for c in run.checkpoints.all()] == [6]
    assert {row["kept"] for row in read_rollouts(run.path)} == {"numbers"}


def test_a_full_disk_stops_the_run_with_one_error_and_room_lets_it_go_on(small_disk, new_run, resume, train):
    disk = small_disk("512k")
    run = new_run(disk / "run")
    filler = disk / "filler"
    with pytest.raises(StoreError, match=r"the disk is full \(.* free\); make room there"), run:
        train(run, 1, 3)
        filler.write_bytes(b"x" * 100_000)
        train(run, 4, 500)
    last = Run.open(run.path).last_step
    assert last > 3
    filler.unlink()
    run = resume(run.path)
    run.rewind(run.checkpoints.latest().step)
    assert all(damage(c.path) is None for c in run.checkpoints.all())
    train(run, run.last_step + 1, last)
    assert run.last_step == last
    run.close()


def test_a_read_only_directory_is_one_clear_error(small_disk, new_run):
    with pytest.raises(StoreError, match="cannot write a new run: the file system is read-only"):
        new_run(small_disk("1m", "ro") / "run")


@pytest.mark.slow
def test_kill_9_at_a_dozen_moments_changes_nothing(tmp_path, start_worker):
    for name in ("whole", "killed"):
        given = {"recipe": "x", "config": {"a": 1}, "difference": {}, "seed": 0, "data": {}}
        Run.create(tmp_path / name, **given).close()

    draw = random.Random(0)
    kills, steps = 0, 0
    while kills < 12:
        process = start_worker(tmp_path / "killed", 100_000)
        assert process.stdout.readline() == b"ready\n"
        time.sleep(draw.uniform(0.0, 0.25) * 2 ** (kills % 4))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        kills += 1
        reader = Run.open(tmp_path / "killed")
        assert reader.status()["state"] == "killed"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            latest = reader.checkpoints.latest()
        assert [row["step"] for row in reader.metrics()] == list(range(1, (reader.last_step or 0) + 1))
        assert (latest.step if latest else 0) <= (reader.last_step or 0)
        steps = max(steps, reader.last_step or 0)
    for name in ("killed", "whole"):
        process = start_worker(tmp_path / name, steps + 3)
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert steps > 3
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    status = json.loads((tmp_path / "killed" / "status.json").read_text())
    assert (status["state"], status["step"]) == ("finished", steps + 3)
