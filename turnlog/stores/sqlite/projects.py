"""The projects in SQLite; see `turnlog.ports.ProjectStore` for what each method promises."""

import sqlite3
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from turnlog.domain.budget import Ledger
from turnlog.domain.errors import ProjectExistsError, RevisionTakenError
from turnlog.domain.ids import ProjectId
from turnlog.domain.project import Project
from turnlog.domain.tolerance import load
from turnlog.stores.reading import readable
from turnlog.stores.sqlite.database import Database

_DUE_PAGE = 50


class SqliteProjectStore:
    """Two tables, on the database of the log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, project: Project) -> None:
        def work(connection: sqlite3.Connection) -> None:
            if (stored := _select(connection, project.id)) is None:
                _upsert(connection, project)
            elif stored["changed_by"] != project.changed_by:
                raise ProjectExistsError(project.id)

        await self._database.write(work)

    async def get(self, project_id: ProjectId) -> Project | None:
        row = await self._database.read(lambda connection: _select(connection, project_id))
        return None if row is None else load(Project, row["body"])

    async def replace(self, project: Project) -> None:
        def work(connection: sqlite3.Connection) -> None:
            stored = _select(connection, project.id)
            if stored is None or stored["revision"] != project.revision - 1:
                if stored is not None and load(Project, stored["body"]).was_changed_by(project.changed_by):
                    return
                raise RevisionTakenError(project.id)
            _upsert(connection, project)

        await self._database.write(work)

    async def list(self, owner: str, *, before: str | None, limit: int) -> Sequence[Project]:
        where, values = "owner = ? AND deleted = 0", list[Any]([owner])
        if before is not None:
            where += " AND listing_key < ?"
            values.append(before)
        return await self._query(f"WHERE {where} ORDER BY listing_key DESC", values, limit)

    async def ledger(self, project_id: ProjectId) -> Ledger | None:
        query = "SELECT body FROM ledgers WHERE project_id = ?"
        row = await self._database.read(lambda connection: connection.execute(query, (project_id,)).fetchone())
        return None if row is None else load(Ledger, row["body"])

    async def put_ledger(self, ledger: Ledger) -> None:
        def work(connection: sqlite3.Connection) -> None:
            query = "SELECT version FROM ledgers WHERE project_id = ?"
            row = connection.execute(query, (ledger.project_id,)).fetchone()
            if (0 if row is None else row["version"]) != ledger.version - 1:
                raise RevisionTakenError(ledger.project_id)
            values = (ledger.project_id, ledger.version, ledger.model_dump_json())
            connection.execute("INSERT OR REPLACE INTO ledgers VALUES (?, ?, ?)", values)

        await self._database.write(work)

    async def due_deletions(self, by: datetime) -> AsyncGenerator[Project]:
        condition = (
            "WHERE deletion_due > 0 AND deletion_due <= ? AND (deletion_due, id) > (?, ?) ORDER BY deletion_due, id"
        )
        last: tuple[float, str] = (0.0, "")
        while page := await self._query(condition, (by.timestamp(), *last), _DUE_PAGE):
            for project in page:
                yield project
            last = (page[-1].deletion_due, page[-1].id)

    async def _query(self, condition: str, values: Sequence[Any], limit: int) -> Sequence[Project]:
        # The text is built of constants of this module only; every value is bound.
        query = f"SELECT body FROM projects {condition}"

        def work(connection: sqlite3.Connection) -> Sequence[Project]:
            bodies = (row["body"] for row in connection.execute(query, values))
            return list(islice(readable(bodies, partial(load, Project), "A stored project"), limit))

        return await self._database.search(work)


def _select(connection: sqlite3.Connection, project_id: ProjectId) -> sqlite3.Row | None:
    query = "SELECT revision, changed_by, body FROM projects WHERE id = ?"
    return connection.execute(query, (project_id,)).fetchone()


def _upsert(connection: sqlite3.Connection, project: Project) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO projects VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            project.id,
            project.listing_key,
            project.owner,
            project.revision,
            project.changed_by,
            project.deleted,
            project.deletion_due,
            project.model_dump_json(exclude_none=True),
        ),
    )
