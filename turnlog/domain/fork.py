"""A fork: the log of a session up to the end of a turn, copied to a new session."""

import hashlib
from dataclasses import dataclass

from pydantic import JsonValue

from turnlog.domain.chunks import Chunk, Draft, Event
from turnlog.domain.events import (
    EventData,
    ForkedFrom,
    MessageComplete,
    MessageQueued,
    RunHandover,
    SessionCreated,
    SessionUpdated,
    ToolCallActionRequired,
    ToolCallComplete,
    ToolCallStart,
)
from turnlog.domain.ids import MessageId, SessionId, TurnId, WriterId, base32, public_id, turn_of
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import (
    Message,
    MessageParts,
    ModelResponse,
    StepDocument,
    ToolResult,
    response_id,
    step_id,
)
from turnlog.domain.turn_events import withdrawn_draft
from turnlog.domain.values import MessageStatus, Usage

_TIME_LENGTH = 10
_ID_LENGTH = 26


@dataclass(frozen=True)
class Fork:
    """The log of `source` up to the sequence `cut`, copied with the ids of `session_id`.

    New ids are derived from the old ones and from `session_id`. So a repeated copy is equal, and no table of ids is
    needed. Sequences, timestamps, trace ids and the ids of tool calls stay the same.
    """

    source: SessionId
    session_id: SessionId
    cut: int
    session_name: str | None = None

    def copy_chunk(self, chunk: Chunk, writer: WriterId) -> Chunk:
        """The events of `chunk` up to the cut, as `writer` appends them."""
        events = tuple(self.copy_event(event) for event in chunk.events if event.sequence <= self.cut)
        return Chunk(session_id=self.session_id, epoch=1, writer=writer, events=events)

    def copy_event(self, event: Event) -> Event:
        message_id = None if event.message_id is None else self.message_id(event.message_id)
        turn_id = None if event.turn_id is None else self.turn_id(event.turn_id)
        changes = {"turn_id": turn_id, "message_id": message_id, "data": self._data(event.data)}
        return event.model_copy(update=changes)

    def _data(self, data: EventData) -> EventData:
        match data:
            case SessionCreated():
                return self._created(data)
            case RunHandover(instance_id=instance_id):
                turn_id, mark, generation = instance_id.partition("~")
                return data.model_copy(update={"instance_id": f"{self.turn_id(TurnId(turn_id))}{mark}{generation}"})
            case MessageComplete(overflow=str(document_id)):
                return data.model_copy(update={"overflow": self.step_id(document_id)})
            case ToolCallStart(arguments_in=str(document_id)) | ToolCallComplete(arguments_in=str(document_id)):
                return data.model_copy(update={"arguments_in": self.step_id(document_id)})
            case ToolCallActionRequired(arguments_in=str(document_id)):
                return data.model_copy(update={"arguments_in": self.step_id(document_id)})
            case _:
                return data

    def _created(self, created: SessionCreated) -> SessionCreated:
        changes = {
            "thread_id": f"thread_{public_id(self.session_id)}",
            "session_name": self.session_name or created.session_name,
            "node_id": None,  # a node of a project has one session, and that is the source
            "forked_from": ForkedFrom(session_id=public_id(self.source), sequence=self.cut),
        }
        return created.model_copy(update=changes)

    def message_id(self, message_id: MessageId) -> MessageId:
        return MessageId(f"msg_{self._ulid(message_id[4:30])}_{public_id(self.session_id)}")

    def _lead_of(self, turn_id: TurnId) -> MessageId:
        """The message that started a turn of the source."""
        return MessageId(f"msg_{turn_id[5:]}_{public_id(self.source)}")

    def turn_id(self, turn_id: TurnId) -> TurnId:
        return TurnId(f"turn_{self._ulid(turn_id[5:])}")

    def step_id(self, document_id: str) -> str:
        """The id of the copy of a step's document."""
        _, step, message_id = document_id.split("_", 2)
        return step_id(self.message_id(MessageId(message_id)), int(step))

    def _ulid(self, ulid: str) -> str:
        """Another ULID with the same time."""
        digest = hashlib.sha256(f"{self.session_id}\n{ulid}".encode()).digest()
        return ulid[:_TIME_LENGTH] + base32(int.from_bytes(digest[:16]))[_TIME_LENGTH:_ID_LENGTH]

    def message_at_entry(self, message: Message, event: Event) -> Message:
        """The copy of `message` at `event`, which put it into the conversation, the queue or the running turn."""
        own, turn_id = self.message_id(message.message_id), event.turn_id
        steers = turn_id is not None and turn_id != turn_of(message.message_id)
        status: MessageStatus = "queued" if isinstance(event.data, MessageQueued) else "running"
        return Message(
            id=own,
            sequence=event.sequence,
            session_id=self.session_id,
            turn_id=turn_of(own) if turn_id is None else self.turn_id(turn_id),
            steers=self.message_id(self._lead_of(turn_id)) if turn_id and steers else None,
            trace_id=message.trace_id,
            client_id=message.client_id,
            content=message.content,
            parts_bytes=message.parts_bytes,
            status=status,
            agent=message.agent,
            model=message.model,
            metadata=message.metadata,
            created_at=message.created_at,
        )

    def copy_parts(self, parts: MessageParts) -> MessageParts:
        return parts.model_copy(update={"id": self.message_id(MessageId(parts.id))})

    def has_turn_of(self, message: Message) -> bool:
        """Whether `message` had its own turn before the cut. No turn is open at the cut, so that turn has ended."""
        return message.completed_at is not None and message.sequence <= self.cut

    def message_after_turn(self, message: Message) -> Message:
        """The copy of `message` after its turn. Its tokens are counted in the source only."""
        own = self.message_id(message.message_id)
        ids = {"id": own, "session_id": self.session_id, "turn_id": turn_of(own)}
        return message.model_copy(update={**ids, "usage": Usage(), "cost": None})

    def copy_step(self, document: StepDocument) -> StepDocument:
        read = tuple(self.message_id(each) for each in document.step.read)
        ids = {"id": self.step_id(document.id), "message_id": self.message_id(document.message_id)}
        return document.model_copy(update={**ids, "step": document.step.model_copy(update={"read": read})})

    def copy_tool_result(self, result: ToolResult) -> ToolResult:
        arguments_in = None if result.arguments_in is None else self.step_id(result.arguments_in)
        return result.model_copy(
            update={"message_id": self.message_id(result.message_id), "arguments_in": arguments_in}
        )

    def copy_response(self, response: ModelResponse) -> ModelResponse:
        own = self.message_id(response.message_id)
        return response.model_copy(update={"id": response_id(own, response.step), "message_id": own})

    def closing_drafts(self, state: SessionState, trace_id: str) -> list[Draft]:
        """The events after the cut, which make the fork's `state` differ from the source's.

        Waiting messages are withdrawn: the fork has no running turn, so no turn's end would start them.
        """
        name = self.session_name or state.session_name
        changes: dict[str, JsonValue] = {"session_name": name} if name != state.session_name else {}
        changes |= {"archived": False} if state.archived else {}
        updated = [Draft(data=SessionUpdated(changes=changes), trace_id=trace_id)] if changes else []
        return [*(withdrawn_draft(message_id, trace_id) for message_id in state.queue), *updated]
