"""The events of a session's log, and the frames of rooms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

KNOWN_TYPES = frozenset(
    {
        "session.created",
        "session.updated",
        "session.deleted",
        "user_message",
        "message.queued",
        "message.withdrawn",
        "run.start",
        "run.handover",
        "message.start",
        "message.delta",
        "reasoning.delta",
        "tool_call.delta",
        "message.complete",
        "token_usage",
        "tool_call.start",
        "tool_call.complete",
        "tool_call.action_required",
        "tool_call.action",
        "vibecode_response",
        "status",
        "error",
        "run.complete",
    }
)


@dataclass(frozen=True)
class Event:
    """One event. `sequence` is its position in the log: 1, 2, 3 …, without a gap.

    `cursor` continues after it, also over a restore of the service's sessions. `raw` is the event as it was sent:
    events of other producers have further fields there. docs/use/events.md lists the types and their `data`.
    """

    sequence: int
    type: str
    session_id: str
    turn_id: str | None
    message_id: str | None
    trace_id: str | None
    timestamp: str
    data: Mapping[str, Any]
    cursor: str
    raw: Mapping[str, Any]

    @property
    def is_known(self) -> bool:
        """Whether the service itself wrote it, and this client knows its type. Only such events make up an answer."""
        return self.type in KNOWN_TYPES and self.data.get("origin") != "outside"


@dataclass(frozen=True)
class RoomFrame:
    """One frame of a room: `init`, `session_created`, `session_updated`, `session_deleted`, or the type of an event.

    `data` of an event in a project's room is the event's data; in the room of all sessions it is the whole event.
    """

    type: str
    data: Mapping[str, Any]
    cursor: str


def event_of(raw: Mapping[str, Any], cursor: str | None = None) -> Event:
    """Return the event that the service sent as `raw`; by default its sequence is its cursor."""
    return Event(
        sequence=int(raw["sequence"]),
        type=str(raw["type"]),
        session_id=str(raw.get("session_id") or ""),
        turn_id=raw.get("turn_id"),
        message_id=raw.get("message_id"),
        trace_id=raw.get("trace_id"),
        timestamp=str(raw.get("timestamp") or ""),
        data=cast("Mapping[str, Any]", raw.get("data") or {}),
        cursor=cursor or str(raw["sequence"]),
        raw=raw,
    )
