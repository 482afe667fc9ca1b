"""The SQLite file itself: its tables, its rights, its incarnation, and whether it can be used at all."""

import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal, TypeAlias

Synchronous: TypeAlias = Literal["full", "normal"]
"""What a commit survives: a loss of power, or only a crash of the process."""

_MAX_WAL_BYTES = 64 * 1024 * 1024

# States: `hidden` from lists are deleted sessions and forks that are not complete. `repair_due` is when the sweep has
# to check a session; 0 means never.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS store (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunks (
    session_id TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    epoch INTEGER NOT NULL, writer TEXT NOT NULL, recorded_at REAL NOT NULL, types TEXT NOT NULL,
    only_deltas INTEGER NOT NULL, events TEXT NOT NULL, PRIMARY KEY (session_id, first)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS chunks_with_non_deltas ON chunks (session_id, first) WHERE only_deltas = 0;
CREATE TABLE IF NOT EXISTS states (
    session_id TEXT PRIMARY KEY, listing_key TEXT NOT NULL, owner TEXT NOT NULL, project_id TEXT, status TEXT NOT NULL,
    agent_name TEXT, archived INTEGER NOT NULL, hidden INTEGER NOT NULL, repair_due REAL NOT NULL,
    clear_due REAL NOT NULL, updated_at REAL NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS states_listed ON states (owner, listing_key DESC) WHERE hidden = 0;
CREATE INDEX IF NOT EXISTS states_of_projects ON states (owner, project_id, listing_key DESC)
    WHERE project_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS states_idle ON states (updated_at) WHERE hidden = 0;
CREATE INDEX IF NOT EXISTS states_repair_due ON states (repair_due, session_id) WHERE repair_due > 0;
CREATE INDEX IF NOT EXISTS states_clear_due ON states (clear_due, session_id) WHERE clear_due > 0;
CREATE TABLE IF NOT EXISTS documents (
    session_id TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, sequence INTEGER NOT NULL,
    recorded_at REAL NOT NULL, expires_at REAL, body TEXT NOT NULL,
    PRIMARY KEY (session_id, kind, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS documents_listed ON documents (session_id, kind, sequence);
CREATE INDEX IF NOT EXISTS documents_expiring ON documents (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS projects (
    id TEXT PRIMARY KEY, listing_key TEXT NOT NULL, owner TEXT NOT NULL, revision INTEGER NOT NULL,
    changed_by TEXT NOT NULL, deleted INTEGER NOT NULL, deletion_due REAL NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS projects_listed ON projects (owner, listing_key DESC) WHERE deleted = 0;
CREATE INDEX IF NOT EXISTS projects_deletion_due ON projects (deletion_due, id) WHERE deletion_due > 0;
CREATE TABLE IF NOT EXISTS ledgers (
    project_id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rooms (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, project_id TEXT, session_id TEXT NOT NULL,
    first INTEGER NOT NULL, deletes INTEGER NOT NULL, recorded_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS rooms_of_owners ON rooms (owner, cursor);
CREATE INDEX IF NOT EXISTS rooms_of_projects ON rooms (owner, project_id, cursor) WHERE project_id IS NOT NULL;
"""


class BrokenFileError(Exception):
    """The file can't be used. The text says in one line why, and what to do."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(
            f"{path} can't be used ({reason}): move it away, or restore a backup (docs/run/operations.md, Backups)"
        )


def connect(path: Path, synchronous: Synchronous = "full") -> sqlite3.Connection:
    """A connection to the file at `path`, which is created if there is none. Only the system's user may read it.

    Raises:
        BrokenFileError: it is not a database, it is damaged, or it was written by another program.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        make_private(path)  # before SQLite opens it: the files beside it get the same rights
    except OSError as error:
        raise BrokenFileError(path, error) from error
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, synchronous)
        _require_tables(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise BrokenFileError(path, error) from error
    return connection


def make_private(path: Path) -> None:
    """Let only the system's user read the file at `path`, which is created if there is none.

    Raises:
        OSError
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    if os.name == "posix":
        path.chmod(0o600)


def _prepare(connection: sqlite3.Connection, synchronous: Synchronous) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # for a new file
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA journal_size_limit = {_MAX_WAL_BYTES}")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.executescript(_SCHEMA)
    connection.execute("INSERT OR IGNORE INTO store VALUES ('incarnation', ?)", (_new_incarnation(),))


def _require_tables(connection: sqlite3.Connection) -> None:
    """Check that the tables have the columns of this release, and that the file is as long as it says."""
    with closing(sqlite3.connect(":memory:")) as expected:
        expected.executescript(_SCHEMA)
        for (table,) in expected.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            query = f"SELECT name FROM pragma_table_info('{table}')"
            columns = [name for (name,) in expected.execute(query)]
            if [row["name"] for row in connection.execute(query)] != columns:
                raise sqlite3.DatabaseError(f"its table {table} has other columns than this release needs")
    for table in ("chunks", "states", "documents"):
        connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()


def check_file(path: Path) -> None:
    """Open the file at `path` once, and create it if there is none.

    Raises:
        BrokenFileError
    """
    connect(path).close()


def incarnation_of(connection: sqlite3.Connection) -> str:
    """Which life of the log this is. A restore begins another one."""
    return str(connection.execute("SELECT value FROM store WHERE name = 'incarnation'").fetchone()[0])


def renew_incarnation(connection: sqlite3.Connection) -> str:
    """Begin another life of the log: cursors of the old one are refused from now on."""
    connection.execute("INSERT OR REPLACE INTO store VALUES ('incarnation', ?)", (_new_incarnation(),))
    return incarnation_of(connection)


def _new_incarnation() -> str:
    return secrets.token_hex(4)
