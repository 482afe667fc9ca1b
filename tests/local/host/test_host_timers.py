"""Functions run at the times of their schedules, one run at a time."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func
import pytest

from tests.local.local_host import App, running_host
from turnlog.local.host.timers import next_run

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 2, 28, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "following"),
    [
        ("0 * * * * *", "2026-02-28T12:01:00+00:00"),
        ("*/20 * * * * *", "2026-02-28T12:00:40+00:00"),
        ("0 30 9 * * Mon-Fri", "2026-03-02T09:30:00+00:00"),
    ],
)
def test_a_schedule_has_a_next_run(schedule: str, following: str) -> None:
    assert next_run(schedule, NOON).isoformat() == following


async def test_a_timer_runs_on_startup_with_the_durable_client(tmp_path: Path) -> None:
    app, ran, runs = App(), asyncio.Event(), list[tuple[bool, bool]]()

    @app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
    @app.durable_client_input(client_name="client")
    async def sweep(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
        runs.append((timer.past_due, bool(await client.get_status("unknown"))))
        ran.set()

    async with running_host(app, tmp_path):
        await asyncio.wait_for(ran.wait(), 60)

    assert runs == [(False, False)]


async def test_a_timer_continues_after_a_failure_and_its_runs_never_overlap(tmp_path: Path) -> None:
    app, runs, running, overlapped = App(), asyncio.Semaphore(0), 0, False

    @app.timer_trigger(arg_name="timer", schedule="* * * * * *", run_on_startup=True)
    async def often(timer: func.TimerRequest) -> None:
        nonlocal running, overlapped
        overlapped = overlapped or running > 0
        running += 1
        runs.release()
        await asyncio.sleep(1.1)
        running -= 1
        raise ValueError("and again")

    async with running_host(app, tmp_path):
        for _ in range(2):
            await asyncio.wait_for(runs.acquire(), 60)

    assert not overlapped


async def test_a_timer_without_run_on_startup_waits_for_its_time(tmp_path: Path) -> None:
    app, ran = App(), asyncio.Event()

    @app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")
    async def rarely(timer: func.TimerRequest) -> None:
        ran.set()

    async with running_host(app, tmp_path) as host:
        await host.http.post("/client")

    assert not ran.is_set()
