"""Rooms in SQLite: a row for each chunk that holds more than deltas; see `shared.ports.RoomFeed`."""

import re
import sqlite3
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from shared.domain.chunks import Chunk
from shared.domain.errors import InvalidCursorError
from shared.domain.events import SessionDeleted
from shared.domain.ids import SessionId
from shared.domain.rooms import Room, RoomEntry, has_room_events, room_entry
from shared.domain.session import SessionState
from shared.ports import RoomEar
from shared.stores.listeners import Listeners
from shared.stores.sqlite.database import Database, forget_expired
from shared.stores.sqlite.items import chunk_of

_FORGOTTEN_EVERY = 1000


@dataclass(frozen=True)
class Recorded:
    """A chunk's row: its place among those of all rooms, and whose room it is in."""

    place: int
    owner: str
    project_id: str | None


def record(connection: sqlite3.Connection, chunk: Chunk) -> Recorded | None:
    """Note `chunk` for its rooms, in the transaction that appends it; None if they aren't told of it.

    The row only points to the chunk: its events are not copied. Whose it is says the stored state.
    """
    if not has_room_events(chunk):
        return None
    query = "SELECT owner, project_id, CASE WHEN deleted THEN body END AS hidden FROM states WHERE session_id = ?"
    session = connection.execute(query, (chunk.session_id,)).fetchone()
    if session is None or _is_no_session(session["hidden"]):
        return None
    deletes = any(isinstance(event.data, SessionDeleted) for event in chunk.events)
    owner, project_id = session["owner"], session["project_id"]
    (place,) = connection.execute(
        "INSERT INTO rooms (owner, project_id, session_id, first, deletes, recorded_at) VALUES (?, ?, ?, ?, ?, ?)"
        " RETURNING place",
        (owner, project_id, chunk.session_id, chunk.first, deletes, time.time()),
    ).fetchone()
    if place % _FORGOTTEN_EVERY == 0:
        forget_expired(connection)
    return Recorded(place, owner, project_id)


def _is_no_session(hidden: str | None) -> bool:
    """Whether a state that no list shows is that of a fork which is not copied whole, or never was."""
    return hidden is not None and not SessionState.model_validate_json(hidden).is_complete


class SqliteRooms:
    """The rooms of one file, whose log tells `appended`. The connections are the log's."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners = Listeners()

    async def newest_cursor(self, room: Room) -> str:  # noqa: ARG002  # all rooms share one line of places
        return str(await self._newest())

    async def check_cursor(self, room: Room, cursor: str) -> str:  # noqa: ARG002  # as before
        if not re.fullmatch(r"\d{1,18}", cursor, re.ASCII):
            raise InvalidCursorError("the `id:` of a frame, or 0")
        return str(min(int(cursor), await self._newest()))

    async def read(self, room: Room, after: str, limit: int) -> Sequence[RoomEntry]:
        return await self._database.read(lambda connection: _entries(connection, room, int(after), limit))

    def watch(self, room: Room) -> AbstractContextManager[RoomEar]:
        return self._listeners.watch(room)

    def appended(self, recorded: Recorded, chunk: Chunk, checkpoint: SessionState | None) -> None:
        """Tell who listens of a chunk that is in the log now."""
        rooms = (Room(recorded.owner), Room(recorded.owner, recorded.project_id or None))
        self._listeners.tell(
            recorded.place,
            dict.fromkeys(rooms),
            lambda: room_entry(str(recorded.place - 1), str(recorded.place), chunk, checkpoint),
        )

    async def _newest(self) -> int:
        query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'rooms'"
        return await self._database.read(lambda connection: connection.execute(query).fetchone()[0])


def _entries(connection: sqlite3.Connection, room: Room, after: int, limit: int) -> list[RoomEntry]:
    of_project, values = "", [room.owner, after]
    if room.project_id is not None:
        of_project, values = " AND r.project_id = ?", [*values, room.project_id]
    rows = connection.execute(
        "SELECT r.place, r.session_id, r.deletes, c.epoch, c.writer, c.events, s.body FROM rooms r"
        " LEFT JOIN chunks c ON c.session_id = r.session_id AND c.first = r.first"
        f" LEFT JOIN states s ON s.session_id = r.session_id WHERE r.owner = ? AND r.place > ?{of_project}"
        " ORDER BY r.place LIMIT ?",
        (*values, limit),
    ).fetchall()
    return [_entry(row) for row in rows]


def _entry(row: sqlite3.Row) -> RoomEntry:
    session_id, before, cursor = SessionId(row["session_id"]), str(row["place"] - 1), str(row["place"])
    if row["events"] is None:  # cleared: of its chunks only the deletion is still to be told
        return RoomEntry(before, cursor, session_id, (), deletes=bool(row["deletes"]))
    state = None if row["body"] is None else SessionState.model_validate_json(row["body"])
    return room_entry(before, cursor, chunk_of(session_id, row), state)
