"""Functions on a schedule run when it says, one run at a time."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import azure.durable_functions as df
import azure.functions as func
import pytest
from azure.functions.timer import TimerRequest
from hosted import App, hosted

from local.errors import RefusedError
from local.host.index import Function, Timed
from local.host.timers import schedule_of

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 2, 28, 12, 0, 30, tzinfo=UTC)


def timed(schedule: str) -> Timed:
    return Timed(Function("tick", print, is_async=False, trigger="timer", clients=()), schedule, run_on_startup=False)


@pytest.mark.parametrize(
    ("schedule", "following"),
    [
        ("0 * * * * *", "2026-02-28T12:01:00+00:00"),
        ("*/20 * * * * *", "2026-02-28T12:00:40+00:00"),
        ("0 30 9 * * Mon-Fri", "2026-03-02T09:30:00+00:00"),
        ("0 5 * * *", "2026-03-01T05:00:00+00:00"),
        ("00:00:20", "2026-02-28T12:00:50+00:00"),
        ("1.06:30:00", "2026-03-01T18:30:30+00:00"),
    ],
)
def test_a_schedule_tells_its_next_time(schedule: str, following: str) -> None:
    assert schedule_of(timed(schedule))(NOON).isoformat() == following


def test_a_schedule_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP_SCHEDULE", "0 0 13 * * *")

    assert schedule_of(timed("%SWEEP_SCHEDULE%"))(NOON).hour == 13


@pytest.mark.parametrize("schedule", ["soon", "61 * * * * *", "%UNSET_SCHEDULE%", "* * * * * * *"])
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(RefusedError, match=r"function tick: .* is no schedule"):
        schedule_of(timed(schedule))


async def test_a_timer_runs_on_startup_with_its_request_and_the_durable_client(tmp_path: Path) -> None:
    app, ran, requests = App(), asyncio.Event(), list[Any]()

    @app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
    @app.durable_client_input(client_name="client")
    async def sweep(timer: TimerRequest, client: df.DurableOrchestrationClient) -> None:
        status = cast("dict[str, Any]", timer.schedule_status)
        requests.append((timer.past_due, set(status), await client.get_status_all()))
        ran.set()

    async with hosted(app, tmp_path):
        await asyncio.wait_for(ran.wait(), 5)

    assert requests == [(False, {"Last", "Next", "LastUpdated"}, [])]


async def test_a_timer_goes_on_after_a_failure_and_never_runs_twice_at_once(tmp_path: Path) -> None:
    app, runs, running, overlapped = App(), asyncio.Semaphore(0), 0, False

    @app.timer_trigger(arg_name="timer", schedule="00:00:00", run_on_startup=True)
    async def often(timer: func.TimerRequest) -> None:
        nonlocal running, overlapped
        overlapped = overlapped or running > 0
        running += 1
        await asyncio.sleep(0)
        running -= 1
        runs.release()
        raise ValueError("and again")

    async with hosted(app, tmp_path):
        for _ in range(3):
            await asyncio.wait_for(runs.acquire(), 5)

    assert not overlapped


async def test_a_timer_without_run_on_startup_waits_for_its_time(tmp_path: Path) -> None:
    app, ran = App(), asyncio.Event()

    @app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")
    async def rarely(timer: func.TimerRequest) -> None:
        ran.set()

    async with hosted(app, tmp_path) as host:
        await host.http.post("/client")

    assert not ran.is_set()
