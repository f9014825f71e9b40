import asyncio
import sys

import pytest

from trueloop.errors import DataError
from trueloop.records import Problem, Score
from trueloop.verify.pool import GRACE, VerifierPool


def problem(task="sums"):
    return Problem.create(prompt="1+1=", target="2", task=task, split="test")


def score(pool, text="2", task="sums", **options):
    return asyncio.run(pool.score(problem(task), text, **options))


def by_text(problem, text):
    if text == "raise":
        raise KeyError("no such table")
    if text == "exit":
        sys.exit(0)
    if text == "odd":
        return 1.0
    if text == "row":
        return Score(status="unscorable", why="bad row")
    return Score(status="scored", reward=float(text == problem.target))


def test_a_verdict_and_its_options_pass_through():
    pool = VerifierPool(lambda p, text, leniency: Score(status="scored", reward=leniency))
    assert score(pool, leniency=0.25) == Score(status="scored", reward=0.25)


@pytest.mark.parametrize(("text", "shown"), [("raise", "no such table"), ("exit", "SystemExit"), ("odd", "got float")])
def test_what_a_verifier_raises_is_an_error_and_never_a_score(text, shown):
    pool = VerifierPool(by_text)
    verdict = score(pool, text)
    assert (verdict.status, verdict.reward, verdict.passed) == ("error", None, None)
    assert shown in verdict.why and "Traceback" in verdict.why


def test_a_cancelled_run_is_not_a_verifier_error():
    def cancelled(problem, text):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        score(VerifierPool(cancelled))


def test_counts_and_timing_are_kept_for_each_task():
    pool = VerifierPool(by_text, max_error_share=1.0)
    for text, task in [("2", "sums"), ("raise", "sums"), ("row", "sums"), ("2", "words")]:
        score(pool, text, task)
    report = pool.report()
    assert {k: report["sums"][k] for k in ("calls", "errors", "unscorable", "error_share")} == {
        "calls": 3,
        "errors": 1,
        "unscorable": 1,
        "error_share": pytest.approx(1 / 3),
    }
    assert report["words"]["errors"] == 0
    assert 0 < report["sums"]["p50"] <= report["sums"]["p99"] < 1


def test_percentiles_are_of_nearest_rank():
    pool = VerifierPool(by_text)
    score(pool)
    stats = pool.stats["sums"]
    stats.seconds.clear()
    assert stats.percentile(0.5) is None
    stats.seconds.extend(reversed(range(100)))
    assert [stats.percentile(q) for q in (0.0, 0.5, 0.95, 1.0)] == [0, 50, 95, 99]


def test_too_many_errors_stop_the_run_with_the_first_traceback():
    pool = VerifierPool(by_text, max_error_share=0.02)
    for text in ("raise", "odd"):
        assert score(pool, text).status == "error"
    assert int(0.02 * GRACE) == 2
    with pytest.raises(DataError, match=r"task 'sums': 3 errors in 3 calls.*(?s:.*)no such table"):
        score(pool, "exit")


def test_a_small_share_of_errors_never_stops_it():
    pool = VerifierPool(by_text, max_error_share=0.01)
    for i in range(1, 1001):
        score(pool, "raise" if i % 100 == 0 else "2")
    assert pool.report()["sums"]["errors"] == 10
