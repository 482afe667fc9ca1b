"""Timers, fired by hand: what they repair is done by the worker, and ended by the engine."""

import asyncio
import json

import pytest

from shared.domain.ids import SessionId
from shared.wiring import services
from tests.e2e.service import Service
from tests.http.api_client import Api, until
from tests.http.sse_client import JSON
from tests.worker.driver import Message, Worker
from tests.worker.extension import Endpoint, client_binding

pytestmark = pytest.mark.anyio

_DUE = Message(json=json.dumps({"Schedule": {}, "ScheduleStatus": None, "IsPastDue": False}))
_NOBODY = client_binding("http://127.0.0.1:9/durabletask/")


async def _swept(worker: Worker, api: Api, message: JSON) -> JSON:
    """Fire the sweep again and again, as its schedule does, until the message's turn has ended; the message."""

    async def look() -> JSON:
        await worker.invoke("sweep_turns", _DUE)
        await asyncio.sleep(0.1)
        return await api.message(message["message_id"])

    return await until(look, lambda seen: seen["status"] not in {"queued", "running"})


async def test_the_sweep_starts_a_turn_that_could_not_be_started(
    worker: Worker, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await service.api.new_session()
    with monkeypatch.context() as without:
        without.setattr(worker, "durable_client", _NOBODY)
        message = await service.api.begin(session_id, "hello")

    ended = await _swept(worker, service.api, message)

    assert (ended["status"], bool(ended["answer"])) == ("completed", True)


async def test_the_sweep_clears_what_was_deleted(worker: Worker, service: Service) -> None:
    session_id = await service.api.new_session()
    await service.api.say(session_id)
    await service.api.http.delete(f"/sessions/{session_id}")

    await worker.invoke("sweep_turns", _DUE)

    assert list(await services().log.read(SessionId(session_id), 0, 10)) == []


async def test_instances_that_ended_are_purged(worker: Worker, durable: Endpoint) -> None:
    await worker.invoke("purge_instances", _DUE)

    (purge,) = durable.purges
    assert purge["createdTimeFrom"] < purge["createdTimeTo"]
    assert set(purge["runtimeStatus"].split(",")) >= {"Completed", "Failed"}
