"""The export of a session: a header line, then its whole log with the texts of its documents filled in."""

from typing import Any, Literal

from pydantic import AwareDatetime, JsonValue

from turnlog.domain.chunks import Event
from turnlog.domain.events import EventData
from turnlog.domain.ids import MessageId, PublicId, TurnId, WriterId
from turnlog.domain.stored_documents import Message
from turnlog.domain.values import Count, Frozen, Ordinal


class ExportHeader(Frozen):
    """The first line. `head` is the sequence of the last line: an export that ends before it is incomplete."""

    format: Literal["turnlog-export"] = "turnlog-export"
    version: Literal[1] = 1
    session_id: PublicId
    epoch: Ordinal
    head: Count
    exported_at: AwareDatetime


class MessageFacts(Frozen):
    """Facts about a message that are not in the log: `completed_at` when its turn ends, the others when it enters."""

    agent: str | None = None
    model: str | None = None
    metadata: dict[str, JsonValue] = {}
    created_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None

    @classmethod
    def at_entry(cls, message: Message) -> "MessageFacts":
        fields = {"agent", "model", "metadata", "created_at"}
        return cls(**{name: getattr(message, name) for name in fields})


class ExportedEvent(Frozen):
    """Any other line: an event of the log, with its large texts filled in and its `type` at the top level."""

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
