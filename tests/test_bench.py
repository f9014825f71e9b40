"""Every script in bench/ runs; what it measures is not looked at, since a timed test fails on a busy machine."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"
HEADER = {
    "engine_vs_generate.py": "ratio of CPU seconds",
    "verdicts.py": "ratio to math-verify",
    "step_vs_plain.py": "| case | loop | sampling, CPU s | training, CPU s |",
}
BY_HAND = {
    "check_cost.py": "trains the world's policy first, which takes minutes",
    "faults_vs_peers.py": "installs the peer in an environment of its own",
}
"""Why a script is not run here."""


def test_every_script_is_tried():
    assert {script.name for script in BENCH.glob("*.py")} == HEADER.keys() | BY_HAND.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADER)
def test_a_script_runs_and_prints_its_table(name, tmp_path):
    done = subprocess.run([sys.executable, BENCH / name, "--quick"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert HEADER[name] in done.stdout
    assert len(done.stdout.splitlines()) > 4
