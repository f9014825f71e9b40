"""What a run was made with: code with its uncommitted changes, packages, interpreter, machine.

The code is the project in the current directory and trueloop's own source, where they are git checkouts.  Uncommitted
changes are stored as a patch that `git apply` takes on top of the commit; it holds untracked files whole, as long as
they are small.  Left out and listed: what git ignores, files over `FILE_BYTES`, all that would take the patch over
`PATCH_BYTES`, files inside run directories, and names that usually hold secrets.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trueloop.records import Json, content_hash
from trueloop.store.artefacts import hash_file

FILE_BYTES = 1 << 20
PATCH_BYTES = 16 << 20
GIT_SECONDS = 30
RUN_MARK = "run.json"
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
SECRET_NAMES = (".env", ".env.*", ".netrc", "*.pem", "*.key", "id_rsa*", "id_ed25519*", "credentials*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One checkout.  patch: its changes on top of `commit`; left_out: relative name -> why it is not in the patch."""

    name: str
    root: str
    commit: str | None
    branch: str | None
    dirty: bool
    patch: bytes = b""
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Equal for equal code, as far as it was recorded."""
        return content_hash(self.commit, self.patch.decode("latin-1"), dict(self.left_out))


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a run was made with."""

    code: tuple[Code, ...]
    packages: Mapping[str, str]
    python: str
    platform: str
    machine: Mapping[str, Json]
    argv: tuple[str, ...]

    @property
    def main(self) -> Code | None:
        """The project in the current directory if it is a checkout, else trueloop's source, else None."""
        return self.code[0] if self.code else None

    def write(self, directory: Path) -> None:
        """`provenance.json`, and `<name>.patch` for each checkout with changes, into an existing directory."""
        for code in self.code:
            if code.patch:
                (directory / f"{code.name}.patch").write_bytes(code.patch)
        text = json.dumps(self.plain(), indent=1, ensure_ascii=False)
        (directory / "provenance.json").write_text(text + "\n", encoding="utf-8", errors="backslashreplace")

    def plain(self) -> Json:
        """As JSON, with the fingerprint of each patch in place of the patch."""
        codes = [
            {k: v for k, v in asdict(c).items() if k != "patch"} | {"fingerprint": c.fingerprint} for c in self.code
        ]
        return asdict(self) | {"code": codes}


def capture(project: Path | None = None) -> Provenance:
    """Look at the current directory (or `project`), trueloop's source, the packages and the machine; some 0.3 s."""
    roots = {"project": _git_root(project or Path.cwd()), "trueloop": _git_root(Path(__file__).parent)}
    if roots["project"] == roots["trueloop"]:
        del roots["project"]
    return Provenance(
        code=tuple(_code(name, root) for name, root in roots.items() if root is not None),
        packages=dict(sorted((d.name, d.version) for d in importlib.metadata.distributions() if d.name)),
        python=sys.version,
        platform=platform.platform(),
        machine={"host": socket.gethostname(), "processor": platform.processor(), "cores": os.cpu_count()},
        argv=tuple(sys.argv),
    )


def _code(name: str, root: Path) -> Code:
    commit = _text(_git(root, "rev-parse", "--verify", "--quiet", "HEAD"))
    tracked = _names(_git(root, "diff", "--name-only", "-z", commit or EMPTY_TREE))
    untracked = _outside_runs(_names(_git(root, "ls-files", "--others", "--exclude-standard", "-z")))
    left_out = _left_out(root, [*tracked, *untracked])
    patch = _patch(root, commit or EMPTY_TREE, [u for u in untracked if u not in left_out], left_out)
    if len(patch) > PATCH_BYTES:
        left_out |= {name: f"the patch has {len(patch)} bytes, over {PATCH_BYTES}" for name in [*tracked, *untracked]}
        patch = b""
    branch = _text(_git(root, "symbolic-ref", "--short", "--quiet", "HEAD"))
    dirty = bool(tracked or untracked)
    return Code(name=name, root=str(root), commit=commit, branch=branch, dirty=dirty, patch=patch, left_out=left_out)


def _left_out(root: Path, names: Iterable[str]) -> dict[str, str]:
    left_out, total = {}, 0
    for name in names:
        path = root / name
        size = path.stat().st_size if path.is_file() and not path.is_symlink() else 0
        if path.is_dir() and not path.is_symlink():
            left_out[name] = "a checkout of its own"
        elif any(Path(name).match(secret) for secret in SECRET_NAMES):
            left_out[name] = "its name is one of a secret"
        elif size > FILE_BYTES:
            left_out[name] = f"{size} bytes, over {FILE_BYTES}; sha256 {hash_file(path)}"
        elif total + size > PATCH_BYTES:
            left_out[name] = f"{size} bytes, and the patch is full; sha256 {hash_file(path)}"
        else:
            total += size
    return left_out


def _patch(root: Path, base: str, untracked: list[str], left_out: Mapping[str, str]) -> bytes:
    """Changes against `base`, untracked files as new ones, by way of a copy of the index: the real one stays."""
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder, "index")
        real = Path(_text(_git(root, "rev-parse", "--absolute-git-dir")) or root / ".git", "index")
        if real.is_file():
            shutil.copy2(real, index)  # with its date: git takes files younger than the index for changed
        environment = {"GIT_INDEX_FILE": str(index)}
        if untracked:
            listed = "\0".join(untracked).encode(errors="surrogateescape")
            arguments = ("add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul")
            _git(root, "--literal-pathspecs", *arguments, stdin=listed, environment=environment)
        without = [f":(top,exclude,literal){name}" for name in left_out]
        plain = ("--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color")
        return _git(root, "diff", *plain, base, "--", ":/", *without, environment=environment)


def _outside_runs(names: Sequence[str]) -> list[str]:
    """A run directory in the project is no code, and would change the code's fingerprint while it runs."""
    runs = {Path(name).parent for name in names if Path(name).name == RUN_MARK}
    return [name for name in names if runs.isdisjoint(Path(name).parents)]


def _git_root(directory: Path) -> Path | None:
    top = _text(_git(directory, "rev-parse", "--show-toplevel"))
    return Path(top) if top else None


def _git(
    directory: Path, *arguments: str, stdin: bytes | None = None, environment: Mapping[str, str] | None = None
) -> bytes:
    """Output of a git command; nothing where git is absent, refuses, or takes longer than `GIT_SECONDS`."""
    command = ["git", "-C", str(directory), "-c", "core.quotePath=false", *arguments]
    try:
        done = subprocess.run(
            command,
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_SECONDS,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", **(environment or {})},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""


def _text(output: bytes) -> str | None:
    return os.fsdecode(output).strip() or None


def _names(output: bytes) -> list[str]:
    return [os.fsdecode(name) for name in output.split(b"\0") if name]
