"""Writes to the SQLite file: those that wait together share a commit, and none of them can harm another."""

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest

from turnlog.domain.errors import StoreUnavailableError
from turnlog.stores.sqlite.database import Database

pytestmark = pytest.mark.anyio

_FULL, _NORMAL = 2, 1  # sqlite.org/pragma.html#pragma_synchronous


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    database = Database(tmp_path / "sessions.db")
    await database.write(lambda connection: connection.execute("CREATE TABLE notes (text TEXT)"))
    yield database
    await database.close()


@asynccontextmanager
async def busy_writer(database: Database) -> AsyncGenerator[None]:
    """While the body runs, the writer works on something else: all that the body writes has to wait."""
    begun, may_end = threading.Event(), threading.Event()

    def work(_: sqlite3.Connection) -> None:
        begun.set()
        may_end.wait(10)

    busy = asyncio.create_task(database.write(work))
    await asyncio.to_thread(begun.wait, 10)
    yield
    await asyncio.sleep(0)  # the tasks that the body created begin here
    may_end.set()
    await busy


async def write_together(database: Database, *texts: str) -> list[BaseException | None]:
    """Write `texts` while the writer is busy, so that all of them wait. "bad" fails after it has written."""

    def write(text: str) -> asyncio.Task[None]:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO notes VALUES (?)", (text,))
            if text == "bad":
                raise ValueError(text)

        return asyncio.create_task(database.write(work))

    async with busy_writer(database):
        writing = [write(text) for text in texts]
    return await asyncio.gather(*writing, return_exceptions=True)


def insert(text: str, connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO notes VALUES (?)", (text,))


def notes(connection: sqlite3.Connection) -> list[str]:
    return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY rowid")]


async def test_writes_that_wait_together_share_one_commit(database: Database) -> None:
    statements: list[str] = []
    await database.write(lambda connection: connection.set_trace_callback(statements.append))

    await write_together(database, *"abcdefgh")

    assert await database.read(notes) == list("abcdefgh")
    # The first COMMIT ends the write that started the trace, the second the one that kept the writer busy.
    assert statements.count("COMMIT") == 3


async def test_a_write_that_fails_is_undone_alone(database: Database) -> None:
    outcomes = await write_together(database, "a", "bad", "b", "bad", "c")

    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None), ValueError, type(None)]
    assert await database.read(notes) == ["a", "b", "c"]


async def test_a_write_that_is_refused_before_it_changes_anything_does_not_make_the_others_run_again(
    database: Database,
) -> None:
    runs: list[str] = []

    def work(connection: sqlite3.Connection, text: str) -> None:
        runs.append(text)
        if text == "refused":
            raise ValueError(text)
        connection.execute("INSERT INTO notes VALUES (?)", (text,))

    async with busy_writer(database):
        writing = [asyncio.create_task(database.write(partial(work, text=text))) for text in ("a", "refused", "b")]
    await asyncio.gather(*writing, return_exceptions=True)

    assert runs == ["a", "refused", "b"]
    assert await database.read(notes) == ["a", "b"]


