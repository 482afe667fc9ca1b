"""A SQLite file in WAL mode. Commits and searches, which wait for the disk, have their own threads."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from turnlog.domain.errors import StoreUnavailableError
from turnlog.stores.sqlite.file import Synchronous, connect, incarnation_of
from turnlog.stores.sqlite.group_commit import GroupCommit

_MISTAKES = (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.NotSupportedError)
_log = logging.getLogger(__name__)
_SHRINK_BY = 1000  # pages: other writes wait for them
_ROOMS_TTL = 7 * 24 * 60 * 60  # seconds

T = TypeVar("T")


class Database:
    """Runs functions on the file's connections, which all stores on it share. The code that opens it closes it.

    `synchronous=FULL`: an acknowledged commit is on the disk, so it survives a loss of power. With NORMAL it survives
    a crash of the process, but a loss of power can lose the last ones (sqlite.org/wal.html).

    Raises:
        BrokenFileError: the file can't be used.
    """

    def __init__(self, path: Path, synchronous: Synchronous = "full") -> None:
        self._path = path
        self._writer, self._reader, self._searcher = connect(path, synchronous), connect(path), connect(path)
        delete_expired(self._writer)
        self.incarnation = incarnation_of(self._writer)
        self._commits = GroupCommit(self._writer)
        self._search_thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-search")

    async def write(self, work: Callable[[sqlite3.Connection], T], on_commit: Callable[[T], object] | None = None) -> T:
        """Run `work` in one transaction: all of it or nothing. Writes that wait together share a commit.

        `on_commit` is called with the result as soon as it is committed, also if the caller is cancelled until then.
        """
        with self._translated_errors():
            return await self._commits.submit(work, on_commit)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which reads a row or a page by its key, in one snapshot, which holds every acknowledged write.

        It runs in the event loop. Such rows are nearly always in memory, and reading them takes a fraction of the time
        that a thread takes to answer.
        """
        with self._translated_errors():
            return _snapshot(self._reader, work)

    async def search(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Like `read`, for work that may read many rows: it runs in a thread."""
        loop = asyncio.get_running_loop()
        with self._translated_errors():
            return await shielded(loop.run_in_executor(self._search_thread, _snapshot, self._searcher, work))

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._commits.close()
        self._search_thread.shutdown()
        self._searcher.close()
        self._reader.close()
        self._writer.close()

    @contextmanager
    def _translated_errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if isinstance(error, _MISTAKES):
                raise
            # A busy or full disk, or a damaged file. The path and SQLite's text are for the operator, not for callers.
            _log.error("%s can't be used: %s", self._path, error)  # one line: the same may fail every second
            raise StoreUnavailableError("The sessions can't be read or written at the moment.") from error


async def shielded(running: "asyncio.Future[T]") -> T:
    """Wait for `running`. If the caller is cancelled, it continues, and its error then concerns nobody."""
    running.add_done_callback(_retrieve_error)
    return await asyncio.shield(running)


def _retrieve_error(ended: "asyncio.Future[Any]") -> None:
    # Otherwise asyncio logs that nobody has retrieved it.
    if not ended.cancelled():
        ended.exception()


def delete_expired(connection: sqlite3.Connection) -> None:
    """Delete expired documents and room entries. Rooms are in order of time, so only their oldest rows are read."""
    connection.execute("DELETE FROM documents WHERE expires_at < unixepoch()")
    oldest = "SELECT cursor FROM rooms WHERE recorded_at >= unixepoch() - ? ORDER BY cursor LIMIT 1"
    connection.execute(f"DELETE FROM rooms WHERE cursor < coalesce(({oldest}), ?)", (_ROOMS_TTL, 2**63 - 1))


def shrink(connection: sqlite3.Connection) -> bool:
    """Give some of the file's unused pages back to the system. False if there are none."""
    connection.execute(f"PRAGMA incremental_vacuum({_SHRINK_BY})").fetchall()
    return connection.execute("PRAGMA freelist_count").fetchone()[0] > 0


def _snapshot(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        connection.execute("ROLLBACK")
