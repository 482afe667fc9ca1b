"""How rooms stand in their container: a partition per room, a document per chunk of a session that it is told of."""

from typing import Any

from shared.domain.chunks import Event
from shared.domain.ids import SessionId
from shared.domain.rooms import Room, RoomEntry
from shared.domain.session import SessionState
from shared.domain.values import Frozen

_PLACE_LENGTH = 12


class _Told(Frozen):
    """What of an entry is stored; as text, like everything in `items`."""

    events: tuple[Event, ...]
    session: SessionState | None = None
    deletes: bool = False
    is_new: bool = False


def room_key(room: Room) -> str:
    """The partition of a room. Owners are clients' text, and a project's id may be: neither can pass for the other."""
    if room.project_id is None:
        return f"owner:{room.owner}"
    return f"project:{len(room.owner)}:{room.owner}:{room.project_id}"


def rooms_of(state: SessionState) -> list[Room]:
    """The rooms that are told of a session."""
    return [Room(state.owner), *([Room(state.owner, state.project_id)] if state.project_id else [])]


def entry_id(session_id: SessionId, epoch: int, place: int) -> str:
    """An entry's id says which chunk it is of, so a room is told of each once, whoever tells it again."""
    return f"{session_id}:{epoch}:{place:0{_PLACE_LENGTH}}"


def blank_item(room: Room, session_id: SessionId, item_id: str) -> dict[str, Any]:
    """What is left of the entry of a deleted session: its id, which nobody can take again."""
    return {"id": item_id, "room": room_key(room), "session_id": session_id}


def entry_item(room: Room, item_id: str, entry: RoomEntry) -> dict[str, Any]:
    told = _Told(events=entry.events, session=entry.session, deletes=entry.deletes, is_new=entry.is_new)
    return {**blank_item(room, entry.session_id, item_id), "told": told.model_dump_json(exclude_none=True)}


def entry_in(item: dict[str, Any]) -> RoomEntry | None:
    """The entry of a document as a change feed gives it; None if it is blank.

    Its cursor is the feed's own number of the change: they rise with every write to the room, and the feed goes on
    behind any of them.
    """
    if "told" not in item:
        return None
    place, told = int(item["_lsn"]), _Told.model_validate_json(item["told"])
    return RoomEntry(
        before=str(place - 1),
        cursor=str(place),
        session_id=SessionId(item["session_id"]),
        events=told.events,
        session=told.session,
        deletes=told.deletes,
        is_new=told.is_new,
    )
