"""Rooms in SQLite: one table, with a row for each chunk that rooms show; see `turnlog.ports.RoomFeed`."""

import sqlite3
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from turnlog.domain.chunks import Chunk
from turnlog.domain.events import SessionDeleted
from turnlog.domain.ids import OwnerHash, SessionId
from turnlog.domain.pages import EVENT_OVERHEAD_BYTES, MAX_PAGE_BYTES, Page, fill
from turnlog.domain.rooms import Room, RoomEntry, has_room_events, room_entry
from turnlog.domain.session import SessionState
from turnlog.ports import Tail
from turnlog.stores.following import MAX_ROOM_ENTRIES, Feeds
from turnlog.stores.reading import readable, state_or_none
from turnlog.stores.sqlite.database import Database, delete_expired
from turnlog.stores.sqlite.items import chunk_of

_EXPIRE_EVERY = 1000  # rows


@dataclass(frozen=True)
class RecordedChunk:
    """A chunk's row: its cursor, and for each room that shows it the cursor of the room's row before."""

    cursor: int
    before: dict[Room, int]


def record_chunk(connection: sqlite3.Connection, chunk: Chunk) -> RecordedChunk | None:
    """Record `chunk` for its rooms, in the transaction that appends it. None if rooms don't show it.

    The row only refers to the chunk: its events are not copied. The stored state says which rooms these are.
    """
    if not has_room_events(chunk):
        return None
    query = "SELECT owner, project_id, CASE WHEN hidden THEN body END AS hidden_body FROM states WHERE session_id = ?"
    session = connection.execute(query, (chunk.session_id,)).fetchone()
    if session is None or _is_incomplete(chunk.session_id, session["hidden_body"]):
        return None
    owner, project_id = OwnerHash(session["owner"]), session["project_id"]
    rooms = {Room(owner), Room(owner, project_id or None)}
    before = {room: _newest_in(connection, room) for room in rooms}
    deletes = any(isinstance(event.data, SessionDeleted) for event in chunk.events)
    (cursor,) = connection.execute(
        "INSERT INTO rooms (owner, project_id, session_id, first, deletes, recorded_at) VALUES (?, ?, ?, ?, ?, ?)"
        " RETURNING cursor",
        (owner, project_id, chunk.session_id, chunk.first, deletes, time.time()),
    ).fetchone()
    if cursor % _EXPIRE_EVERY == 0:
        delete_expired(connection)
    return RecordedChunk(cursor, before)


def _is_incomplete(session_id: SessionId, hidden_body: str | None) -> bool:
    """Whether a hidden state belongs to a fork whose copy was not finished."""
    state = None if hidden_body is None else state_or_none(session_id, hidden_body)
    return state is not None and not state.is_complete


class SqliteRooms:
    """The rooms of one file. The log calls `extend` after each append."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._feeds = Feeds[Room, RoomEntry](MAX_ROOM_ENTRIES)

    async def newest_cursor(self, room: Room) -> int:  # noqa: ARG002  # the cursors of all rooms are one sequence
        query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'rooms'"
        return await self._database.read(lambda connection: connection.execute(query).fetchone()[0])

    async def read(self, room: Room, after: int, limit: int, /) -> Page[RoomEntry]:
        return await self._database.search(lambda connection: _entries(connection, room, after, limit))

    def watch(self, room: Room, /, *, polls: bool = True) -> AbstractContextManager[Tail[RoomEntry]]:
        return self._feeds.watch(room, polls=polls)

    def extend(self, recorded: RecordedChunk, chunk: Chunk, checkpoint: SessionState | None) -> None:
        """Wake the readers of the rooms that show a chunk which is stored now."""
        watched = [room for room in recorded.before if self._feeds.is_watched(room)]
        if watched:
            entry = room_entry(recorded.cursor - 1, recorded.cursor, chunk, checkpoint)
            for room in watched:
                self._feeds.extend(room, recorded.before[room], entry)


def _in_room(room: Room) -> tuple[str, list[str | int]]:
    """The condition that a row is in `room`, and the values in it."""
    if room.project_id is None:
        return "owner = ?", [room.owner]
    return "owner = ? AND project_id = ?", [room.owner, room.project_id]


def _newest_in(connection: sqlite3.Connection, room: Room) -> int:
    where, values = _in_room(room)
    return connection.execute(f"SELECT coalesce(max(cursor), 0) FROM rooms WHERE {where}", values).fetchone()[0]


def _entries(connection: sqlite3.Connection, room: Room, after: int, limit: int) -> Page[RoomEntry]:
    where, values = _in_room(room)
    rows = connection.execute(
        "SELECT r.cursor, r.session_id, r.deletes, c.first, c.last, c.epoch, c.writer, c.events, s.body"
        f" FROM (SELECT * FROM rooms WHERE {where} AND cursor > ? ORDER BY cursor LIMIT ?) r"
        " LEFT JOIN chunks c ON c.session_id = r.session_id AND c.first = r.first"
        " LEFT JOIN states s ON s.session_id = r.session_id ORDER BY r.cursor",
        (*values, after, limit),
    )
    page = fill(((row, _size(row)) for row in rows), limit, MAX_PAGE_BYTES).map(_entry)
    page.has_more |= len(page) == limit
    return page


def _size(row: sqlite3.Row) -> int:
    """What an entry takes in memory, with the session's state."""
    events = (
        0 if row["events"] is None else len(row["events"]) + EVENT_OVERHEAD_BYTES * (row["last"] - row["first"] + 1)
    )
    return events + len(row["body"] or "")


def _entry(row: sqlite3.Row) -> RoomEntry:
    session_id, cursor = SessionId(row["session_id"]), row["cursor"]
    if row["events"] is None:  # its log was cleared: only the deletion itself is still shown
        return RoomEntry(cursor - 1, cursor, session_id, (), is_deletion=bool(row["deletes"]))
    state = None if row["body"] is None else state_or_none(session_id, row["body"])
    for chunk in readable([row], partial(chunk_of, session_id), f"A chunk of session {session_id}"):
        return room_entry(cursor - 1, cursor, chunk, state)
    return RoomEntry(cursor - 1, cursor, session_id, ())
