import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from trueloop.errors import StoreError
from trueloop.store.lock import Lock, is_held

HOLD = """
import os, sys, time
from pathlib import Path
from trueloop.store.lock import Lock
lock = Lock(Path(sys.argv[1]))
if sys.argv[2] == "fork" and os.fork() == 0:
    os.write(1, b"held\\n")
    time.sleep(60)
if sys.argv[2] != "fork":
    os.write(1, b"held\\n")
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds `lock`, started once it does; `fork` leaves a child that outlives it."""
    started = []

    def start(mode="alone"):
        command = [sys.executable, "-c", HOLD, str(tmp_path / "lock"), mode]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        started.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def test_a_second_lock_is_refused_and_names_the_holder(tmp_path):
    lock = Lock(tmp_path / "lock")
    with pytest.raises(StoreError, match=rf"{tmp_path}: process {os.getpid()} on .* is writing this run; wait"):
        Lock(tmp_path / "lock")
    assert lock.held
    lock.release()
    lock.release()
    assert not lock.held
    second = Lock(tmp_path / "lock")
    assert not lock.held
    second.release()


def test_another_process_keeps_us_out_until_it_is_killed(tmp_path, holder):
    process = holder()
    assert is_held(tmp_path / "lock")
    with pytest.raises(StoreError, match=f"process {process.pid} on"):
        Lock(tmp_path / "lock")
    process.kill()
    process.wait()
    assert not is_held(tmp_path / "lock")
    Lock(tmp_path / "lock").release()


def test_a_forked_worker_that_outlives_its_killed_parent_keeps_nobody_out(tmp_path, holder):
    process = holder("fork")
    process.kill()
    process.wait()
    Lock(tmp_path / "lock").release()


def test_a_lock_that_does_not_exist_is_not_held(tmp_path):
    assert not is_held(tmp_path / "lock")
    assert not (tmp_path / "lock").exists()


def test_looking_does_not_keep_a_writer_out(tmp_path):
    Lock(tmp_path / "lock").release()
    looker = "import sys\nfrom pathlib import Path\nfrom trueloop.store.lock import is_held\n"
    looker += "print(flush=True)\nwhile True: is_held(Path(sys.argv[1]))"
    command = [sys.executable, "-c", looker, str(tmp_path / "lock")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    process.stdout.readline()
    try:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            Lock(tmp_path / "lock").release()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
