"""Chunks, states and documents as rows. The stored form is private to this package."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from turnlog.domain.chunks import Chunk
from turnlog.domain.errors import SequenceTakenError
from turnlog.domain.events import DELTA_TYPES
from turnlog.domain.ids import SessionId, WriterId
from turnlog.domain.listing import SessionFilter, listing_key
from turnlog.domain.pages import EVENT_OVERHEAD_BYTES, MAX_RESPONSE_BYTES, Page, PageFiller, fill
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import AnyDocument, Document, IdempotencyRecord, claim_partition
from turnlog.domain.tolerance import M, load
from turnlog.stores.reading import load_events, readable

MAX_SEQUENCE = 2**63 - 1
"""No sequence is as large."""

SKIP_DELTAS = " AND only_deltas = 0"
"""The condition of the index `chunks_with_non_deltas`. SQLite uses the index only if the text is the same."""

STATE_AND_LAST = (
    "SELECT body, (SELECT last FROM chunks c WHERE c.session_id = s.session_id ORDER BY first DESC LIMIT 1) AS last"
    " FROM states s WHERE session_id = ?"
)
"""The query of a state, and of the last sequence in its log; null if the log is empty."""

_CHUNK = "first, last, epoch, writer, events"
_FILTERED_COLUMNS = ("owner", "project_id", "status", "agent_name", "archived")


def insert_chunk(connection: sqlite3.Connection, chunk: Chunk, events: str) -> bool:
    """Insert `chunk`, whose stored form is `events`; False if exactly this chunk was inserted before.

    The tombstone of a deleted session refuses every chunk, from a writer that was suspended until now.

    Raises:
        SequenceTakenError: another writer holds the sequence, or the session is deleted.
    """
    inserted = connection.execute(
        # The column `hidden` is not enough: a fork that is being copied is hidden as well.
        "INSERT INTO chunks SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE NOT EXISTS"
        " (SELECT 1 FROM states WHERE session_id = ?1 AND hidden = 1 AND body ->> '$.deleted') ON CONFLICT DO NOTHING",
        (
            *(chunk.session_id, chunk.first, chunk.last, chunk.epoch, chunk.writer, time.time()),
            *(_types(chunk), chunk.has_only_deltas, events),
        ),
    ).rowcount
    if inserted:
        return True
    stored = connection.execute(
        "SELECT writer, events FROM chunks WHERE session_id = ? AND first = ?", (chunk.session_id, chunk.first)
    ).fetchone()
    if stored is None or (stored["writer"], stored["events"]) != (chunk.writer, events):
        raise SequenceTakenError(chunk.session_id, chunk.first)
    return False


def body_of(value: SessionState | AnyDocument) -> str:
    return value.model_dump_json(exclude_none=True)


def upsert_state(connection: sqlite3.Connection, state: SessionState, body: str) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            state.session_id,
            listing_key(state),
            state.owner_hash,
            state.project_id,
            state.status,
            state.agent_name,
            state.archived,
            state.deleted or not state.is_complete,
            _timestamp(state.repair_due),
            _timestamp(state.clear_due),
            state.updated_at.timestamp(),
            body,
        ),
    )


def _timestamp(time: datetime | None) -> float:
    return 0.0 if time is None else time.timestamp()


def upsert_document(connection: sqlite3.Connection, session_id: SessionId, document: AnyDocument, body: str) -> None:
    now = time.time()
    expires_at = None if document.expires_after is None else now + document.expires_after
    connection.execute(
        "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)",
        (session_id, document.kind, document.id, document.sequence, now, expires_at, body),
    )


def claim(connection: sqlite3.Connection, record: IdempotencyRecord) -> IdempotencyRecord | None:
    """Store `record`, which belongs to no session, or return the one with its id that has not expired."""
    partition = claim_partition(record)
    query = "SELECT body FROM documents WHERE session_id = ? AND kind = ? AND id = ? AND expires_at > ?"
    stored = connection.execute(query, (partition, record.kind, record.id, time.time())).fetchone()
    if stored is None:
        upsert_document(connection, partition, record, body_of(record))
        return None
    return load(IdempotencyRecord, stored["body"])


def write_check(connection: sqlite3.Connection) -> None:
    """Write one small row, always the same: a full disk or a file that can't be written shows only in a write."""
    connection.execute(
        "INSERT INTO documents (session_id, kind, id, sequence, recorded_at, expires_at, body)"
        " VALUES ('~check', 'check', 'check', 0, ?1, ?1, '{}')"
        " ON CONFLICT DO UPDATE SET recorded_at = excluded.recorded_at, expires_at = excluded.expires_at",
        (time.time(),),
    )


