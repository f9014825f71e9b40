"""One torch thread in every test: two threads collapse as soon as anything else runs on the machine."""

import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from trueloop.store import run as run_module
from trueloop.store.provenance import Code, Provenance

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def steady_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs see this code and not the working tree, which may change while the tests run and would be warned of."""
    code = Code(name="project", root="/p", commit="c0ffee", branch="main", dirty=False, patch=b"")
    steady = Provenance(code=(code,), packages={"a": "1"}, python="3", platform="x", machine={}, argv=())
    monkeypatch.setattr(run_module, "capture", lambda: steady)


@pytest.fixture(scope="session")
def warm_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that does some sums right: trained once for all test processes, which wait for the first of them."""
    from trueloop.faults.beds import warm_model

    shared = (
        tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.getbasetemp()
    )
    with (shared / "warm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return warm_model(shared / "warm")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """`small_disk(size, options)` mounts a file system of that size; skips where mounting is not allowed."""
    mounted = []

    def mount(size: str, options: str = "rw") -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},{options}", "tmpfs", str(place)]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip("needs the command `mount`")
        if done.returncode != 0:
            pytest.skip("needs the right to mount a small file system")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)  # models may still be mapped from it
