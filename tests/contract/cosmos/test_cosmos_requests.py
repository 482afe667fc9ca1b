"""Which requests operations send to Cosmos DB, since each request costs request units."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from bench.cost.requests import record
from tests.contract.factories import RUN, append_events, create_session, delta, message
from tests.contract.stores import CosmosDatabase, cosmos_database
from turnlog.domain.errors import SequenceTakenError, StoreUnavailableError
from turnlog.domain.events import MessageStart, UserMessage
from turnlog.ports import SessionLog
from turnlog.stores.cosmos.containers import CONTAINERS
from turnlog.stores.cosmos.database import open_client

pytestmark = pytest.mark.anyio

Requests = Callable[[], list[str]]


@pytest.fixture
async def log(endpoint: str) -> AsyncGenerator[SessionLog]:
    async with cosmos_database(endpoint) as store:
        log = store.open().log
        yield log
        await log.close()


@pytest.fixture
def requests(caplog: pytest.LogCaptureFixture) -> Requests:
    """Returns the methods of the requests for documents since the last call."""
    caplog.set_level(logging.DEBUG, "turnlog.stores.cosmos.requests")

    def since() -> list[str]:
        messages = [record.getMessage() for record in caplog.records]
        methods = [text.split()[2] for text in messages if "/docs" in text]
        caplog.clear()
        return methods

    return since


async def test_a_flush_and_a_change_with_its_documents_are_one_request_each(
    log: SessionLog, requests: Requests
) -> None:
    state = await create_session(log)
    requests()

    state = await append_events(log, state, UserMessage(content="Hello"), RUN, documents=[message(state, 1, 2)])
    assert requests() == ["POST"]

    await append_events(log, state, delta())
    assert requests() == ["POST"]


async def test_a_batch_that_lost_its_race_is_counted_as_refused(log: SessionLog) -> None:
    state = await create_session(log)
    await append_events(log, state, delta())

    with record() as requests, pytest.raises(SequenceTakenError):
        await append_events(log, state, UserMessage(content="Hello"), RUN, documents=[message(state, 1, 2)])

    refused, _ = requests
    assert (refused.kind, len(refused.items), refused.status) == ("write", 3, 409)


async def test_the_sdk_does_not_log_every_request(log: SessionLog, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)  # the worker's

    await create_session(log)

    assert [record.name for record in caplog.records if record.name.startswith("azure")] == []


async def test_the_state_of_an_idle_session_takes_no_query(log: SessionLog, requests: Requests) -> None:
    state = await create_session(log)
    requests()

    await log.state(state.session_id)

    assert requests() == ["GET", "GET"]


async def test_the_state_during_a_long_answer_takes_few_requests(log: SessionLog, requests: Requests) -> None:
    state = await append_events(log, await create_session(log), UserMessage(content="Hello"), RUN)
    state = await append_events(log, state, MessageStart(step=1, attempt=1))
    for _ in range(30):
        state = await append_events(log, state, delta())
    requests()

    assert await log.state(state.session_id) == state

    assert requests() == ["GET", "GET", "POST", "POST"]

    outline = await log.outline(state.session_id)

    assert outline is not None
    assert outline.active_turn == state.active_turn
    assert requests() == ["GET", "POST"]


async def test_the_check_writes(log: SessionLog, requests: Requests) -> None:
    await log.check()

    assert requests() == ["POST"]


async def test_waiting_readers_share_one_poll(log: SessionLog, requests: Requests) -> None:
    state = await create_session(log)
    requests()

    async def polls(readers: int) -> int:
        with log.watch(state.session_id) as tail:
            await asyncio.gather(*(tail.wait(1, timedelta(seconds=0.5)) for _ in range(readers)))
        return len(requests())

    assert 0 < await polls(50) <= 2 * await polls(1)


async def test_a_reader_without_polls_does_not_poll(log: SessionLog, requests: Requests) -> None:
    state = await create_session(log)
    requests()

    with log.watch(state.session_id, polls=False) as tail:
        await tail.wait(1, timedelta(seconds=0.2))

    assert requests() == []


async def test_the_account_is_ready_once_every_container_is(endpoint: str) -> None:
    for name in CONTAINERS:
        async with cosmos_database(endpoint) as store, AsyncExitStack() as resources:
            assert isinstance(store, CosmosDatabase)
            log = store.open().log
            resources.push_async_callback(log.close)
            await log.check()
            client = await open_client(endpoint, "Strong", resources)
            await client.get_database_client(store.name).delete_container(name)

            with pytest.raises(StoreUnavailableError, match="containers"):
                await log.check()
