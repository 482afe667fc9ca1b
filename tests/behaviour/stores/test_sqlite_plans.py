"""What SQLite reads for lists and sweeps: an index finds the rows in order, however many others there are."""

import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.contract.factories import LATER
from turnlog.domain.listing import SessionFilter
from turnlog.ports import ProjectStore, SessionLog
from turnlog.stores.sqlite.database import Database
from turnlog.stores.sqlite.log import SqliteSessionLog
from turnlog.stores.sqlite.projects import SqliteProjectStore
from turnlog.stores.sqlite.rooms import SqliteRooms

pytestmark = pytest.mark.anyio

OWNER, PROJECT = "owner", "prj_1"
Query = Callable[[SessionLog, ProjectStore], Awaitable[Any]]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    database = Database(tmp_path / "sessions.db")
    yield database
    await database.close()


async def _plan(database: Database, path: Path, query: Query) -> Sequence[str]:
    """The steps by which SQLite finds the rows of the statement that `query` runs."""
    statements: list[str] = []
    for look in (database.read, database.search):
        await look(lambda connection: connection.set_trace_callback(statements.append))
    await query(SqliteSessionLog(database, SqliteRooms(database)), SqliteProjectStore(database))
    for look in (database.read, database.search):
        await look(lambda connection: connection.set_trace_callback(None))
    (statement,) = [each for each in statements if each.startswith("SELECT")]
    with closing(sqlite3.connect(path)) as connection:
        return [detail for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]


def _sessions(before: str | None = None, **wanted: Any) -> Query:
    return lambda log, _: log.sessions(SessionFilter(**wanted), before=before, limit=50)


async def _first(rows: AsyncGenerator[Any]) -> None:
    async for _ in rows:
        break


QUERIES: list[tuple[Query, str]] = [
    (_sessions(owner=OWNER), "states_listed (owner=?)"),
    (_sessions(owner=OWNER, before="2026"), "states_listed (owner=? AND listing_key<?)"),
    (_sessions(owner=OWNER, status="running", archived=False), "states_listed (owner=?)"),
    (_sessions(owner=OWNER, metadata={"a": "b"}), "states_listed (owner=?)"),
    (_sessions(owner=OWNER, project_id=PROJECT), "states_of_projects (owner=? AND project_id=?)"),
    (
        _sessions(owner=OWNER, project_id=PROJECT, before="2026", with_deleted=True),
        "states_of_projects (owner=? AND project_id=? AND listing_key<?)",
    ),
    (lambda _, projects: projects.list(OWNER, before=None, limit=50), "projects_listed (owner=?)"),
    (lambda _, projects: _first(projects.due_deletions(LATER)), "projects_deletion_due"),
    (lambda log, _: _first(log.due_for_repair(LATER)), "states_repair_due"),
    (lambda log, _: _first(log.due_for_clearing(LATER)), "states_clear_due"),
    (lambda log, _: log.idle_since(LATER, 50), "states_idle (updated_at<?)"),
]


@pytest.mark.parametrize(("query", "index"), QUERIES, ids=[index for _, index in QUERIES])
async def test_rows_are_found_by_an_index_in_their_order(
    database: Database, tmp_path: Path, query: Query, index: str
) -> None:
    plan = await _plan(database, tmp_path / "sessions.db", query)

    assert any(f"USING INDEX {index}" in step for step in plan), plan
    assert not [step for step in plan if step.startswith("SCAN states") or "TEMP B-TREE" in step]
