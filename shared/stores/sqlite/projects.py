"""The projects in SQLite; see `shared.ports.ProjectStore` for what each method promises."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from shared.domain.errors import ProjectExistsError, RevisionTakenError
from shared.domain.ids import ProjectId
from shared.domain.project import Project
from shared.stores.sqlite.database import Database


class SqliteProjectStore:
    """Projects in a table beside the log, on its database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, project: Project) -> None:
        def work(connection: sqlite3.Connection) -> None:
            if (there := _there(connection, project.id)) is None:
                _upsert(connection, project)
            elif there["changed_by"] != project.changed_by:
                raise ProjectExistsError(project.id)

        await self._database.write(work)

    async def get(self, project_id: ProjectId) -> Project | None:
        row = await self._database.read(lambda connection: _there(connection, project_id))
        return None if row is None else Project.model_validate_json(row["body"])

    async def replace(self, project: Project) -> None:
        def work(connection: sqlite3.Connection) -> None:
            there = _there(connection, project.id)
            if there is None or there["revision"] != project.revision - 1:
                if there is not None and Project.model_validate_json(there["body"]).was_changed_by(project.changed_by):
                    return
                raise RevisionTakenError(project.id)
            _upsert(connection, project)

        await self._database.write(work)

    async def list(self, owner: str, *, before: str | None, limit: int) -> Sequence[Project]:
        where, values = "owner = ? AND deleted = 0", list[Any]([owner])
        if before is not None:
            where += " AND listing_key < ?"
            values.append(before)
        return await self._found(f"WHERE {where} ORDER BY listing_key DESC LIMIT ?", *values, limit)

    async def deleted_with_sessions(self, limit: int) -> Sequence[Project]:
        return await self._found("WHERE closing = 1 ORDER BY updated_at LIMIT ?", limit)

    async def _found(self, which: str, *values: Any) -> Sequence[Project]:
        # Only texts of this module are put together here; every value is bound.
        query = f"SELECT body FROM projects {which}"
        rows = await self._database.read(lambda connection: connection.execute(query, values).fetchall())
        return [Project.model_validate_json(row["body"]) for row in rows]


def _there(connection: sqlite3.Connection, project_id: ProjectId) -> sqlite3.Row | None:
    query = "SELECT revision, changed_by, body FROM projects WHERE id = ?"
    return connection.execute(query, (project_id,)).fetchone()


def _upsert(connection: sqlite3.Connection, project: Project) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO projects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            project.id,
            project.listing_key,
            project.owner,
            project.revision,
            project.changed_by,
            project.deleted,
            project.deleted and not project.emptied,
            project.updated_at.timestamp(),
            project.model_dump_json(exclude_none=True),
        ),
    )
