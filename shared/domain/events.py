"""The session event vocabulary: what is appended, replayed and streamed.

The `type` strings are a wire and storage contract: add a type or an optional field; never rename one. `overflow` names
the document that holds a text too large for its event; the reading side fills it in, and clients never see the name.
`docs/events.md` is generated from this module.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AwareDatetime, Field, JsonValue

from shared.domain.ids import SessionId
from shared.domain.values import (
    ActionDecision,
    ActionKind,
    Count,
    Failure,
    Frozen,
    OnBusy,
    Ordinal,
    ToolStatus,
    TurnOutcome,
    Usage,
)


class ForkedFrom(Frozen):
    """The session whose log was copied, and its last event that was."""

    session_id: SessionId
    sequence: Ordinal


class SessionCreated(Frozen):
    """The session begins; always sequence 1."""

    type: Literal["session.created"] = "session.created"
    thread_id: str
    session_name: str | None = None
    agent_name: str | None = None
    project_id: str | None = None
    node_id: str | None = None
    owner: str = Field(repr=False)
    project_dir: str | None = None
    metadata: dict[str, JsonValue] = {}
    forked_from: ForkedFrom | None = None


class SessionUpdated(Frozen):
    """Fields of the session changed. In the log they stand under `changes`; clients see them as the data itself."""

    type: Literal["session.updated"] = "session.updated"
    changes: dict[str, JsonValue]


class SessionDeleted(Frozen):
    """The session ends for good; nothing follows."""

    type: Literal["session.deleted"] = "session.deleted"


class UserMessage(Frozen):
    """A message enters the conversation: it starts a turn, or is put into the running one, whose `turn_id` it has.

    A message that no model call of that turn read comes once more, as the start of its own turn.
    """

    type: Literal["user_message"] = "user_message"
    content: str
    overflow: str | None = None


class MessageQueued(Frozen):
    """A message waits for its own turn: behind the others (`enqueue`), or ahead of them.

    `interrupt`: ahead of all. `steer`: no model call of the running turn will read it, so that it is next, behind those
    that are ahead already.
    """

    type: Literal["message.queued"] = "message.queued"
    content: str
    on_busy: OnBusy = "enqueue"
    overflow: str | None = None


class MessageWithdrawn(Frozen):
    """A waiting message was taken back: it will have no turn."""

    type: Literal["message.withdrawn"] = "message.withdrawn"


class RunStart(Frozen):
    """A turn begins: from here to its `run.complete` the session is its own."""

    type: Literal["run.start"] = "run.start"
    agent: str
    model: str


class RunHandover(Frozen):
    """For operators: another Durable instance goes on with the turn."""

    type: Literal["run.handover"] = "run.handover"
    instance_id: str


class MessageStart(Frozen):
    """A step's text begins, or begins afresh: what an earlier attempt of this step wrote is void."""

    type: Literal["message.start"] = "message.start"
    step: Ordinal
    attempt: Ordinal


class MessageDelta(Frozen):
    """A piece of an answer being written; void once a `message.start` begins its step afresh."""

    type: Literal["message.delta"] = "message.delta"
    step: Ordinal
    attempt: Ordinal
    text: str


class MessageComplete(Frozen):
    """A step's text is whole, or `partial` when it was cancelled while being written."""

    type: Literal["message.complete"] = "message.complete"
    step: Ordinal
    attempt: Ordinal
    text: str
    partial: bool = False
    finish_reason: str | None = None
    truncated: bool = False
    overflow: str | None = None


class TokenUsage(Frozen):
    """What one model call used; `iteration` counts the turn's model calls from 1."""

    type: Literal["token_usage"] = "token_usage"
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    model: str
    agent: str
    iteration: Ordinal


class ToolCallStart(Frozen):
    """A tool begins to run."""

    type: Literal["tool_call.start"] = "tool_call.start"
    id: str
    step: Ordinal
    attempt: Ordinal
    name: str
    arguments: str


class ToolCallComplete(Frozen):
    """A tool call is answered. A response over 64 KB is `{"href": …}`, from where it can be read."""

    type: Literal["tool_call.complete"] = "tool_call.complete"
    id: str
    step: Ordinal
    name: str
    arguments: str
    status: ToolStatus
    response: JsonValue = None
    duration_ms: Count
    truncated: bool = False
    overflow: str | None = None


class ToolCallActionRequired(Frozen):
    """The turn waits: for somebody to approve the call, or for the client to run it. At `expires_at` it is denied."""

    type: Literal["tool_call.action_required"] = "tool_call.action_required"
    id: str
    kind: ActionKind
    name: str
    arguments: str
    expires_at: AwareDatetime


class ToolCallAction(Frozen):
    """What the turn waited for came: the call is approved, denied, or was run by the client (`result`)."""

    type: Literal["tool_call.action"] = "tool_call.action"
    id: str
    decision: ActionDecision
    by: str
    reason: str | None = None


class VibecodeResponse(Frozen):
    """What a VibeCoder turn did to its project: the patch (RFC 6902), or null when it changed nothing."""

    type: Literal["vibecode_response"] = "vibecode_response"
    patch: list[dict[str, Any]] | None = None
    token_usage: Usage
    project_revision: Count


class Status(Frozen):
    """The turn was asked to stop (`cancelling`), or its instance fell silent and is replaced (`stalled`).

    `cancelling` is the whole mechanism of a cancel. A turn is stalled until a step or a tool call of it begins or ends.
    """

    type: Literal["status"] = "status"
    status: Literal["cancelling", "stalled"]
    reason: str | None = None


class ErrorRaised(Frozen):
    """Something went wrong that the client should know of."""

    type: Literal["error"] = "error"
    message: str
    code: str
    retryable: bool = False


class RunComplete(Frozen):
    """The turn's one terminal event: no event of the turn follows it."""

    type: Literal["run.complete"] = "run.complete"
    status: TurnOutcome
    steps: Count
    usage: dict[str, int]
    duration_ms: Count
    model: str
    error: Failure | None = None


class Outside(Frozen):
    """An event another producer sent: kept as it came, and no part of any turn's protocol."""

    type: Literal["outside"] = "outside"
    event_type: str
    origin: Literal["outside"] = "outside"
    fields: dict[str, Any] = {}


EventData: TypeAlias = Annotated[
    SessionCreated
    | SessionUpdated
    | SessionDeleted
    | UserMessage
    | MessageQueued
    | MessageWithdrawn
    | RunStart
    | RunHandover
    | MessageStart
    | MessageDelta
    | MessageComplete
    | TokenUsage
    | ToolCallStart
    | ToolCallComplete
    | ToolCallActionRequired
    | ToolCallAction
    | VibecodeResponse
    | Status
    | ErrorRaised
    | RunComplete
    | Outside,
    Field(discriminator="type"),
]
