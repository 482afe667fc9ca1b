"""Events: what a producer outside appends, and the forms in which clients read the log."""

import re
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator, model_validator
from pydantic_core import to_json
from typing_extensions import TypedDict

from turnlog.api.shapes.common import Body, timestamp
from turnlog.domain.chunks import Event
from turnlog.domain.content import content_text
from turnlog.domain.events import (
    MessageDelta,
    MessageQueued,
    Outside,
    SessionUpdated,
    ToolCallComplete,
    UnknownEvent,
    UserMessage,
)
from turnlog.domain.history import Entry
from turnlog.domain.ids import PublicId

EVENT_BYTES = 64 * 1024
MAX_EVENTS = 100
PRIVATE_FIELDS = {"type", "owner", "overflow", "arguments_in", "parts_bytes", "metadata", "project_dir"}
"""Fields of stored events that are not in `data`: the type is beside it, and the session shows the others."""

_EVENT_TYPE = r"^[A-Za-z0-9_.:\-]{1,64}$"
_RESERVED = r"^(run\..*|session\..*|memory\..*|message\.queued|message\.withdrawn|user_message|status|done)$"


class OutsideEvent(BaseModel):
    """An event of another producer: `event_type`, and any further fields, which are stored as they are sent."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        json_schema_extra={"examples": [{"event_type": "deployment", "service": "web", "outcome": "succeeded"}]},
    )

    event_type: str = Field(pattern=_EVENT_TYPE, json_schema_extra={"not": {"pattern": _RESERVED}})

    @field_validator("event_type")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if re.match(_RESERVED, value):
            raise ValueError(f"the type {value} is reserved for this service: use another one")
        return value

    @model_validator(mode="after")
    def _within_limit(self) -> Self:
        if len(to_json(self)) > EVENT_BYTES:
            raise ValueError(f"an event may take at most {EVENT_BYTES // 1024} KB")
        return self

    @property
    def fields(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class OutsideEvents(Body):
    """The events of a request. One event that was sent alone is a list of one."""

    events: Annotated[list[OutsideEvent], Field(min_length=1, max_length=MAX_EVENTS)]


class AppendReceipt(TypedDict):
    """The sequences of the appended events."""

    sequences: list[int]
    session_id: PublicId
    trace_id: str


EventBody: TypeAlias = Annotated[dict[str, Any], WithJsonSchema({"x-component": "Event"})]
"""An event as `envelope` returns it; in the API description it is the schema `Event`."""


class EventPage(TypedDict):
    """`next_cursor` is null when the page reaches the end."""

    events: list[EventBody]
    next_cursor: int | None
    head: int
    session_id: PublicId
    trace_id: str


def event_data(session_id: PublicId, event: Event) -> dict[str, Any]:
    """The `data` of an event: its fields, and the ids of what it belongs to."""
    ids: dict[str, Any] = {"session_id": session_id}
    if event.turn_id is not None:
        ids |= {"turn_id": event.turn_id, "message_id": event.message_id}
    match event.data:
        case MessageDelta(step=step, attempt=attempt, text=text):  # nine events of ten: spared the general path
            return {"step": step, "attempt": attempt, "text": text, **ids}
        case Outside(fields=fields):
            # `origin` is repeated here: nothing else in a frame shows that the turn did not write it.
            return {**fields, **ids, "origin": "outside"}
        case UnknownEvent(fields=fields):
            return {**{name: value for name, value in fields.items() if name not in PRIVATE_FIELDS}, **ids}
        case SessionUpdated(changes=changes):
            return {**changes, **ids}
        case UserMessage() | MessageQueued() as message:
            fields = message.model_dump(mode="json", exclude=PRIVATE_FIELDS)
            return {**fields, "text": content_text(message.content), **ids}
        case ToolCallComplete(overflow=str()) as complete:
            fields = complete.model_dump(mode="json", exclude=PRIVATE_FIELDS)
            return {**fields, "response": response_of(session_id, complete), **ids}
        case data:
            return {**data.model_dump(mode="json", exclude=PRIVATE_FIELDS), **ids}


def response_of(session_id: PublicId, complete: ToolCallComplete) -> Any:
    """The response of a tool call; one that is too large for its event is a link."""
    return (
        complete.response if complete.overflow is None else {"href": f"/sessions/{session_id}/tool_calls/{complete.id}"}
    )


def envelope(session_id: PublicId, event: Event) -> dict[str, Any]:
    """The whole event. An outside event also has its sent fields at the top level; the service's own fields win."""
    own = {
        "sequence": event.sequence,
        "type": event.type,
        "session_id": session_id,
        "turn_id": event.turn_id,
        "message_id": event.message_id,
        "trace_id": event.trace_id,
        "timestamp": timestamp(event.timestamp),
        "data": event_data(session_id, event),
    }
    if not isinstance(event.data, Outside):
        return own
    sent = event.data.fields
    outside = {
        "event_type": event.type,
        "origin": "outside",
        "recorded_at": own["timestamp"],
        "timestamp": sent.get("timestamp", own["timestamp"]),
    }
    return {**sent, **own, **outside}


def entry_view(session_id: PublicId, entry: Entry) -> dict[str, Any]:
    """An event in a page. A joined delta has `first_sequence`, the first sequence that it covers."""
    view = envelope(session_id, entry.event)
    return view if entry.first_sequence is None else {**view, "first_sequence": entry.first_sequence}