def release(connection: sqlite3.Connection, record: IdempotencyRecord) -> None:
    connection.execute(
        "DELETE FROM documents WHERE session_id = ? AND kind = ? AND id = ? AND body = ?",
        (claim_partition(record), record.kind, record.id, body_of(record)),
    )


def read_chunks(
    connection: sqlite3.Connection,
    session_id: SessionId,
    after: int,
    filler: PageFiller[Chunk],
    before: int = MAX_SEQUENCE,
    *,
    newest: bool = False,
    skip_deltas: bool = False,
) -> Page[Chunk]:
    """The chunks that fit into `filler`, oldest first. Rows are read one by one, so none is read that does not fit."""
    # The index has the first sequences. So start at the chunk that holds `after`, and skip it if it ends there.
    source = "chunks INDEXED BY chunks_with_non_deltas" if skip_deltas else "chunks"
    rows = connection.execute(
        f"SELECT {_CHUNK} FROM {source} WHERE session_id = ?1 AND last > ?2 AND first < ?3 AND first >="
        " coalesce((SELECT max(first) FROM chunks WHERE session_id = ?1 AND first <= ?2), 0)"
        f"{SKIP_DELTAS if skip_deltas else ''} ORDER BY first{' DESC' if newest else ''}",
        (session_id, after, before),
    )
    return _fill(filler, session_id, rows).in_order(newest=newest)


def _fill(filler: PageFiller[Chunk], session_id: SessionId, rows: sqlite3.Cursor) -> Page[Chunk]:
    for row in rows:
        size = len(row["events"]) + EVENT_OVERHEAD_BYTES * (row["last"] - row["first"] + 1)
        if not filler.has_room(size):
            break
        filler.add(chunk_of(session_id, row), size)
    return filler.page()


def newest_chunks(connection: sqlite3.Connection, session_id: SessionId, event_type: str, limit: int) -> Page[Chunk]:
    """The newest chunks that hold an event of this type, oldest first."""
    is_delta = event_type in DELTA_TYPES
    source, skip = ("chunks", "") if is_delta else ("chunks INDEXED BY chunks_with_non_deltas", SKIP_DELTAS)
    rows = connection.execute(
        f"SELECT {_CHUNK} FROM {source} WHERE session_id = ? AND instr(types, ?){skip} ORDER BY first DESC",
        (session_id, f" {event_type} "),
    )
    return _fill(PageFiller(limit, MAX_RESPONSE_BYTES), session_id, rows).in_order(newest=True)


def readable_page(
    query: str, values: Sequence[Any], model: type[M], limit: int | None, max_bytes: int | None
) -> Callable[[sqlite3.Connection], Page[M]]:
    """A read of the first bodies that `query` finds, that can be read, and that fit on a page, and of no other row."""

    def work(connection: sqlite3.Connection) -> Page[M]:
        bodies = (row["body"] for row in connection.execute(query, values))
        sized = readable(bodies, lambda body: (load(model, body), len(body)), f"A stored {model.__name__}")
        return fill(sized, limit, max_bytes)

    return work


def chunk_of(session_id: SessionId, row: sqlite3.Row) -> Chunk:
    # The events are parsed. The other fields were validated before they were written.
    return Chunk.model_construct(
        session_id=session_id,
        epoch=row["epoch"],
        writer=WriterId(row["writer"]),
        events=load_events(row["events"]),
    )


def _types(chunk: Chunk) -> str:
    """The chunk's event types as words with a space on each side, so that a search finds whole words."""
    return f" {' '.join(chunk.types)} "


def filter_conditions(wanted: SessionFilter) -> tuple[list[str], list[Any]]:
    """The conditions for a query of states, and the values that they bind."""
    where, values = ["1" if wanted.with_deleted else "hidden = 0"], list[Any]()
    for column in _FILTERED_COLUMNS:
        if (value := getattr(wanted, column)) is not None:
            where.append(f"{column} = ?")
            values.append(value)
    for key, value in wanted.metadata.items():
        where.append("EXISTS (SELECT 1 FROM json_each(body, '$.metadata') WHERE key = ? AND atom = ?)")
        values.extend((key, value))
    return where, values


def kind_name(kind: type[Document]) -> str:
    return str(kind.model_fields["kind"].default)
