"""The stored form of rooms: a partition per room and day, and in it a document for each chunk that the room shows.

A partition holds 20 GB at most. A busy owner writes so much in a week, so each day has its own partition.
"""

from functools import partial
from typing import Any

from turnlog.domain.chunks import Event
from turnlog.domain.ids import SessionId
from turnlog.domain.pages import EVENT_OVERHEAD_BYTES
from turnlog.domain.rooms import Room, RoomEntry
from turnlog.domain.session import SessionState
from turnlog.domain.tolerance import load
from turnlog.domain.values import Frozen
from turnlog.stores.reading import readable

SEQUENCE_DIGITS = 12
SECONDS_PER_DAY = 24 * 60 * 60
_NUMBER_BITS = 40


class _StoredEntry(Frozen):
    """The stored part of an entry: as JSON text, for the reason that `items` gives."""

    events: tuple[Event, ...]
    session: SessionState | None = None
    deletes: bool = False
    is_new: bool = False


def day_of(seconds: float) -> int:
    """The day, counted from 1970, of a time in seconds (UTC)."""
    return int(seconds // SECONDS_PER_DAY)


def cursor_of(day: int, number: int) -> int:
    """The cursor after the change `number` of a day's partition. Cursors of later days are larger."""
    return day << _NUMBER_BITS | number


def position_of(cursor: int) -> tuple[int, int]:
    """The day and the number of the change in it, of a cursor."""
    return cursor >> _NUMBER_BITS, cursor & ((1 << _NUMBER_BITS) - 1)


def room_key(room: Room, day: int) -> str:
    """The partition of what is written to a room on `day`. All hashes of owners are of one length."""
    if room.project_id is None:
        return f"{day}:owner:{room.owner}"
    return f"{day}:project:{room.owner}:{room.project_id}"


def rooms_of(state: SessionState) -> list[Room]:
    """The rooms that show a session."""
    return [Room(state.owner_hash), *([Room(state.owner_hash, state.project_id)] if state.project_id else [])]


def entry_id(session_id: SessionId, epoch: int, sequence: int) -> str:
    """The id names the chunk that begins at `sequence`, so that a room has one entry for it, however often written."""
    return f"{session_id}:{epoch}:{sequence:0{SEQUENCE_DIGITS}}"


def blank_item(room: Room, day: int, session_id: SessionId, item_id: str) -> dict[str, Any]:
    """What remains of an entry of a deleted session: its id, which stays taken."""
    return {"id": item_id, "room": room_key(room, day), "session_id": session_id}


def entry_item(room: Room, day: int, item_id: str, entry: RoomEntry) -> dict[str, Any]:
    stored = _StoredEntry(events=entry.events, session=entry.session, deletes=entry.is_deletion, is_new=entry.is_new)
    return {**blank_item(room, day, entry.session_id, item_id), "entry": stored.model_dump_json(exclude_none=True)}


def entry_size(item: dict[str, Any], entry: RoomEntry) -> int:
    """What an entry takes in memory."""
    return len(item["entry"]) + EVENT_OVERHEAD_BYTES * len(entry.events)


def entry_of(item: dict[str, Any], day: int) -> RoomEntry | None:
    """The entry in a document that the change feed of a day's partition returned; None if it is blank.

    Its cursor has the feed's number of the change. The numbers rise with every write to the room, and the feed can be
    read from any of them.
    """
    if "entry" not in item:
        return None
    cursor = cursor_of(day, int(item["_lsn"]))
    for stored in readable([item["entry"]], partial(load, _StoredEntry), f"A room's entry {item['id']}"):
        return RoomEntry(
            before=cursor - 1,
            cursor=cursor,
            session_id=SessionId(item["session_id"]),
            events=stored.events,
            session=stored.session,
            is_deletion=stored.deletes,
            is_new=stored.is_new,
        )
    return None
