"""After `kill -9` the next host resumes the instances: no acknowledged start is lost, no activity runs twice."""

import asyncio
import json
import signal
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.local.host_process import HostProcess, running_process
from tests.local.local_host import wait_until
from turnlog.local.durable.history import Kind

pytestmark = pytest.mark.anyio

APP = """
import asyncio, os
from datetime import timedelta
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
LOG = Path("log.txt")


@app.route("start/{name}/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: Request, client: df.DurableOrchestrationClient) -> Response:
    return JSONResponse(await client.start_new(req.path_params["name"], req.path_params["id"]))


@app.route("status/{id}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def status(req: Request, client: df.DurableOrchestrationClient) -> Response:
    found = await client.get_status(req.path_params["id"])
    return JSONResponse([found.runtime_status.name, found.output])


@app.activity_trigger(input_name="given")
async def work(given: str) -> str:
    with LOG.open("a") as log:
        log.write(given + "\\n")
    while not Path("go").exists():
        await asyncio.sleep(0.01)
    return given


@app.orchestration_trigger(context_name="context")
def one(context: df.DurableOrchestrationContext):
    return (yield context.call_activity("work", "one"))


@app.orchestration_trigger(context_name="context")
def row(context: df.DurableOrchestrationContext):
    first = yield context.call_activity("work", "first")
    return [first, (yield context.call_activity("work", "second"))]


@app.orchestration_trigger(context_name="context")
def pair(context: df.DurableOrchestrationContext):
    calls = [context.call_activity("work", name) for name in ("running", "waiting")]
    results = []
    for call in calls:
        try:
            results.append((yield call))
        except Exception as error:
            results.append(str(error).split(":")[1].strip())
    return results


@app.orchestration_trigger(context_name="context")
def timed(context: df.DurableOrchestrationContext):
    late = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    yield context.task_any([context.call_activity("mark"), late])
    late.cancel()
    began = context.current_utc_datetime
    yield context.create_timer(began + timedelta(seconds=0.2))
    return (context.current_utc_datetime - began).total_seconds() >= 0.2


@app.activity_trigger(input_name="given")
async def mark(given: str) -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "function_app.py").write_text(APP)
    host = {"extensions": {"http": {"routePrefix": ""}, "durableTask": {"maxConcurrentActivityFunctions": 1}}}
    (tmp_path / "host.json").write_text(json.dumps(host))
    return tmp_path


class Caller:
    """Calls the app over HTTP."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def start(self, name: str, instance_id: str) -> None:
        (await self._http.post(f"/start/{name}/{instance_id}")).raise_for_status()

    async def wait_for_end(self, instance_id: str) -> Any:
        """Wait for the end of the instance; return its status and output."""

        async def read() -> Any:
            return (await self._http.get(f"/status/{instance_id}")).json()

        return await wait_until(read, lambda status: status[0] != "Running")


@asynccontextmanager
async def host_in(folder: Path) -> AsyncGenerator[tuple[HostProcess, Caller]]:
    with running_process(folder) as process:
        async with httpx2.AsyncClient(base_url=process.url, timeout=60) as http:
            yield process, Caller(http)


async def wait_for_log(folder: Path, *lines: str) -> None:
    """Wait until the activities have logged `lines`."""

    async def read() -> list[str]:
        path = folder / "log.txt"
        return path.read_text().splitlines() if path.exists() else []

    await wait_until(read, lambda logged: logged == list(lines))


async def wait_for_rows(folder: Path, table: str, condition: str = "TRUE") -> None:
    """Wait until `table` of the task hub has a row with `condition`: `running` is written after an activity's start."""

    async def read() -> int:
        (hub,) = folder.rglob("*.taskhub.db")
        with closing(sqlite3.connect(hub)) as connection:
            return connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()[0]

    await wait_until(read)


async def test_an_activity_that_ran_is_reported_failed_and_not_run_again(folder: Path) -> None:
    async with host_in(folder) as (process, caller):
        await caller.start("one", "x")
        await wait_for_log(folder, "one")
        await wait_for_rows(folder, "running")
        process.kill()

    async with host_in(folder) as (_, caller):
        status, output = await caller.wait_for_end("x")

    assert status == "Failed"
    assert "Activity function 'work' failed: WorkerProcessExitException" in output
    await wait_for_log(folder, "one")


async def test_an_activity_that_had_not_started_is_started(folder: Path) -> None:
    async with host_in(folder) as (process, caller):
        await caller.start("pair", "x")
        await wait_for_log(folder, "running")
        await wait_for_rows(folder, "running")
        process.kill()

    (folder / "go").touch()
    async with host_in(folder) as (_, caller):
        ended = await caller.wait_for_end("x")

    assert ended == ["Completed", ["WorkerProcessExitException", "waiting"]]
    await wait_for_log(folder, "running", "waiting")


async def test_a_timer_that_is_due_after_the_restart_fires_and_a_cancelled_one_does_not(folder: Path) -> None:
    async with host_in(folder) as (process, caller):
        await caller.start("timed", "x")
        await wait_for_rows(folder, "history", f"events LIKE '%\"EventType\":{Kind.TIMER_CANCELED.value},%'")
        process.kill()

    async with host_in(folder) as (_, caller):
        ended = await caller.wait_for_end("x")

    assert ended == ["Completed", True]


async def test_no_acknowledged_start_is_lost(folder: Path) -> None:
    (folder / "go").touch()
    acknowledged: list[str] = []

    async with host_in(folder) as (process, caller):

        async def start(instance_id: str) -> None:
            await caller.start("one", instance_id)
            acknowledged.append(instance_id)
            if len(acknowledged) == 25:
                process.kill()

        await asyncio.gather(*(start(f"i{number}") for number in range(100)), return_exceptions=True)

    async with host_in(folder) as (_, caller):
        ended = [await caller.wait_for_end(instance_id) for instance_id in acknowledged]

    assert len(ended) >= 25
    assert {status for status, _ in ended} <= {"Completed", "Failed"}


async def test_a_host_that_is_terminated_ends_its_activity_and_begins_no_other(folder: Path) -> None:
    async with host_in(folder) as (host, caller):
        await caller.start("row", "a")
        await wait_for_rows(folder, "running")
        await wait_for_log(folder, "first")
        host.process.send_signal(signal.SIGTERM)
        assert host.process.stdout is not None
        assert await asyncio.to_thread(host.process.stdout.readline) == "stopping\n"
        (folder / "go").touch()
        assert await asyncio.to_thread(host.process.wait) == 0
    await wait_for_log(folder, "first")

    async with host_in(folder) as (_, caller):
        assert await caller.wait_for_end("a") == ["Completed", ["first", "second"]]
    await wait_for_log(folder, "first", "second")
