"""What a session's partition holds beside its log: messages, steps, tool results, keys, producers and leases.

A document is written in the same batch as the chunk that refers to it.
"""

from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import AwareDatetime, Field, JsonValue

from turnlog.domain.content import Content
from turnlog.domain.ids import MessageId, SessionId, TurnId
from turnlog.domain.values import (
    MAX_TOOL_CALLS,
    Count,
    Failure,
    Frozen,
    MessageStatus,
    OptionalCost,
    Ordinal,
    ToolCall,
    ToolOutcome,
    Usage,
)


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

    @property
    def calls_to_run(self) -> tuple[ToolCall, ...]:
        """The tool calls that attempts answer. Those after them are answered together with the step's end."""
        return self.tool_calls[:MAX_TOOL_CALLS]


class Message(Document):
    """A user message and, once its turn has ended, the answer. Later model calls read `content` and `steps`.

    `steps` are documents of their own, which are loaded by `turnlog.services.log.steps`: they are not stored with the
    message, and it has none until they are loaded. `step_count` is how many there are, once the turn has ended.

    If the content was sent as parts, or is a large text, `MessageParts` has it, and `parts_bytes` is its size as JSON.
    Then `content` is its text, or empty if that is large: a message is written again when its turn ends.

    `steers` is the message whose turn this one was put into; that message has the answer. If this message waits or
    steers, its current status follows from the log: see `turnlog.domain.message_status`. `patch` is the turn's change
    to its project's document, and `project_revision` is the revision that this change created.
    """

    kind: Literal["message"] = "message"
    session_id: SessionId
    turn_id: TurnId
    steers: MessageId | None = None
    trace_id: str | None = None
    client_id: str | None = None
    content: str
    parts_bytes: Count = 0
    steps: tuple[Step, ...] = Field(default=(), exclude=True)
    step_count: Count = 0
    status: MessageStatus
    error: Failure | None = None
    agent: str
    model: str
    usage: Usage = Usage()
    cost: OptionalCost = None
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
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls of all steps."""
        return tuple(call for step in self.steps for call in step.tool_calls)

    @property
    def truncated(self) -> bool:
        """Whether the text of a step was cut off."""
        return any(step.truncated for step in self.steps)

    @property
    def read(self) -> frozenset[MessageId]:
        """The messages that were put into this one's turn and that its recorded steps have read."""
        return frozenset(message_id for step in self.steps for message_id in step.read)


class MessageParts(Document):
    """A message's content as it was sent: parts, or a large text. `id` is the message's id. It is written once."""

    kind: Literal["parts"] = "parts"
    parts: Content


class StepDocument(Document):
    """A step of a message's turn, which is written once. `sequence` is the message's.

    `response` is the whole `chat.completion` object of its model call, in which the step's texts are references: see
    `turnlog.domain.responses`. If that is large, it is a `ModelResponse`.
    """

    kind: Literal["step"] = "step"
    message_id: MessageId
    number: Ordinal
    step: Step
    response: dict[str, Any] | None = None


class ToolResult(Document):
    """The whole outcome of a tool call. `id` is the call's id.

    `arguments_in` is the id of the step's document if that has the arguments, because they are large.
    """

    kind: Literal["tool_result"] = "tool_result"
    message_id: MessageId
    step: int
    name: str
    arguments: str
    arguments_in: str | None = None
    outcome: ToolOutcome
    duration_ms: Count = 0


class ModelResponse(Document):
    """The response of a step whose document has no room for it. Unknown fields are kept."""

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


AnyDocument: TypeAlias = (
    Message | MessageParts | StepDocument | ToolResult | ModelResponse | IdempotencyRecord | Producer | Lease
)


def step_id(message_id: MessageId, step: int) -> str:
    """The id of the document of a message's `step`. A step completes once, so the id has no attempt in it."""
    return f"step_{step:03}_{message_id}"


def response_id(message_id: MessageId, step: int) -> str:
    """The id of the large response of a message's `step`."""
    return f"response_{step:03}_{message_id}"
