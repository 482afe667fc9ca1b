"""The stored form of rooms: a partition per room, and in it a document for each chunk that the room shows."""

from functools import partial
from typing import Any

from shared.domain.chunks import Event
from shared.domain.ids import SessionId
from shared.domain.rooms import Room, RoomEntry
from shared.domain.session import SessionState
from shared.domain.tolerance import load
from shared.domain.values import Frozen
from shared.stores.reading import readable

SEQUENCE_DIGITS = 12


class _StoredEntry(Frozen):
    """The stored part of an entry: as JSON text, for the reason that `items` gives."""

    events: tuple[Event, ...]
    session: SessionState | None = None
    deletes: bool = False
    is_new: bool = False


def room_key(room: Room) -> str:
    """The partition of a room. Owners and project ids may be any text: with the length, no two rooms share a key."""
    if room.project_id is None:
        return f"owner:{room.owner}"
    return f"project:{len(room.owner)}:{room.owner}:{room.project_id}"


def rooms_of(state: SessionState) -> list[Room]:
    """The rooms that show a session."""
    return [Room(state.owner), *([Room(state.owner, state.project_id)] if state.project_id else [])]


def entry_id(session_id: SessionId, epoch: int, sequence: int) -> str:
    """The id names the chunk that begins at `sequence`, so that a room has one entry for it, however often written."""
    return f"{session_id}:{epoch}:{sequence:0{SEQUENCE_DIGITS}}"


def blank_item(room: Room, session_id: SessionId, item_id: str) -> dict[str, Any]:
    """What remains of an entry of a deleted session: its id, which stays taken."""
    return {"id": item_id, "room": room_key(room), "session_id": session_id}


def entry_item(room: Room, item_id: str, entry: RoomEntry) -> dict[str, Any]:
    stored = _StoredEntry(events=entry.events, session=entry.session, deletes=entry.is_deletion, is_new=entry.is_new)
    return {**blank_item(room, entry.session_id, item_id), "entry": stored.model_dump_json(exclude_none=True)}


def entry_of(item: dict[str, Any]) -> RoomEntry | None:
    """The entry in a document that a change feed returned; None if it is blank, or cannot be read.

    Its cursor is the feed's number of the change. The numbers rise with every write to the room, and the feed can be
    read from any of them.
    """
    if "entry" not in item:
        return None
    cursor = int(item["_lsn"])
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
