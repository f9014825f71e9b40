import asyncio
import gc
import itertools
import sys
import threading
import time

import pytest

from trueloop.errors import DataError
from trueloop.records import Problem, Score
from trueloop.verify.pool import GRACE, MAX_HUNG, VerifierPool


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


class Hanging:
    """A grader that hangs on the text "hang" until it is let go."""

    def __init__(self):
        self.go, self.graded = threading.Event(), []

    def __call__(self, problem, text):
        if text == "hang":
            self.go.wait(20)
        self.graded.append(text)
        return Score(status="scored", reward=float(text == problem.target))


@pytest.fixture
def hanging():
    grader = Hanging()
    yield grader
    grader.go.set()


async def verdicts(pool, texts):
    found = await asyncio.gather(*(pool.score(problem(), text) for text in texts), return_exceptions=True)
    return [one if isinstance(one, Exception) else (one.status, one.reward, one.why) for one in found]


LATE = ("error", None, "no verdict within 0.1 s")
RIGHT = ("scored", 1.0, "")


def test_a_call_that_hangs_is_an_error_after_its_limit_and_the_calls_after_it_are_graded(hanging):
    pool = VerifierPool(hanging, limit_s=0.1, max_error_share=1.0)
    assert asyncio.run(verdicts(pool, ["2", "hang", "2", "hang", "2"])) == [RIGHT, LATE, RIGHT, LATE, RIGHT]
    assert pool.report()["sums"]["errors"] == 2
    assert pool.report()["sums"]["p99"] == 0.1


def test_a_call_that_hangs_never_stops_the_event_loop(hanging):
    pool, ticks = VerifierPool(hanging, limit_s=0.2), []

    async def ticking():
        call = asyncio.create_task(pool.score(problem(), "hang"))
        while not call.done():
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    asyncio.run(ticking())
    assert len(ticks) > 5
    assert max(b - a for a, b in itertools.pairwise(ticks)) < 0.15


def test_the_limit_is_of_grading_and_not_of_waiting_for_a_turn():
    def slow(problem, text):
        time.sleep(0.02)
        return Score(status="scored", reward=1.0)

    assert asyncio.run(verdicts(VerifierPool(slow, limit_s=0.2), ["2"] * 20)) == [RIGHT] * 20


def test_when_too_many_threads_hang_whoever_waits_and_whoever_comes_is_told_where(hanging):
    pool = VerifierPool(hanging, limit_s=0.1, max_error_share=1.0)
    found = asyncio.run(verdicts(pool, ["hang"] * MAX_HUNG + ["2", "2"]))
    assert found[:MAX_HUNG] == [LATE] * MAX_HUNG
    for error in (*found[MAX_HUNG:], *asyncio.run(verdicts(pool, ["2"]))):
        assert isinstance(error, DataError)
        assert "4 verifier calls got no verdict within 0.1 s and still run" in str(error)
        assert "threading.py" in str(error)


def test_a_thread_that_was_only_slow_frees_its_place_and_its_late_verdict_is_dropped(hanging):
    pool = VerifierPool(hanging, limit_s=0.1, max_error_share=1.0)
    assert asyncio.run(verdicts(pool, ["hang"] * MAX_HUNG)) == [LATE] * MAX_HUNG
    hanging.go.set()
    deadline = time.monotonic() + 5
    while any(worker.thread.is_alive() for worker in pool._hung) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert asyncio.run(verdicts(pool, ["2", "2"])) == [RIGHT] * 2
    assert hanging.graded == ["hang"] * MAX_HUNG + ["2", "2"]


def test_a_cancelled_call_that_waits_is_not_graded(hanging):
    pool = VerifierPool(hanging, limit_s=5)

    async def leave():
        calls = [asyncio.create_task(pool.score(problem(), text)) for text in ("hang", "x")]
        await asyncio.sleep(0.05)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        hanging.go.set()
        return await pool.score(problem(), "2")

    assert asyncio.run(leave()).reward == 1.0
    assert hanging.graded == ["hang", "2"]


def test_calls_that_come_together_are_graded_one_after_another_in_their_order():
    order, busy = [], []

    def grade(problem, text):
        busy.append(text)
        assert len(busy) == 1
        time.sleep(0.001)
        order.append(busy.pop())
        return Score(status="scored", reward=float(text))

    texts = [str(k) for k in range(50)]
    found = asyncio.run(verdicts(VerifierPool(grade), texts))
    assert order == texts
    assert [reward for _, reward, _ in found] == [float(text) for text in texts]


class Owner:
    """What owns a pool that grades through it, as a recipe does."""

    def __init__(self):
        self.pool = VerifierPool(self.grade)

    def grade(self, problem, text):
        return by_text(problem, text)


def test_the_thread_ends_with_its_pool():
    def used():
        pool = Owner().pool
        score(pool)
        return pool._worker.thread

    thread = used()
    time.sleep(0.05)
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()
