"""One torch thread in every test: two threads collapse as soon as anything else runs on the machine."""

import os

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
