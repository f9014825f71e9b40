import io

import pytest

from trueloop.loop.progress import Report


def test_without_a_terminal_it_writes_a_line_now_and_then_with_rate_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("trueloop.loop.progress.time.monotonic", lambda: now[0])
    out = io.StringIO()
    with Report("train", 10, done=2, stream=out, every_s=5) as report:
        for _ in range(8):
            now[0] += 2.0
            report.advance({"loss": 0.123456, "note": "x"})
    lines = out.getvalue().splitlines()
    assert lines[0] == "train: 3/10  2.00 s each  ETA 14 s  loss 0.123  note x"
    assert lines[1] == "train: 6/10  2.00 s each  ETA 8 s  loss 0.123  note x"
    assert lines[-1] == "train: 10/10  2.00 s each  ETA 0 s"
    assert len(lines) == 4


def test_long_lines_are_not_broken_in_logs() -> None:
    out = io.StringIO()
    with Report("train", 1, stream=out) as report:
        report.say("x" * 300)
    assert out.getvalue() == "x" * 300 + "\n"


def test_nothing_done_says_nothing() -> None:
    out = io.StringIO()
    with Report("train", 5, done=5, stream=out):
        pass
    assert out.getvalue() == ""
