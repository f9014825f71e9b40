"""The command line.  Nothing heavy is imported before a command needs it, so that help is immediate."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType

from trueloop import __version__
from trueloop.cli import checking, doctoring, evaluation, replaying, runs, sampling, serving
from trueloop.errors import ConfigError, TrueloopError

_FILE_ERRORS = {
    errno.ENOSPC: "the disk is full; free some space, or choose another place",
    errno.EDQUOT: "the disk quota is used up; free some space, or choose another place",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EACCES: "permission denied; choose another place, or change its permissions",
    errno.EPERM: "permission denied; choose another place, or change its permissions",
    errno.ENOENT: "no such file or directory",
    errno.ENOTDIR: "a file stands where a directory was expected",
    errno.EISDIR: "a directory stands where a file was expected",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 for a failure, 2 for a bad configuration, 130 for Ctrl-C."""
    sys.excepthook = _report_bug
    try:
        code = _command(argv)
        sys.stdout.flush()
    except TrueloopError as error:
        return _fail(str(error), 2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return _fail("interrupted", 130)
    except BrokenPipeError:
        _drop_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        _drop_output()
        if error.errno not in _FILE_ERRORS:
            raise
        return _fail(f"{error.filename or error}: {_FILE_ERRORS[error.errno]}", 1)
    return code


def _command(argv: Sequence[str] | None) -> int:
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    code: int = arguments.command(arguments)
    return code


def _drop_output() -> None:
    """Leave nothing to write that would fail a second time when the interpreter ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trueloop", description="Post-training for language models.")
    parser.add_argument("--version", action="version", version=f"trueloop {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    for part in (runs, checking, doctoring, replaying, sampling, evaluation, serving):
        part.add(commands)
    return parser


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


def _report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nothing caught: a full disk that a library told in its own words, or else a bug."""
    if "No space left on device" in str(error):
        _fail(f"{error}: {_FILE_ERRORS[errno.ENOSPC]}", 1)
        return
    traceback.print_exception(kind, error, trace)
    print(f"error: this is a bug in trueloop {__version__}; the traceback above says where", file=sys.stderr)
