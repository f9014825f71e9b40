import asyncio

import pytest

from trueloop.errors import EngineError
from trueloop.loop.watchdog import Watchdog, WatchdogConfig


async def stuck_for(seconds: float, config: WatchdogConfig, reports: list[str]) -> None:
    dog = Watchdog(config, lambda: "3 of 4 groups held", reports.append, lambda: 0)
    dog.phase("filling the step")

    async def waits_for_a_completion() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(waits_for_a_completion(), name="rollout of problem 7")
    try:
        await asyncio.wait_for(dog.watch(), seconds)
    except TimeoutError:
        pass
    finally:
        task.cancel()


def test_it_names_the_phase_the_state_and_the_waiting_task_once() -> None:
    reports: list[str] = []
    asyncio.run(stuck_for(0.3, WatchdogConfig(floor_s=0.02, poll_s=0.01, stop_after=1000), reports))
    assert len(reports) == 1
    for part in ("'filling the step'", "3 of 4 groups held", "rollout of problem 7", "waits_for_a_completion"):
        assert part in reports[0]


def test_it_stops_a_run_in_which_nothing_moves() -> None:
    with pytest.raises(EngineError, match=r"nothing has moved for .*raise loop\.watchdog\.floor_s"):
        asyncio.run(stuck_for(5, WatchdogConfig(floor_s=0.02, poll_s=0.01, stop_after=2), []))


class Clocked:
    """A watchdog whose clock and signs of life are moved by hand; polled every `poll` seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **config: float) -> None:
        self.now, self.life = 0.0, 0
        self.reports: list[str] = []
        monkeypatch.setattr("trueloop.loop.watchdog.time.monotonic", lambda: self.now)
        settings = WatchdogConfig(**({"factor": 5, "floor_s": 100, "stop_after": 10} | config))
        self.dog = Watchdog(settings, lambda: "", self.reports.append, lambda: self.life)

    def wait(self, seconds: float, *, poll: float = 5.0, alive: bool = False) -> None:
        async def polls() -> None:
            for _ in range(round(seconds / poll)):
                self.now += poll
                self.life += alive
                self.dog._look(self.now)

        asyncio.run(polls())


def test_the_limit_follows_the_median_step(monkeypatch: pytest.MonkeyPatch) -> None:
    clocked = Clocked(monkeypatch, floor_s=1)
    for end in (10.0, 20.0, 80.0):
        clocked.now = end
        clocked.dog.beat()
    assert clocked.dog.limit_s == 50.0


def test_a_long_first_step_in_which_things_arrive_is_reported_once_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clocked = Clocked(monkeypatch)
    clocked.dog.phase("filling the step")
    clocked.wait(5000, alive=True)
    assert len(clocked.reports) == 1
    assert "no optimizer step for 105 s, though work goes on" in clocked.reports[0]
    clocked.dog.beat()
    clocked.wait(24_900, poll=100, alive=True)
    assert len(clocked.reports) == 1, "the limit is five medians by now"
    clocked.wait(200, poll=100, alive=True)
    assert len(clocked.reports) == 2


def test_a_change_of_phase_is_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    clocked = Clocked(monkeypatch)
    for _ in range(5):
        clocked.dog.phase("optimizer step")
        clocked.wait(900)
    with pytest.raises(EngineError, match="nothing has moved for 1005 s"):
        clocked.wait(200)


def test_a_standstill_after_a_sign_of_life_is_counted_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    clocked = Clocked(monkeypatch)
    clocked.wait(600)
    clocked.wait(5, alive=True)
    clocked.wait(1000)
    assert [words.split(";")[0] for words in clocked.reports] == ["nothing has moved for 105 s (limit 100 s)"] * 2
    with pytest.raises(EngineError):
        clocked.wait(5)


def test_an_evaluation_is_never_ended_since_what_arrives_in_it_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clocked = Clocked(monkeypatch)
    clocked.dog.phase("guard evaluation", counted=False)
    clocked.wait(9000)
    assert len(clocked.reports) == 1 and "'guard evaluation'" in clocked.reports[0]


def test_time_before_it_watches_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clocked = Clocked(monkeypatch)
    clocked.now = 5000.0

    async def watched() -> None:
        watching = asyncio.create_task(clocked.dog.watch())
        await asyncio.sleep(0)
        watching.cancel()

    asyncio.run(watched())
    clocked.wait(95)
    assert clocked.reports == []
