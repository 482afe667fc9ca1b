"""The session log in SQLite; see `turnlog.ports.SessionLog` for what each method promises."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from turnlog.domain.chunks import Chunk
from turnlog.domain.fold import fold_without_deltas
from turnlog.domain.ids import SessionId, WriterId
from turnlog.domain.listing import SessionFilter
from turnlog.domain.pages import MAX_PAGE_BYTES, MAX_RESPONSE_BYTES, Page, PageFiller
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import AnyDocument, IdempotencyRecord, Lease
from turnlog.domain.tolerance import load
from turnlog.ports import D, Tail
from turnlog.stores.following import MAX_CHUNKS, Feeds
from turnlog.stores.limits import require_batch_fits
from turnlog.stores.reading import dump_events, load_state, remains_of, state_or_none
from turnlog.stores.sqlite.database import Database, shrink
from turnlog.stores.sqlite.items import (
    MAX_SEQUENCE,
    STATE_AND_LAST,
    body_of,
    claim,
    filter_conditions,
    insert_chunk,
    kind_name,
    newest_chunks,
    read_chunks,
    readable_page,
    release,
    upsert_document,
    upsert_state,
    write_check,
)
from turnlog.stores.sqlite.rooms import RecordedChunk, SqliteRooms, record_chunk

_CLEAR_BATCH = 1000  # rows
_DUE_PAGE = 100


class SqliteSessionLog:
    """Chunks, states and documents in three tables. It writes `rooms` as well, in the same transactions."""

    def __init__(self, database: Database, rooms: SqliteRooms) -> None:
        self._database = database
        self._rooms = rooms
        self._feeds = Feeds[SessionId, Chunk](MAX_CHUNKS)

    @property
    def incarnation(self) -> str:
        return self._database.incarnation

    async def append(
        self, chunk: Chunk, checkpoint: SessionState | None = None, documents: Sequence[AnyDocument] = ()
    ) -> None:
        events = dump_events(chunk.events)
        states = [] if checkpoint is None else [(checkpoint, body_of(checkpoint))]
        others = [(document, body_of(document)) for document in documents]
        require_batch_fits([events, *(body for _, body in (*states, *others))])

        def work(connection: sqlite3.Connection) -> RecordedChunk | None:
            if not insert_chunk(connection, chunk, events):
                return None
            for state, body in states:
                upsert_state(connection, state, body)
            for document, body in others:
                upsert_document(connection, chunk.session_id, document, body)
            return record_chunk(connection, chunk)

        def wake_readers(recorded: RecordedChunk | None) -> None:
            self._feeds.extend(chunk.session_id, chunk.first - 1, chunk)
            if recorded is not None:
                self._rooms.extend(recorded, chunk, checkpoint)

        await self._database.write(work, wake_readers)

    async def state(self, session_id: SessionId) -> SessionState | None:
        def work(connection: sqlite3.Connection) -> SessionState | None:
            row = connection.execute(STATE_AND_LAST, (session_id,)).fetchone()
            if row is None:
                return None
            checkpoint, last = load_state(session_id, row["body"]), row["last"] or 0
            if checkpoint.deleted or last <= checkpoint.head:
                return checkpoint
            # An answer that is being written may be thousands of chunks of deltas. They change only the head.
            everything = PageFiller[Chunk](None, None)
            rest = read_chunks(connection, session_id, checkpoint.head, everything, skip_deltas=True)
            return fold_without_deltas(checkpoint, rest, last)

        return await self._database.read(work)

    async def checkpoint(self, session_id: SessionId) -> SessionState | None:
        return await self.state(session_id)  # one read as well

    async def catch_up(self, checkpoint: SessionState) -> SessionState | None:
        return await self.state(checkpoint.session_id)

    async def remains(self, session_id: SessionId) -> SessionState | None:
        newest = "(SELECT max(last) FROM chunks c WHERE c.session_id = s.session_id)"
        query = f"SELECT body, {newest} AS head FROM states s WHERE session_id = ?"
        row = await self._database.read(lambda connection: connection.execute(query, (session_id,)).fetchone())
        return None if row is None else remains_of(row["body"], row["head"])

    async def outline(self, session_id: SessionId) -> SessionState | None:
        return await self.state(session_id)

    async def read(
        self,
        session_id: SessionId,
        after: int,
        limit: int,
        /,
        *,
        before: int | None = None,
        newest: bool = False,
        skip_deltas: bool = False,
    ) -> Page[Chunk]:
        end = MAX_SEQUENCE if before is None else before

        def work(connection: sqlite3.Connection) -> Page[Chunk]:
            filler = PageFiller[Chunk](limit, MAX_PAGE_BYTES)
            return read_chunks(connection, session_id, after, filler, end, newest=newest, skip_deltas=skip_deltas)

        await asyncio.sleep(0)  # a reader of page after page lets others read in between
        return await self._database.read(work)

    async def newest_of_type(self, session_id: SessionId, event_type: str, limit: int) -> Page[Chunk]:
        return await self._database.search(lambda connection: newest_chunks(connection, session_id, event_type, limit))

    def watch(self, session_id: SessionId, /, *, polls: bool = True) -> AbstractContextManager[Tail[Chunk]]:
        return self._feeds.watch(session_id, polls=polls)

    async def get(self, kind: type[D], session_id: SessionId, document_id: str) -> D | None:
        query = (
            "SELECT body FROM documents WHERE session_id = ? AND kind = ? AND id = ?"
            " AND (expires_at IS NULL OR expires_at > ?)"
        )
        key = (session_id, kind_name(kind), document_id)

        def work(connection: sqlite3.Connection) -> D | None:
            row = connection.execute(query, (*key, time.time())).fetchone()
            return None if row is None else load(kind, row["body"])

        return await self._database.read(work)

    async def find(
        self,
        kind: type[D],
        session_id: SessionId,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int,
        newest: bool = False,
        max_bytes: int | None = None,
    ) -> Page[D]:
        direction = "DESC" if newest else "ASC"
        query = (
            "SELECT body FROM documents WHERE session_id = ? AND kind = ? AND sequence > ? AND sequence < ?"
            f" ORDER BY sequence {direction}, id {direction}"
        )
        values = (session_id, kind_name(kind), after, MAX_SEQUENCE if before is None else before)
        page = await self._database.read(readable_page(query, values, kind, limit, max_bytes))
        return page.in_order(newest=newest)

    async def put(self, session_id: SessionId, document: AnyDocument) -> None:
        require_batch_fits([body := body_of(document)])
        await self._database.write(lambda connection: upsert_document(connection, session_id, document, body))

    async def claim(self, record: IdempotencyRecord) -> IdempotencyRecord | None:
        return await self._database.write(lambda connection: claim(connection, record))

    async def release(self, record: IdempotencyRecord) -> None:
        await self._database.write(lambda connection: release(connection, record))

    async def silence(self, session_id: SessionId, writer: WriterId) -> timedelta | None:
        def work(connection: sqlite3.Connection) -> float | None:
            appended = connection.execute(
                "SELECT recorded_at FROM chunks WHERE session_id = ? AND writer = ? ORDER BY first DESC LIMIT 1",
                (session_id, writer),
            ).fetchone()
            renewed = connection.execute(
                "SELECT recorded_at FROM documents WHERE session_id = ? AND kind = ? AND id = ?",
                (session_id, kind_name(Lease), writer),
            ).fetchone()
            return max((row["recorded_at"] for row in (appended, renewed) if row is not None), default=None)

        written = await self._database.search(work)
        return None if written is None else timedelta(seconds=max(0.0, time.time() - written))

    async def sessions(self, wanted: SessionFilter, *, before: str | None, limit: int) -> Page[SessionState]:
        where, values = filter_conditions(wanted)
        if before is not None:
            where.append("listing_key < ?")
            values.append(before)
        # The text is built of constants of this package only; every value is bound.
        query = f"SELECT body FROM states WHERE {' AND '.join(where)} ORDER BY listing_key DESC"
        return await self._database.search(readable_page(query, values, SessionState, limit, MAX_RESPONSE_BYTES))

    def due_for_repair(self, by: datetime) -> AsyncGenerator[SessionState]:
        return self._due("repair_due", by)

    def due_for_clearing(self, by: datetime) -> AsyncGenerator[SessionState]:
        return self._due("clear_due", by)

    async def _due(self, column: str, by: datetime) -> AsyncGenerator[SessionState]:
        query = (
            f"SELECT {column} AS due, session_id, body FROM states WHERE {column} > 0 AND {column} <= ?"
            f" AND ({column}, session_id) > (?, ?) ORDER BY {column}, session_id LIMIT {_DUE_PAGE}"
        )
        last: tuple[float, str] = (0.0, "")
        while True:
            values = (by.timestamp(), *last)
            rows = await self._database.search(lambda connection: connection.execute(query, values).fetchall())  # noqa: B023
            for row in rows:
                if (state := state_or_none(row["session_id"], row["body"])) is not None:
                    yield state
            if len(rows) < _DUE_PAGE:
                return
            last = (rows[-1]["due"], rows[-1]["session_id"])

    async def idle_since(self, before: datetime, limit: int) -> Sequence[SessionState]:
        query = "SELECT body FROM states WHERE hidden = 0 AND updated_at < ? ORDER BY updated_at"
        values = (before.timestamp(),)
        return await self._database.search(readable_page(query, values, SessionState, limit, None))

    async def clear(self, session_id: SessionId) -> None:
        def work(connection: sqlite3.Connection) -> int:
            cleared = 0
            for table, key in (("chunks", "first"), ("documents", "id")):
                cleared += connection.execute(
                    f"DELETE FROM {table} WHERE session_id = ? AND {key} IN"
                    f" (SELECT {key} FROM {table} WHERE session_id = ? LIMIT {_CLEAR_BATCH})",
                    (session_id, session_id),
                ).rowcount
            if not cleared:
                connection.execute("UPDATE states SET clear_due = 0 WHERE session_id = ? AND hidden = 1", (session_id,))
            return cleared

        while await self._database.write(work):
            pass
        while await self._database.write(shrink):
            pass

    async def check(self) -> None:
        await self._database.write(write_check)
        await self._database.read(lambda connection: connection.execute("SELECT 1").fetchone())

    async def close(self) -> None:
        await self._database.close()
