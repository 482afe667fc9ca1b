"""Reads of the SQLite file that are asked for together are done once, and never too early."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from shared.stores.sqlite.database import Database

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
