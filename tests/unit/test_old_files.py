"""A SQLite file of an earlier release is opened as it is, and what was to be repaired in it still is."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from shared.domain.session import SessionState
from shared.stores.sqlite.database import Database
from shared.stores.sqlite.log import SqliteSessionLog
from tests.unit.telling import THEN, created

pytestmark = pytest.mark.anyio

_STATES_OF_0_1_0 = """
CREATE TABLE states (
    session_id TEXT PRIMARY KEY, listing_key TEXT NOT NULL, owner TEXT NOT NULL, project_id TEXT, status TEXT NOT NULL,
    agent_name TEXT, archived INTEGER NOT NULL, deleted INTEGER NOT NULL, attention INTEGER NOT NULL,
    updated_at REAL NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX states_attention ON states (updated_at) WHERE attention = 1;
"""


def _insert(connection: sqlite3.Connection, state: SessionState, attention: int) -> None:
    values = (state.session_id, "k", "me", None, "running", None, 0, 0, attention, 0.5, state.model_dump_json())
    connection.execute("INSERT INTO states VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


async def test_sessions_that_needed_a_look_still_do_and_the_others_do_not(tmp_path: Path) -> None:
    busy, idle = (created().model_copy(update={"session_id": name}) for name in ("busy", "idle"))
    with sqlite3.connect(tmp_path / "sessions.db") as connection:
        connection.executescript(_STATES_OF_0_1_0)
        _insert(connection, busy, 1)
        _insert(connection, idle, 0)
    connection.close()
    log = SqliteSessionLog(Database(tmp_path / "sessions.db"))
    try:
        assert await log.active(THEN - timedelta(days=9), 10) == [busy]
        assert await log.state(idle.session_id) == idle
    finally:
        await log.close()
