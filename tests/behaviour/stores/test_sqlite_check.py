"""The check of a SQLite file notices what only a write shows."""

import sqlite3
from pathlib import Path

import pytest

from turnlog.domain.errors import StoreUnavailableError
from turnlog.stores.sqlite.database import Database
from turnlog.stores.sqlite.log import SqliteSessionLog
from turnlog.stores.sqlite.rooms import SqliteRooms

pytestmark = pytest.mark.anyio


async def test_a_file_that_takes_no_write_fails_the_check(tmp_path: Path) -> None:
    database = Database(tmp_path / "sessions.db")
    log = SqliteSessionLog(database, SqliteRooms(database))
    await log.check()

    def refuse_writes(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA query_only = 1")

    await database.write(refuse_writes)

    with pytest.raises(StoreUnavailableError, match="can't be read or written"):
        await log.check()
    await database.close()
