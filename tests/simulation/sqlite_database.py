"""The SQLite store's database as a simulated process sees it: in memory, behind a network that loses requests."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

from tests.simulation.processes import Process, ReplyLostError, RequestLostError
from turnlog.domain.errors import StoreUnavailableError
from turnlog.stores import Stores
from turnlog.stores.sqlite.database import Database, shielded
from turnlog.stores.sqlite.log import SqliteSessionLog
from turnlog.stores.sqlite.projects import SqliteProjectStore
from turnlog.stores.sqlite.rooms import SqliteRooms

T = TypeVar("T")

_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)


@cache
def _empty_file() -> bytes:
    """An empty database with the product's own schema."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sessions.db"
        asyncio.run(_create(path))
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")  # a copy in memory has no WAL
        connection.close()
        return path.read_bytes()


async def _create(path: Path) -> None:
    await Database(path).close()


class SqliteAccount:
    """One database in memory, which all processes of a simulation use."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.deserialize(_empty_file())

    def open(self, process: Process) -> Stores:
        """The product's stores, as `process` opens them."""
        database = cast("Database", _NetworkedDatabase(self, process))
        rooms = SqliteRooms(database)
        return Stores(SqliteSessionLog(database, rooms), SqliteProjectStore(database), rooms)

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one transaction: all of it or nothing."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(self.connection)
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
        return result

    def rewrite(self, session_id: str, change: Callable[[str], str]) -> None:
        """Replace every stored JSON text of a session by what `change` makes of it."""
        self.connection.create_function("changed", 1, change)
        for table, column in (("chunks", "events"), ("states", "body"), ("documents", "body")):
            self.connection.execute(
                f"UPDATE {table} SET {column} = changed({column}) WHERE session_id = ?", [session_id]
            )

    def stored_states(self, session_id: str) -> list[str]:
        """The stored state of a session, as JSON."""
        query = "SELECT body FROM states WHERE session_id = ?"
        return [row["body"] for row in self.connection.execute(query, [session_id])]

    def close(self) -> None:
        self.connection.close()


class _NetworkedDatabase:
    """Has the methods of `turnlog.stores.sqlite.database.Database`. A lost request is made again for three seconds."""

    def __init__(self, account: SqliteAccount, process: Process) -> None:
        self._account = account
        self._process = process

    async def write(
        self, work: Callable[[sqlite3.Connection], T], on_commit: Callable[[T], object] = lambda _: None
    ) -> T:
        return await shielded(asyncio.ensure_future(self._write(work, on_commit)))

    async def _write(self, work: Callable[[sqlite3.Connection], T], on_commit: Callable[[T], object]) -> T:
        result = await self._request(work)
        on_commit(result)
        return result

    async def _request(self, work: Callable[[sqlite3.Connection], T]) -> T:
        for pause in (*_PAUSES, None):
            try:
                return await self._process.request(lambda: self._account.transact(work))
            except (RequestLostError, ReplyLostError):
                if pause is not None:
                    await self._process.sleep(pause)
        raise StoreUnavailableError("The database doesn't answer.")

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._request(work)

    async def search(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._request(work)

    async def close(self) -> None:
        pass
