"""Rooms: the shared feed of all sessions of an owner, or of one project."""

from dataclasses import dataclass

from turnlog.domain.chunks import Chunk, Event
from turnlog.domain.events import (
    Delta,
    MessageQueued,
    MessageWithdrawn,
    Outside,
    RunComplete,
    RunHandover,
    RunStart,
    SessionDeleted,
    SessionUpdated,
    Status,
    ToolCallActionRequired,
    UnknownEvent,
    UserMessage,
)
from turnlog.domain.ids import OwnerHash, SessionId
from turnlog.domain.pages import EVENT_OVERHEAD_BYTES
from turnlog.domain.session import SessionState

FIRST_CURSOR = 0
"""The cursor before everything that a room still holds, in every store."""

PROJECT_EVENTS = {
    "token_usage",
    "vibecode_response",
    "message.complete",
    "run.complete",
    "status",
    "error",
}
"""The types of events that a project's room contains."""

# Events that may change a session's `status`, its `state`, or the fields that clients set.
_CHANGES = (
    SessionUpdated,
    UserMessage,
    MessageQueued,
    MessageWithdrawn,
    RunStart,
    RunHandover,
    RunComplete,
    Status,
    ToolCallActionRequired,
    UnknownEvent,
)


@dataclass(frozen=True)
class Room:
    """An owner's sessions, or only those of the project `project_id`. Sessions of other owners are never in it."""

    owner: OwnerHash
    project_id: str | None = None


@dataclass(frozen=True, eq=False)
class RoomEntry:
    """One chunk of a session in a room: its events without the deltas.

    `cursor` is the cursor after the entry. A reader that continues from the cursor `before` gets this entry next.
    `session` is the session after the chunk or later. It is None if the chunk changed nothing of the session, or if the
    session is deleted.
    """

    before: int
    cursor: int
    session_id: SessionId
    events: tuple[Event, ...]
    session: SessionState | None = None
    is_deletion: bool = False
    is_new: bool = False

    @property
    def size(self) -> int:
        """What it takes in memory, in bytes."""
        events = sum(EVENT_OVERHEAD_BYTES + len(event.model_dump_json()) for event in self.events)
        return events + (0 if self.session is None else len(self.session.model_dump_json()))

    def continues(self, after: int) -> bool:  # noqa: ARG002  # cursors of a room need not be consecutive
        return True


def has_room_events(chunk: Chunk) -> bool:
    """Whether rooms contain `chunk`: it holds more than deltas."""
    return not chunk.has_only_deltas


def is_visible(chunk: Chunk, state: SessionState) -> bool:
    """Whether rooms contain `chunk` of a session whose newest state is `state`.

    A fork appears in rooms with the last chunk of its copied log. Before that it is not yet a session.
    """
    return (
        state.is_complete
        and has_room_events(chunk)
        and (state.forked_from is None or chunk.last >= state.forked_from.sequence)
    )


def room_entry(before: int, cursor: int, chunk: Chunk, state: SessionState | None) -> RoomEntry:
    """The entry of a chunk. For a deleted session it holds only the deletion."""
    deletes = any(isinstance(event.data, SessionDeleted) for event in chunk.events)
    is_gone = state is not None and state.deleted
    events = tuple(event for event in chunk.events if not isinstance(event.data, Delta))
    if is_gone and not deletes:
        events = ()
    fork = None if state is None else state.forked_from
    is_new = chunk.first <= (1 if fork is None else fork.sequence)
    session = state if not is_gone and (is_new or any(map(changes_session, events))) else None
    return RoomEntry(before, cursor, chunk.session_id, events, session, deletes, is_new)


def concerns(room: Room, entry: RoomEntry) -> bool:
    """Whether `entry` holds anything for `room`. A store need not keep other entries."""
    if room.project_id is None or entry.session is not None or entry.is_deletion:
        return True
    return any(map(in_project_room, entry.events))


def in_project_room(event: Event) -> bool:
    """Whether a project's room contains `event`: one of its types, or one that this release does not know."""
    return event.type in PROJECT_EVENTS or isinstance(event.data, UnknownEvent)


def changes_session(event: Event) -> bool:
    """Whether `event` may change what the API shows of a session."""
    match event.data:
        case Outside(event_type=event_type):
            return event_type == "session_stop"
        case data:
            return isinstance(data, _CHANGES)  # an unknown event also, because it may have changed anything
