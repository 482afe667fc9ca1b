"""What a session's partition holds beside its log: messages, tool results, responses, keys, producers and leases.

A document is written in the same batch as the chunk that refers to it, or before that chunk.
"""

from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import AwareDatetime, JsonValue

from shared.domain.content import Parts
from shared.domain.ids import MessageId, SessionId, TurnId
from shared.domain.values import Count, Failure, Frozen, MessageStatus, ToolCall, ToolOutcome, Usage


class Document(Frozen):
    """Something that is stored by id beside the log. `kind` is its type in the store.

    Documents of a kind are listed by `sequence`.
    """

    id: str
    sequence: Count = 0
    expires_after: ClassVar[int | None] = None
    """Seconds after which the store may delete it; None keeps it."""


class Step(Frozen):
    """One model call in the conversation: its text and the tools it requested.

    `read` are the messages that were put into the turn and that this call was the first to read. `vendor` are fields of
    the answer that only its model's server knows, and that it wants back with the tool calls.
    """

    text: str
    reasoning: str = ""
    read: tuple[MessageId, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    truncated: bool = False
    vendor: dict[str, JsonValue] = {}


class Message(Document):
    """A user message and, once its turn has ended, the answer. Later model calls read `content` and `steps`.

    If the content was sent as parts, `content` is their text, `MessageParts` has the parts, and `parts_bytes` is their
    size as JSON: a message is written again at each step, and pictures would make that expensive.

    `steers` is the message whose turn this one was put into; that message has the answer. If this message waits or
    steers, its current status follows from the log: see `shared.domain.message_status`. `patch` is the turn's change to
    its project's document, and `project_revision` is the revision that this change created.
    """

    kind: Literal["message"] = "message"
    session_id: SessionId
    turn_id: TurnId
    steers: MessageId | None = None
    trace_id: str | None = None
    content: str
    parts_bytes: Count = 0
    steps: tuple[Step, ...] = ()
    status: MessageStatus
    error: Failure | None = None
    agent: str
    model: str
    usage: Usage = Usage()
    finish_reason: str | None = None
    patch: list[dict[str, Any]] | None = None
    project_revision: Count | None = None
    metadata: dict[str, JsonValue] = {}
    created_at: AwareDatetime
    completed_at: AwareDatetime | None = None

    @property
    def message_id(self) -> MessageId:
        return MessageId(self.id)

    @property
    def answer(self) -> str | None:
        """The last text the model wrote; None before there is one."""
        return next((step.text for step in reversed(self.steps) if step.text), None)

    @property
    def reasoning(self) -> str | None:
        """The model's reasoning in all steps; None if there is none."""
        return "\n\n".join(step.reasoning for step in self.steps if step.reasoning) or None

    @property
    def read(self) -> frozenset[MessageId]:
        """The messages that were put into this one's turn and that its recorded steps have read."""
        return frozenset(message_id for step in self.steps for message_id in step.read)


class MessageParts(Document):
    """The parts of a message's content, as they were sent. `id` is the message's id. It is written once."""

    kind: Literal["parts"] = "parts"
    parts: Parts


class ToolResult(Document):
    """The whole outcome of a tool call. `id` is the call's id."""

    kind: Literal["tool_result"] = "tool_result"
    message_id: MessageId
    step: int
    name: str
    arguments: str
    outcome: ToolOutcome
    duration_ms: Count = 0


class ModelResponse(Document):
    """A whole `chat.completion` object, assembled from its chunks. Unknown fields are kept."""

    kind: Literal["response"] = "response"
    message_id: MessageId
    step: int
    body: dict[str, Any]


class IdempotencyRecord(Document):
    """A request with this key was carried out; `result` is the id of what it created.

    `id` is a hash of caller, route and key.
    """

    kind: Literal["idempotency"] = "idempotency"
    body_hash: str
    result: str
    expires_after = 24 * 3600


def claim_partition(record: IdempotencyRecord) -> SessionId:
    """The partition of a record that belongs to no session. No session id begins with `~`."""
    return SessionId(f"~{record.id}")


class Receipt(Frozen):
    """The sequences of the events that a producer's request appended, and the hash of its body."""

    first_sequence: Count
    count: Count
    body_hash: str


class Producer(Document):
    """An outside producer's last request. `id` is a hash of its name; the newest receipt belongs to request `seq`."""

    kind: Literal["producer"] = "producer"
    epoch: Count
    seq: Count
    receipts: tuple[Receipt, ...]


class Lease(Document):
    """A writer that has appended nothing for a while is still alive. `id` is the writer's id."""

    kind: Literal["lease"] = "lease"
    expires_after = 3600


AnyDocument: TypeAlias = Message | MessageParts | ToolResult | ModelResponse | IdempotencyRecord | Producer | Lease


def response_id(message_id: MessageId, step: int) -> str:
    """The id of the response to a message's `step`. A step completes once, so the id has no attempt in it."""
    return f"response_{step:03}_{message_id}"