async def test_a_write_whose_caller_is_cancelled_is_committed_and_noticed(database: Database) -> None:
    committed = asyncio.Event()

    def work(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO notes VALUES ('a')")
        return "result"

    results: list[str] = []

    def note(result: str) -> None:
        results.append(result)
        committed.set()

    async with busy_writer(database):
        writing = asyncio.create_task(database.write(work, note))
        await asyncio.sleep(0)
        writing.cancel()
    await committed.wait()

    assert writing.cancelled()
    assert results == ["result"]
    assert await database.read(notes) == ["a"]


async def test_a_write_that_ends_the_transaction_fails_for_all_of_it_and_for_nobody_later(database: Database) -> None:
    def insert(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('a')")

    def roll_back(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")  # as SQLite itself does when the disk is full or broken
        raise sqlite3.OperationalError("disk I/O error")

    async with busy_writer(database):
        writing = [asyncio.create_task(database.write(work)) for work in (insert, roll_back)]

    assert [type(end) for end in await asyncio.gather(*writing, return_exceptions=True)] == [StoreUnavailableError] * 2
    assert await write_together(database, "b") == [None]
    assert await database.read(notes) == ["b"]


async def test_what_follows_a_commit_may_fail_without_harm_to_the_others(database: Database) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("A reader could not be woken.")

    async with busy_writer(database):
        first = asyncio.create_task(database.write(partial(insert, "first"), fail))
        second = asyncio.create_task(database.write(partial(insert, "second")))

    await asyncio.wait_for(asyncio.gather(first, second), 60)
    assert await database.read(notes) == ["first", "second"]


async def test_an_error_of_any_kind_that_ends_the_transaction_leaves_the_writer_alive(database: Database) -> None:
    def run_out_of_memory(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise MemoryError

    async with busy_writer(database):
        others = asyncio.create_task(database.write(partial(insert, "first")))
        failing = asyncio.create_task(database.write(run_out_of_memory))

    outcomes = await asyncio.wait_for(asyncio.gather(others, failing, return_exceptions=True), 60)
    assert [type(outcome) for outcome in outcomes] == [MemoryError, MemoryError]
    await database.write(partial(insert, "later"))
    assert await database.read(notes) == ["later"]


def test_a_loop_that_is_closed_during_a_commit_does_not_end_the_writer(tmp_path: Path) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def work(_: sqlite3.Connection) -> None:
        begun.set()
        may_end.wait(60)

    async def begin() -> tuple[Database, asyncio.Task[None]]:
        database = Database(tmp_path / "sessions.db")
        task = asyncio.create_task(database.write(work))
        await asyncio.to_thread(begun.wait, 60)
        return database, task

    async def go_on() -> None:
        await asyncio.wait_for(database.write(lambda connection: connection.execute("SELECT 1")), 60)
        await database.close()

    database, _ = asyncio.run(begin())
    may_end.set()
    asyncio.run(go_on())


async def test_what_is_acknowledged_is_in_the_files_and_each_commit_is_forced_to_the_disk(
    database: Database, tmp_path: Path
) -> None:
    (synchronous,) = await database.write(lambda connection: connection.execute("PRAGMA synchronous").fetchone())
    for text in "abc":
        await database.write(lambda connection, text=text: connection.execute("INSERT INTO notes VALUES (?)", (text,)))
        after = tmp_path / f"after-{text}"
        after.mkdir()
        for name in ("sessions.db", "sessions.db-wal"):
            shutil.copy(tmp_path / name, after / name)

    assert synchronous == _FULL
    for text, expected in (("a", ["a"]), ("b", ["a", "b"]), ("c", ["a", "b", "c"])):
        with closing(sqlite3.connect(tmp_path / f"after-{text}" / "sessions.db")) as copy:
            assert notes(copy) == expected


async def test_an_operator_may_choose_commits_that_do_not_wait_for_the_disk(tmp_path: Path) -> None:
    database = Database(tmp_path / "fast.db", "normal")

    assert await database.write(lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0]) == _NORMAL

    await database.close()


async def test_what_waits_is_written_before_the_file_is_closed(tmp_path: Path) -> None:
    database = Database(tmp_path / "closing.db")
    await database.write(lambda connection: connection.execute("CREATE TABLE notes (text TEXT)"))
    insert = "INSERT INTO notes VALUES (?)"
    writing = [
        asyncio.create_task(database.write(lambda connection, text=text: connection.execute(insert, (text,))))
        for text in "ab"
    ]
    await asyncio.sleep(0)

    await database.close()
    await asyncio.gather(*writing)

    with closing(sqlite3.connect(tmp_path / "closing.db")) as file:
        assert notes(file) == ["a", "b"]
    with pytest.raises(sqlite3.ProgrammingError):
        await database.write(notes)
