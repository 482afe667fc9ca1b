"""Events with their sequences in a session's log, and the chunks in which they are written."""

from collections.abc import Sequence
from datetime import datetime
from typing import get_args

from pydantic import AwareDatetime, Field

from turnlog.domain.events import (
    Delta,
    EventData,
    MessageDelta,
    Outside,
    ReasoningDelta,
    ToolCallDelta,
    UnknownEvent,
)
from turnlog.domain.ids import MessageId, SessionId, TurnId, WriterId
from turnlog.domain.pages import EVENT_OVERHEAD_BYTES
from turnlog.domain.values import Frozen, Ordinal

_DELTAS: tuple[type, ...] = get_args(Delta)


class Event(Frozen):
    """One recorded fact in a session's log.

    `timestamp` is when it was recorded (UTC). `turn_id` and `message_id` say which turn it belongs to. Events of the
    session itself and outside events have neither. `trace_id` is the trace of the request that caused it.
    """

    sequence: Ordinal
    timestamp: AwareDatetime
    turn_id: TurnId | None = None
    message_id: MessageId | None = None
    trace_id: str | None = None
    data: EventData

    @property
    def type(self) -> str:
        return self.data.event_type if isinstance(self.data, Outside) else self.data.type


class Draft(Frozen):
    """An event without a sequence: what a decision wants to append."""

    data: EventData
    turn_id: TurnId | None = None
    message_id: MessageId | None = None
    trace_id: str | None = None


class Chunk(Frozen):
    """Events that one `writer` appends together, all of them or none."""

    session_id: SessionId
    epoch: Ordinal = 1
    writer: WriterId
    events: tuple[Event, ...] = Field(min_length=1)

    @property
    def first(self) -> int:
        return self.events[0].sequence

    @property
    def last(self) -> int:
        return self.events[-1].sequence

    @property
    def cursor(self) -> int:
        """Where a reader resumes after this chunk."""
        return self.last

    @property
    def size(self) -> int:
        """What it takes in memory, in bytes."""
        return sum(EVENT_OVERHEAD_BYTES + _text_size(event.data) for event in self.events)

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(event.type for event in self.events))

    @property
    def has_only_deltas(self) -> bool:
        return all(isinstance(event.data, _DELTAS) for event in self.events)

    @property
    def has_unknown(self) -> bool:
        return any(isinstance(event.data, UnknownEvent) for event in self.events)

    def continues(self, after: int) -> bool:
        """Whether no other chunk can be between the event `after` and this chunk."""
        return self.first <= after + 1


def _text_size(data: EventData) -> int:
    """About how many bytes the texts of an event take."""
    match data:
        case MessageDelta(text=text) | ReasoningDelta(text=text) | ToolCallDelta(arguments=text):
            return len(text)  # nine events of ten: they are not written as JSON to be measured
        case _:
            return len(data.model_dump_json())


def sequenced(drafts: Sequence[Draft], after: int, at: datetime) -> tuple[Event, ...]:
    """`drafts` as events with the sequences that follow `after`."""
    return tuple(
        Event(
            sequence=sequence,
            timestamp=at,
            turn_id=draft.turn_id,
            message_id=draft.message_id,
            trace_id=draft.trace_id,
            data=draft.data,
        )
        for sequence, draft in enumerate(drafts, start=after + 1)
    )
