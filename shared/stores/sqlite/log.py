"""The session log in SQLite; see `shared.ports.SessionLog` for what each method promises."""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from shared.domain.documents import AnyDocument, Document, Lease
from shared.domain.errors import SequenceTakenError
from shared.domain.events import Chunk, Event
from shared.domain.ids import SessionId, WriterId
from shared.domain.session import SessionState, fold
from shared.ports import D, SessionFilter, Tail, listing_key
from shared.stores.sqlite.database import Database
from shared.stores.tails import Tails

_EVENTS = TypeAdapter(tuple[Event, ...])
_CLEAR_AT_ONCE = 1000
_FILTERS = {"owner": "owner", "project_id": "project_id", "status": "status", "agent_name": "agent_name"}


class SqliteSessionLog:
    """Chunks, states and documents in three tables. Opens its file and closes it."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self._tails = Tails()

    async def append(
        self, chunk: Chunk, checkpoint: SessionState | None = None, documents: Sequence[AnyDocument] = ()
    ) -> None:
        def work(connection: sqlite3.Connection) -> None:
            if _is_written(connection, chunk):
                return
            _insert_chunk(connection, chunk)
            if checkpoint is not None:
                _upsert_state(connection, checkpoint)
            for document in documents:
                _upsert_document(connection, chunk.session_id, document)

        await self._database.write(work)
        self._tails.appended(chunk)

    async def state(self, session_id: SessionId) -> SessionState | None:
        def work(connection: sqlite3.Connection) -> SessionState | None:
            row = connection.execute("SELECT body FROM states WHERE session_id = ?", (session_id,)).fetchone()
            if row is None:
                return None
            checkpoint = SessionState.model_validate_json(row["body"])
            rest = _read_chunks(connection, session_id, checkpoint.head, -1)
            return fold(checkpoint, () if checkpoint.deleted else rest)

        return await self._database.read(work)

    async def read(self, session_id: SessionId, after: int, limit: int) -> Sequence[Chunk]:
        return await self._database.read(lambda connection: _read_chunks(connection, session_id, after, limit))

    async def newest(self, session_id: SessionId, event_type: str, limit: int) -> Sequence[Chunk]:
        query = (
            "SELECT epoch, writer, events FROM chunks WHERE session_id = ? AND instr(types, ?)"
            " ORDER BY first DESC LIMIT ?"
        )
        values = (session_id, f" {event_type} ", limit)
        rows = await self._database.read(lambda connection: connection.execute(query, values).fetchall())
        return [_chunk(session_id, row) for row in reversed(rows)]

    def watch(self, session_id: SessionId, *, eager: bool = True) -> AbstractContextManager[Tail]:  # noqa: ARG002
        return self._tails.watch(session_id)

    async def get(self, kind: type[D], session_id: SessionId, document_id: str) -> D | None:
        query = (
            "SELECT body FROM documents WHERE session_id = ? AND kind = ? AND id = ?"
            " AND (expires_at IS NULL OR expires_at > ?)"
        )
        values = (session_id, _name(kind), document_id, time.time())
        row = await self._database.read(lambda connection: connection.execute(query, values).fetchone())
        return None if row is None else kind.model_validate_json(row["body"])

    async def find(
        self, kind: type[D], session_id: SessionId, *, after: int = 0, limit: int, newest: bool = False
    ) -> Sequence[D]:
        direction = "DESC" if newest else "ASC"
        query = (
            "SELECT body FROM documents WHERE session_id = ? AND kind = ? AND place > ?"
            f" ORDER BY place {direction}, id {direction} LIMIT ?"
        )
        values = (session_id, _name(kind), after, limit)
        rows = await self._database.read(lambda connection: connection.execute(query, values).fetchall())
        return [kind.model_validate_json(row["body"]) for row in (reversed(rows) if newest else rows)]

    async def put(self, session_id: SessionId, document: AnyDocument) -> None:
        await self._database.write(lambda connection: _upsert_document(connection, session_id, document))

    async def silence(self, session_id: SessionId, writer: WriterId) -> timedelta | None:
        def work(connection: sqlite3.Connection) -> float | None:
            appended = connection.execute(
                "SELECT recorded_at FROM chunks WHERE session_id = ? AND writer = ? ORDER BY first DESC LIMIT 1",
                (session_id, writer),
            ).fetchone()
            renewed = connection.execute(
                "SELECT recorded_at FROM documents WHERE session_id = ? AND kind = ? AND id = ?",
                (session_id, _name(Lease), writer),
            ).fetchone()
            return max((row["recorded_at"] for row in (appended, renewed) if row is not None), default=None)

        heard = await self._database.read(work)
        return None if heard is None else timedelta(seconds=max(0.0, time.time() - heard))

    async def sessions(self, wanted: SessionFilter, *, before: str | None, limit: int) -> Sequence[SessionState]:
        conditions, values = _conditions(wanted)
        if before is not None:
            conditions.append("listing_key < ?")
            values.append(before)
        # Only column names of this module are put together here; every value is bound.
        query = f"SELECT body FROM states WHERE {' AND '.join(conditions)} ORDER BY listing_key DESC LIMIT ?"
        rows = await self._database.read(lambda connection: connection.execute(query, (*values, limit)).fetchall())
        return [SessionState.model_validate_json(row["body"]) for row in rows]

    async def active(self, limit: int) -> Sequence[SessionState]:
        query = "SELECT body FROM states WHERE attention = 1 ORDER BY updated_at LIMIT ?"
        rows = await self._database.read(lambda connection: connection.execute(query, (limit,)).fetchall())
        return [SessionState.model_validate_json(row["body"]) for row in rows]

    async def clear(self, session_id: SessionId) -> None:
        def work(connection: sqlite3.Connection) -> int:
            cleared = 0
            for table, key in (("chunks", "first"), ("documents", "id")):
                cleared += connection.execute(
                    f"DELETE FROM {table} WHERE session_id = ? AND {key} IN"
                    f" (SELECT {key} FROM {table} WHERE session_id = ? LIMIT {_CLEAR_AT_ONCE})",
                    (session_id, session_id),
                ).rowcount
            if not cleared:
                connection.execute(
                    "UPDATE states SET attention = 0 WHERE session_id = ? AND deleted = 1", (session_id,)
                )
            return cleared

        while await self._database.write(work):
            pass

    async def check(self) -> None:
        await self._database.read(lambda connection: connection.execute("SELECT 1").fetchone())

    async def close(self) -> None:
        await self._database.close()


def _is_written(connection: sqlite3.Connection, chunk: Chunk) -> bool:
    """Whether this very write was done before; if the place is another's, SequenceTakenError.

    A deleted session's places are all taken: its mark refuses writers that slept until now.
    """
    there = connection.execute(
        "SELECT writer, events FROM chunks WHERE session_id = ? AND first = ?", (chunk.session_id, chunk.first)
    ).fetchone()
    if there is not None and (there["writer"], there["events"]) == (chunk.writer, _events_json(chunk)):
        return True
    deleted = "SELECT 1 FROM states WHERE session_id = ? AND deleted = 1"
    if there is not None or connection.execute(deleted, (chunk.session_id,)).fetchone() is not None:
        raise SequenceTakenError(chunk.session_id, chunk.first)
    return False


def _insert_chunk(connection: sqlite3.Connection, chunk: Chunk) -> None:
    connection.execute(
        "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            chunk.session_id,
            chunk.first,
            chunk.last,
            chunk.epoch,
            chunk.writer,
            time.time(),
            _types(chunk),
            _events_json(chunk),
        ),
    )


def _events_json(chunk: Chunk) -> str:
    return _EVENTS.dump_json(chunk.events, exclude_none=True).decode()


def _upsert_state(connection: sqlite3.Connection, state: SessionState) -> None:
    attention = state.deleted or state.active_turn is not None or bool(state.queue)
    connection.execute(
        "INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            state.session_id,
            listing_key(state),
            state.owner,
            state.project_id,
            state.status,
            state.agent_name,
            state.archived,
            state.deleted,
            attention,
            state.updated_at.timestamp(),
            state.model_dump_json(exclude_none=True),
        ),
    )


def _upsert_document(connection: sqlite3.Connection, session_id: SessionId, document: AnyDocument) -> None:
    now = time.time()
    expires_at = None if document.expires_after is None else now + document.expires_after
    body = document.model_dump_json(exclude_none=True)
    connection.execute(
        "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)",
        (session_id, document.kind, document.id, document.order, now, expires_at, body),
    )


def _read_chunks(connection: sqlite3.Connection, session_id: SessionId, after: int, limit: int) -> list[Chunk]:
    # The chunk that holds `after` begins at or before it: start there, and pass over it if it ends there.
    rows = connection.execute(
        "SELECT epoch, writer, events FROM chunks WHERE session_id = ?1 AND last > ?2 AND first >="
        " coalesce((SELECT max(first) FROM chunks WHERE session_id = ?1 AND first <= ?2), 0)"
        " ORDER BY first LIMIT ?3",
        (session_id, after, limit),
    )
    return [_chunk(session_id, row) for row in rows]


def _chunk(session_id: SessionId, row: sqlite3.Row) -> Chunk:
    # What this store wrote was checked then; the events are parsed, the envelope needs no second look.
    return Chunk.model_construct(
        session_id=session_id,
        epoch=row["epoch"],
        writer=WriterId(row["writer"]),
        events=_EVENTS.validate_json(row["events"]),
    )


def _types(chunk: Chunk) -> str:
    """The chunk's event types as words with a space on either side, to be found whole."""
    return f" {' '.join(chunk.types)} "


def _conditions(wanted: SessionFilter) -> tuple[list[str], list[Any]]:
    conditions, values = ["deleted = 0"], list[Any]()
    for attribute, column in _FILTERS.items():
        if (value := getattr(wanted, attribute)) is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    if wanted.archived is not None:
        conditions.append("archived = ?")
        values.append(wanted.archived)
    for key, value in wanted.metadata.items():
        conditions.append("EXISTS (SELECT 1 FROM json_each(body, '$.metadata') WHERE key = ? AND atom = ?)")
        values.extend((key, value))
    return conditions, values


def _name(kind: type[Document]) -> str:
    return str(kind.model_fields["kind"].default)
