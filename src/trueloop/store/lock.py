"""A lock that the kernel releases when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from trueloop.errors import StoreError
from trueloop.store.artefacts import Writing

WAIT_SECONDS = 0.3
_held: set[Lock] = set()


class Lock:
    """Exclusive use of what the lock file stands for, from construction to `release` or to the process's end.

    Raises `StoreError` naming the holder where another process, or another lock in this one, has it.  A forked child
    does not hold it: workers that outlive a killed parent keep nobody out.
    """

    def __init__(self, path: Path) -> None:
        with Writing(path, "the lock"), ExitStack() as undo:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            _held.add(self)
            undo.callback(self.release)
            if not _taken(self._fd):
                raise StoreError(
                    f"{path.parent}: {_shown_holder(path)} is writing this run; wait for it or stop it, then try again"
                )
            os.ftruncate(self._fd, 0)
            os.write(self._fd, _holder().encode())
            undo.pop_all()

    @property
    def held(self) -> bool:
        """Whether this process still has it."""
        return self in _held

    def release(self) -> None:
        """Let others in.  Calling it twice is harmless."""
        if self in _held:
            _held.discard(self)
            os.close(self._fd)


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock now."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(fd)


def _taken(fd: int) -> bool:
    """Try for a moment: `is_held` of a reader stands in the way for as long as it looks."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)


def _holder() -> str:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})


def _shown_holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"process {holder['pid']} on {holder['host']} (since {holder['since']})"
    except (OSError, ValueError):
        return "another process"


def _close_in_child() -> None:
    for lock in _held:
        os.close(lock._fd)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)
