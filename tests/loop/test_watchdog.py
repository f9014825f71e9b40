import asyncio

import pytest

from trueloop.errors import EngineError
from trueloop.loop.watchdog import Watchdog, WatchdogConfig


async def stuck_for(seconds: float, config: WatchdogConfig, reports: list[str]) -> None:
    dog = Watchdog(config, lambda: "3 of 4 groups held", reports.append)
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


def test_it_stops_a_run_that_stays_stuck() -> None:
    with pytest.raises(EngineError, match="no optimizer step"):
        asyncio.run(stuck_for(5, WatchdogConfig(floor_s=0.02, poll_s=0.01, stop_after=2), []))


def test_the_limit_follows_the_median_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("trueloop.loop.watchdog.time.monotonic", lambda: now[0])
    dog = Watchdog(WatchdogConfig(factor=5, floor_s=1), lambda: "", lambda _: None)
    for end in (10.0, 20.0, 80.0):
        now[0] = end
        dog.beat()
    assert dog.limit_s == 50.0
