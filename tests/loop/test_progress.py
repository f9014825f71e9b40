import io
import re
import time

import pytest
from rich.console import Console

from trueloop.loop.progress import Report


def test_without_a_terminal_it_writes_a_line_now_and_then_with_rate_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("trueloop.loop.progress.time.monotonic", lambda: now[0])
    out = io.StringIO()
    with Report("train", 10, done=2, console=Console(file=out), every_s=5) as report:
        for _ in range(8):
            now[0] += 2.0
            report.advance({"loss": 0.123456, "note": "x"})
    lines = out.getvalue().splitlines()
    assert lines[0] == "train: 3/10  2.00 s each  ETA 0:00:14  loss 0.123  note x"
    assert lines[1] == "train: 6/10  2.00 s each  ETA 0:00:08  loss 0.123  note x"
    assert lines[-1] == "train: 10/10  2.00 s each  ETA 0:00:00"
    assert len(lines) == 4


def test_long_lines_are_not_broken_in_logs() -> None:
    out = io.StringIO()
    with Report("train", 1, console=Console(file=out)) as report:
        report.say("x" * 300)
    assert out.getvalue() == "x" * 300 + "\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_where_nothing_is_left_to_do_nothing_is_shown(terminal: bool) -> None:
    out = io.StringIO()
    with Report("warm start", 60, done=60, console=Console(file=out, force_terminal=terminal, width=80)) as report:
        report.phase("checkpoint")
    assert out.getvalue() == ""


NOTE = {"reward/mean": 0.3123, "parts/strict": 0.25, "groups/flat": 0.1, "length/mean": 123.4, "grad_norm": 1.25}


def on_terminal(width: int) -> list[str]:
    """The last two lines that a terminal of this width shows, without their colours."""
    out = io.StringIO()
    with Report("warm start", 60, done=2, console=Console(file=out, force_terminal=True, width=width)) as report:
        for _ in range(3):
            time.sleep(0.005)
            report.advance(NOTE)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    return [line.split("\r")[-1] for line in plain.strip("\n").split("\n")][-2:]


@pytest.mark.parametrize("width", [50, 80, 200])
def test_on_a_terminal_bar_count_rate_and_end_are_whole_at_any_width(width: int) -> None:
    bar, note = on_terminal(width)
    assert re.fullmatch(r"warm start .*(━|-){4,}.* 5/60 \d+\.\d\d/s ETA 0:00:0\d *", bar)
    assert note.startswith("reward/mean 0.312  parts/strict 0.25")
    assert max(len(bar), len(note)) <= width
    assert note.endswith("…") == (width < 100)


def test_a_terminal_shows_what_goes_on_before_the_first_step() -> None:
    out = io.StringIO()
    with Report("train", 4, console=Console(file=out, force_terminal=True, width=80)) as report:
        report.phase("guard evaluation")
        time.sleep(0.3)
    assert "guard evaluation" in out.getvalue()


def test_off_a_terminal_a_phase_that_takes_long_is_said_once() -> None:
    out = io.StringIO()
    with Report("train", 4, console=Console(file=out), every_s=0.1) as report:
        report.phase("filling the step")
        report.phase("guard evaluation")
        time.sleep(0.5)
        report.phase("checkpoint")
    assert out.getvalue() == "train: 0/4  guard evaluation since 0 s\n"


def test_work_before_the_first_unit_does_not_count_towards_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now, out = [100.0], io.StringIO()
    monkeypatch.setattr("trueloop.loop.progress.time.monotonic", lambda: now[0])
    with Report("train", 3, console=Console(file=out), every_s=1) as report:
        now[0] += 1000
        report.reset_clock()
        now[0] += 2
        report.advance({})
    assert out.getvalue().splitlines()[0] == "train: 1/3  2.00 s each  ETA 0:00:04"
