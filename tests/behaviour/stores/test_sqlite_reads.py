"""Reads of the SQLite file: they see what was acknowledged, and their work does not grow with the log."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.factories import RUN, append_events, chunk, create_session, delta
from turnlog.domain.events import MessageStart, UserMessage
from turnlog.stores.reading import dump_events
from turnlog.stores.sqlite.database import Database
from turnlog.stores.sqlite.items import insert_chunk
from turnlog.stores.sqlite.log import SqliteSessionLog
from turnlog.stores.sqlite.rooms import SqliteRooms

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    database = Database(tmp_path / "sessions.db")
    yield database
    await database.close()


async def test_a_read_and_a_search_hold_every_acknowledged_write(database: Database) -> None:
    def count(connection: sqlite3.Connection) -> int:
        return connection.execute("SELECT count(*) FROM store").fetchone()[0]

    before = await database.read(count)
    await database.write(lambda connection: connection.execute("INSERT INTO store VALUES ('name', 'value')"))

    assert [await database.read(count), await database.search(count)] == [before + 1, before + 1]


async def test_a_search_does_not_keep_the_event_loop_waiting(database: Database) -> None:
    may_end = threading.Event()
    searching = asyncio.create_task(database.search(lambda _: may_end.wait(60)))
    await asyncio.sleep(0)

    assert await database.read(lambda _: "answer") == "answer"
    may_end.set()
    assert await searching


async def test_a_search_whose_caller_is_cancelled_disturbs_no_other(database: Database) -> None:
    may_end = threading.Event()
    leaving = asyncio.create_task(database.search(lambda _: may_end.wait(60)))
    await asyncio.sleep(0)
    leaving.cancel()
    may_end.set()

    assert await database.search(lambda _: "answer") == "answer"


async def test_the_work_of_a_read_does_not_grow_with_the_deltas_of_an_answer(database: Database) -> None:
    log = SqliteSessionLog(database, SqliteRooms(database))
    state = await append_events(log, await create_session(log), UserMessage(content="hi"), RUN)
    state = await append_events(log, state, MessageStart(step=1, attempt=1))
    session_id, steps = state.session_id, 0

    def count_step() -> None:
        nonlocal steps
        steps += 1

    async def work_of(read: Callable[[], Awaitable[Any]]) -> int:
        nonlocal steps
        steps = 0
        await read()
        return steps

    async def measure() -> list[int]:
        reads = (
            lambda: log.state(session_id),
            lambda: log.newest_of_type(session_id, "tool_call.complete", 1000),
        )
        return [await work_of(read) for read in reads]

    for look in (database.read, database.search):
        await look(lambda connection: connection.set_progress_handler(count_step, 1))
    measured: list[list[int]] = []
    for count in (10, 10_000):

        def insert(connection: sqlite3.Connection, head: int = state.head, count: int = count) -> None:
            for number in range(count):
                appended = chunk(session_id, head + number, delta())
                insert_chunk(connection, appended, dump_events(appended.events))

        await database.write(insert)
        state = state.model_copy(update={"head": state.head + count})
        measured.append(await measure())
    after_10, after_10_000 = measured

    assert all(few > 0 and many < 1.5 * few for few, many in zip(after_10, after_10_000, strict=True))
