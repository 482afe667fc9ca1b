"""A session as lines of JSON: a header, then its whole log, with everything that stood beside it filled in."""

from typing import Any, Literal

from pydantic import AwareDatetime, JsonValue

from shared.domain.chunks import (
    Event,
)
from shared.domain.documents import Message
from shared.domain.events import (
    EventData,
)
from shared.domain.ids import MessageId, SessionId, TurnId, WriterId
from shared.domain.values import Count, Frozen, Ordinal


class ExportHeader(Frozen):
    """The first line. `head` is the sequence of the last one: an export that ends earlier was cut off."""

    format: Literal["turnlog-export"] = "turnlog-export"
    version: Literal[1] = 1
    session_id: SessionId
    epoch: Ordinal
    head: Count
    exported_at: AwareDatetime


class MessageFacts(Frozen):
    """What is known of a message beside the log: as it enters all but the last, as its turn ends the last."""

    agent: str | None = None
    model: str | None = None
    metadata: dict[str, JsonValue] = {}
    created_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None

    @classmethod
    def entering(cls, message: Message) -> "MessageFacts":
        fields = {"agent", "model", "metadata", "created_at"}
        return cls(**{name: getattr(message, name) for name in fields})


class ExportedEvent(Frozen):
    """Any other line: an event as the log holds it, its large texts in place, its `type` also where readers look."""

    sequence: Ordinal
    type: str
    timestamp: AwareDatetime
    turn_id: TurnId | None = None
    message_id: MessageId | None = None
    trace_id: str | None = None
    writer: WriterId
    data: EventData
    message: MessageFacts | None = None

    @classmethod
    def of(cls, event: Event, writer: WriterId, message: MessageFacts | None) -> "ExportedEvent":
        fields: dict[str, Any] = {name: getattr(event, name) for name in Event.model_fields}
        return cls.model_construct(**fields, type=event.type, writer=writer, message=message)

    @property
    def event(self) -> Event:
        return Event(**{name: getattr(self, name) for name in Event.model_fields})
