"""Rooms: what happens in all of an owner's sessions, or in those of one project."""

from dataclasses import dataclass

from shared.domain.chunks import Chunk, Event
from shared.domain.events import (
    MessageDelta,
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
    UserMessage,
)
from shared.domain.ids import SessionId
from shared.domain.session import SessionState

FIRST_CURSOR = 0
"""The cursor before everything that a room keeps, in every store."""

PROJECT_EVENTS = {
    "token_usage",
    "vibecode_response",
    "message.complete",
    "run.complete",
    "status",
    "error",
}
"""The events that a project's room passes on, by their types."""

# Whatever may change what `status` and `state` say of a session, or its fields that clients set.
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
)


@dataclass(frozen=True)
class Room:
    """An owner's sessions; with `project_id` only those of this project. Another owner's never show."""

    owner: str
    project_id: str | None = None


@dataclass(frozen=True, eq=False)
class RoomEntry:
    """What one chunk of a session tells a room: its events but the deltas.

    A reader that resumes after `before` gets this entry next, and one that resumes after `cursor` the one behind it.
    `session` is the session after the chunk or later; it is None when nothing of it changed, or when it is deleted.
    """

    before: int
    cursor: int
    session_id: SessionId
    events: tuple[Event, ...]
    session: SessionState | None = None
    deletes: bool = False
    is_new: bool = False

    def continues(self, after: int) -> bool:  # noqa: ARG002  # cursors of a room need not be consecutive
        return True


def has_room_events(chunk: Chunk) -> bool:
    """Whether rooms are told of `chunk`: it holds more than deltas."""
    return chunk.types != (MessageDelta.model_fields["type"].default,)


def is_visible(chunk: Chunk, state: SessionState) -> bool:
    """Whether rooms are told of `chunk`, of a session that is at `state` by now.

    Until the last chunk of its copied log a fork is no session, and rooms are told of none before.
    """
    return (
        state.is_complete
        and has_room_events(chunk)
        and (state.forked_from is None or chunk.last >= state.forked_from.sequence)
    )


def room_entry(before: int, cursor: int, chunk: Chunk, state: SessionState | None) -> RoomEntry:
    """The entry of a chunk; of a session that is deleted nothing is told but that."""
    deletes = any(isinstance(event.data, SessionDeleted) for event in chunk.events)
    is_gone = state is not None and state.deleted
    events = tuple(event for event in chunk.events if not isinstance(event.data, MessageDelta))
    if is_gone and not deletes:
        events = ()
    fork = None if state is None else state.forked_from
    is_new = chunk.first <= (1 if fork is None else fork.sequence)
    session = state if not is_gone and (is_new or any(map(changes_session, events))) else None
    return RoomEntry(before, cursor, chunk.session_id, events, session, deletes, is_new)


def concerns(room: Room, entry: RoomEntry) -> bool:
    """Whether `entry` holds anything that `room` passes on. A store need not keep one that doesn't."""
    if room.project_id is None or entry.session is not None or entry.deletes:
        return True
    return any(event.type in PROJECT_EVENTS for event in entry.events)


def changes_session(event: Event) -> bool:
    """Whether `event` may change how a session stands."""
    match event.data:
        case Outside(event_type=event_type):
            return event_type == "session_stop"
        case data:
            return isinstance(data, _CHANGES)
