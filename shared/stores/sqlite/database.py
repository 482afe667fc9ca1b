"""A SQLite file in WAL mode. One thread writes and one reads, so that nothing blocks the event loop."""

import asyncio
import sqlite3
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from shared.domain.errors import StoreUnavailableError
from shared.stores.sqlite.group_commit import GroupCommit

Synchronous: TypeAlias = Literal["full", "normal"]
"""What a commit survives: a loss of power, or only a crash of the process."""

_ROOMS_TTL = 7 * 24 * 60 * 60  # seconds

T = TypeVar("T")

# States: `hidden` from lists are deleted sessions and forks that are not complete. `repair_due` is when the sweep has
# to check a session; 0 means never.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS chunks (
    session_id TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    epoch INTEGER NOT NULL, writer TEXT NOT NULL, recorded_at REAL NOT NULL, types TEXT NOT NULL,
    only_deltas INTEGER NOT NULL, events TEXT NOT NULL, PRIMARY KEY (session_id, first)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS chunks_with_non_deltas ON chunks (session_id, first) WHERE only_deltas = 0;
CREATE TABLE IF NOT EXISTS states (
    session_id TEXT PRIMARY KEY, listing_key TEXT NOT NULL, owner TEXT NOT NULL, project_id TEXT, status TEXT NOT NULL,
    agent_name TEXT, archived INTEGER NOT NULL, hidden INTEGER NOT NULL, repair_due REAL NOT NULL,
    updated_at REAL NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS states_listed ON states (owner, listing_key DESC) WHERE hidden = 0;
CREATE INDEX IF NOT EXISTS states_of_projects ON states (owner, project_id, listing_key DESC)
    WHERE project_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS states_repair_due ON states (repair_due) WHERE repair_due > 0;
CREATE TABLE IF NOT EXISTS documents (
    session_id TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, sequence INTEGER NOT NULL,
    recorded_at REAL NOT NULL, expires_at REAL, body TEXT NOT NULL,
    PRIMARY KEY (session_id, kind, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS documents_listed ON documents (session_id, kind, sequence);
CREATE INDEX IF NOT EXISTS documents_expiring ON documents (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS projects (
    id TEXT PRIMARY KEY, listing_key TEXT NOT NULL, owner TEXT NOT NULL, revision INTEGER NOT NULL,
    changed_by TEXT NOT NULL, deleted INTEGER NOT NULL, closing INTEGER NOT NULL, updated_at REAL NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS projects_listed ON projects (owner, listing_key DESC) WHERE deleted = 0;
CREATE INDEX IF NOT EXISTS projects_closing ON projects (updated_at) WHERE closing = 1;
CREATE TABLE IF NOT EXISTS rooms (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, project_id TEXT, session_id TEXT NOT NULL,
    first INTEGER NOT NULL, deletes INTEGER NOT NULL, recorded_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS rooms_of_owners ON rooms (owner, cursor);
CREATE INDEX IF NOT EXISTS rooms_of_projects ON rooms (owner, project_id, cursor) WHERE project_id IS NOT NULL;
"""


class Database:
    """Runs functions on the file's two connections, which all stores on it share. The code that opens it closes it.

    `synchronous=FULL`: an acknowledged commit is on the disk, so it survives a loss of power. With NORMAL it survives
    a crash of the process, but a loss of power can lose the last ones (sqlite.org/wal.html).
    """

    def __init__(self, path: Path, synchronous: Synchronous = "full") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._not_started: dict[Hashable, asyncio.Future[Any]] = {}
        self._synchronous = synchronous
        self._writer, self._reader = self._connect(), self._connect()
        self._commits = GroupCommit(self._writer)
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-read")

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one transaction: all of it or nothing. Writes that wait together share a commit."""
        return await self._finish(self._commits.submit(work))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one snapshot, which holds every acknowledged write."""
        loop = asyncio.get_running_loop()
        return await self._finish(loop.run_in_executor(self._read_thread, _snapshot, self._reader, work))

    async def read_together(self, key: Hashable, work: Callable[[sqlite3.Connection], T]) -> T:
        """Like `read`, except that callers with the same `key` share one read until it starts."""
        shared: asyncio.Future[T] | None = self._not_started.get(key)
        if shared is None:

            def start(connection: sqlite3.Connection) -> T:
                # Before anything is read: a later caller may know of a later write.
                self._not_started.pop(key, None)
                return work(connection)

            def end(ended: asyncio.Future[T]) -> None:
                if self._not_started.get(key) is ended:
                    del self._not_started[key]

            shared = self._not_started[key] = asyncio.ensure_future(self.read(start))
            shared.add_done_callback(end)
        return await shielded(shared)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._commits.close()
        self._read_thread.shutdown()
        self._reader.close()
        self._writer.close()

    async def _finish(self, running: "asyncio.Future[T]") -> T:
        # Shielded: if the caller is cancelled, work that has started is not abandoned.
        try:
            return await shielded(running)
        except sqlite3.OperationalError as error:
            raise StoreUnavailableError(f"The SQLite file {self._path} can't be used: {error}.") from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.executescript(_SCHEMA)
        delete_expired(connection)
        return connection


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


def _snapshot(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        connection.execute("ROLLBACK")
