"""Reads of the SQLite file: equal ones are done once, and their work does not grow with the log."""

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


class Reading:
    """A read that continues when it is released, and counts how often it was done."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.times = 0

    def work(self, _: sqlite3.Connection) -> int:
        self.times += 1
        self.begun.set()
        assert self.may_end.wait(60)
        return self.times


async def test_who_asks_before_a_read_has_begun_shares_it(database: Database) -> None:
    busy, reading = Reading(), Reading()
    before = asyncio.create_task(database.read(busy.work))
    asking = [asyncio.create_task(database.read_together("key", reading.work)) for _ in range(5)]
    await asyncio.sleep(0)
    busy.may_end.set()
    reading.may_end.set()

    assert await asyncio.gather(before, *asking) == [1, 1, 1, 1, 1, 1]


async def test_who_asks_after_a_read_has_begun_gets_one_of_his_own(database: Database) -> None:
    reading = Reading()
    first = asyncio.create_task(database.read_together("key", reading.work))
    await asyncio.to_thread(reading.begun.wait, 10)
    second = asyncio.create_task(database.read_together("key", reading.work))
    await asyncio.sleep(0)
    reading.may_end.set()

    assert (await first, await second) == (1, 2)


async def test_who_asks_something_else_gets_something_else(database: Database) -> None:
    answers = await asyncio.gather(*(database.read_together(key, lambda _, key=key: key) for key in ("a", "b", "a")))

    assert answers == ["a", "b", "a"]


async def test_a_read_that_fails_fails_for_all_who_share_it_and_for_nobody_later(database: Database) -> None:
    def fail(_: sqlite3.Connection) -> int:
        raise ValueError("broken")

    asking = (database.read_together("key", fail) for _ in range(3))
    assert [str(end) for end in await asyncio.gather(*asking, return_exceptions=True)] == ["broken"] * 3
    assert await database.read_together("key", lambda _: 7) == 7


async def test_who_is_cancelled_takes_the_answer_from_nobody(database: Database) -> None:
    reading = Reading()
    leaving, staying = (asyncio.create_task(database.read_together("key", reading.work)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    reading.may_end.set()

    assert await staying in {1, 2}


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

    await database.read(lambda connection: connection.set_progress_handler(count_step, 1))
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
