"""What a session's partition holds beside its log: messages, tool results, responses, keys and leases.

Every document is written in the batch of the chunk that speaks of it, or before it; `order` is the sequence by which
documents of a kind are listed.
"""

from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import AwareDatetime, JsonValue

from shared.domain.ids import MessageId, SessionId, TurnId
from shared.domain.values import Count, Failure, Frozen, MessageStatus, ToolCall, ToolOutcome, Usage


class Document(Frozen):
    """Something stored by id beside the log; `kind` tells the store's documents apart."""

    id: str
    sequence: Count = 0
    expires_after: ClassVar[int | None] = None
    """Seconds after which the store may drop it; None keeps it."""


class Step(Frozen):
    """One model call as the conversation remembers it: its text and the tools it asked for.

    `read` are the messages put into the turn that this call was the first to read.
    """

    text: str
    read: tuple[MessageId, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    truncated: bool = False


class Message(Document):
    """A user message and, once its turn has ended, the answer. `prompt` and `steps` are the conversation's memory.

    `steers` is the message whose turn this one was put into: the answer stands there. What has become of one that waits
    or steers, the log says: see `shared.domain.messages`. `patch` is what the turn did to its project's document, and
    `project_revision` the revision that this made.
    """

    kind: Literal["message"] = "message"
    session_id: SessionId
    turn_id: TurnId
    steers: MessageId | None = None
    trace_id: str | None = None
    content: str
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
    def read(self) -> frozenset[MessageId]:
        """The messages put into this one's turn that its recorded steps have read."""
        return frozenset(message_id for step in self.steps for message_id in step.read)


class ToolResult(Document):
    """What a tool call gave, the place where its whole response stands. `id` is the call's id."""

    kind: Literal["tool_result"] = "tool_result"
    message_id: MessageId
    step: int
    name: str
    arguments: str
    outcome: ToolOutcome
    duration_ms: Count = 0


class ModelResponse(Document):
    """A whole `chat.completion` object, assembled from its chunks, unknown fields kept."""

    kind: Literal["response"] = "response"
    message_id: MessageId
    step: int
    body: dict[str, Any]


class IdempotencyRecord(Document):
    """That a request with this key was carried out, and what it made. `id` is a hash of caller, route and key."""

    kind: Literal["idempotency"] = "idempotency"
    body_hash: str
    result: str
    expires_after = 24 * 3600


def claim_place(record: IdempotencyRecord) -> SessionId:
    """The partition of a record that is kept apart from all sessions: no session's id begins like this."""
    return SessionId(f"~{record.id}")


class Receipt(Frozen):
    """Where a producer's request stands in the log, and what it was by a hash of its body."""

    first: Count
    count: Count
    body_hash: str


class Producer(Document):
    """How far an outside producer has come. `id` is a hash of its name; the newest receipt is that of `seq`."""

    kind: Literal["producer"] = "producer"
    epoch: Count
    seq: Count
    receipts: tuple[Receipt, ...]


class Lease(Document):
    """That a writer which has been silent for a while is alive. `id` is the writer's."""

    kind: Literal["lease"] = "lease"
    expires_after = 3600


AnyDocument: TypeAlias = Message | ToolResult | ModelResponse | IdempotencyRecord | Producer | Lease


def response_id(message_id: MessageId, step: int) -> str:
    """Where the response of a message's `step` is kept. Steps complete once, so the attempt needs no part in it."""
    return f"response_{step:03}_{message_id}"
