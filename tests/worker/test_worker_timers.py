"""Timers, fired by the test: the worker repairs what they find, and the engine ends it."""

import asyncio
import json

import pytest

from tests.e2e.service import Service
from tests.http.api_client import Api, wait_until
from tests.http.sse_client import JSON
from tests.worker.host.driver import Message, Worker
from tests.worker.host.extension import Endpoint, client_binding
from turnlog.domain.ids import bound_id
from turnlog.wiring import services

pytestmark = pytest.mark.anyio

_DUE = Message(json=json.dumps({"Schedule": {}, "ScheduleStatus": None, "IsPastDue": False}))
_UNREACHABLE = client_binding("http://127.0.0.1:9/durabletask/")


async def _sweep_until_end(worker: Worker, api: Api, message: JSON) -> JSON:
    """Fire the sweep repeatedly, like its schedule, until the message's turn has ended; return the message."""

    async def sweep_and_read() -> JSON:
        await worker.invoke("sweep_turns", _DUE)
        await asyncio.sleep(0.1)
        return await api.message(message["message_id"])

    return await wait_until(sweep_and_read, lambda message: message["status"] not in {"queued", "running"})


async def test_the_sweep_starts_a_turn_that_could_not_be_started(
    worker: Worker, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await service.api.new_session()
    with monkeypatch.context() as unreachable:
        unreachable.setattr(worker, "durable_client", _UNREACHABLE)
        message = await service.api.start_turn(session_id, "hello")

    ended = await _sweep_until_end(worker, service.api, message)

    assert (ended["status"], bool(ended["answer"])) == ("completed", True)


async def test_deleted_sessions_are_cleared(worker: Worker, service: Service) -> None:
    session_id = await service.api.new_session()
    await service.api.run_turn(session_id)
    await service.api.http.delete(f"/sessions/{session_id}")

    await worker.invoke("clear_deleted", _DUE)

    assert list(await services().log.read(bound_id("local", session_id), 0, 10)) == []


async def test_finished_instances_are_purged(worker: Worker, durable: Endpoint) -> None:
    await worker.invoke("purge_instances", _DUE)

    days = durable.purges
    assert all(day["createdTimeFrom"] < day["createdTimeTo"] for day in days)
    assert [day["createdTimeFrom"] for day in days[:-1]] == [day["createdTimeTo"] for day in days[1:]]
    assert set(days[0]["runtimeStatus"].split(",")) >= {"Completed", "Failed"}
