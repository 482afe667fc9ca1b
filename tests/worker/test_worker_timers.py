"""Timers, fired by hand."""

import asyncio
import json

import pytest

from tests.worker.client import new_session, post_message
from tests.worker.driver import Message, Worker
from tests.worker.extension import Endpoint

pytestmark = pytest.mark.anyio

_DUE = Message(json=json.dumps({"Schedule": {}, "ScheduleStatus": None, "IsPastDue": False}))


async def test_the_sweep_starts_a_turn_that_could_not_be_started(worker: Worker, durable: Endpoint) -> None:
    session_id = await new_session(worker)
    durable.refuses = True
    message = await post_message(worker, session_id, "hello")
    durable.refuses = False

    async with asyncio.timeout(10):
        while durable.of_turn(message["turn_id"]) is None:
            await worker.invoke("sweep_turns", _DUE)
            await asyncio.sleep(0.1)


async def test_instances_that_ended_are_purged(worker: Worker, durable: Endpoint) -> None:
    await worker.invoke("purge_instances", _DUE)

    (purge,) = durable.purges
    assert purge["createdTimeFrom"] < purge["createdTimeTo"]
    assert set(purge["runtimeStatus"].split(",")) >= {"Completed", "Failed"}
