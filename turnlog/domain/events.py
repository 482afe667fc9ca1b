"""The session event vocabulary: what is appended, replayed and streamed.

The `type` strings are a wire and storage contract: add a type or an optional field; never rename one. `overflow` is the
id of the document that holds a text too large for its event, `arguments_in` that of the document that holds arguments.
`parts_bytes` is the size of a content that is in a document; the event has its text, if that is not large. Readers fill
all three in, and clients never see these fields.
`docs/use/events.md` is generated from this module.
"""

from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import (
    AwareDatetime,
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    JsonValue,
    ValidationInfo,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from turnlog.domain.budget import OptionalBudget
from turnlog.domain.content import Content
from turnlog.domain.ids import PublicId
from turnlog.domain.tolerance import OPEN, is_from_store
from turnlog.domain.values import (
    ActionDecision,
    ActionKind,
    Count,
    Failure,
    Frozen,
    OnBusy,
    OptionalCost,
    Ordinal,
    ToolStatus,
    TurnOutcome,
    Usage,
)


class ForkedFrom(Frozen):
    """The session whose log was copied, and the last event that was copied."""

    session_id: PublicId
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
    budget: OptionalBudget = None
    forked_from: ForkedFrom | None = None


class SessionUpdated(Frozen):
    """Fields of the session changed. In the log they are in `changes`; clients get them directly in `data`."""

    type: Literal["session.updated"] = "session.updated"
    changes: dict[str, JsonValue]


class SessionDeleted(Frozen):
    """The session was deleted; no event follows."""

    type: Literal["session.deleted"] = "session.deleted"


class UserMessage(Frozen):
    """A message enters the conversation: it starts a turn, or joins the running turn and has that turn's `turn_id`.

    If no model call of that turn reads it, the event comes again, as the start of the message's own turn. `client_id`
    is the sender's own id of the message, if it sent one.
    """

    type: Literal["user_message"] = "user_message"
    content: Content
    client_id: str | None = None
    parts_bytes: Count | None = None


class MessageQueued(Frozen):
    """A message waits for its own turn: behind the others (`enqueue`), or ahead of them.

    `interrupt`: ahead of all others. `steer`: no model call of the running turn will read it. It waits ahead of
    enqueued messages, behind those that are ahead already.
    """

    type: Literal["message.queued"] = "message.queued"
    content: Content
    client_id: str | None = None
    on_busy: OnBusy = "enqueue"
    parts_bytes: Count | None = None


class MessageWithdrawn(Frozen):
    """A waiting message was withdrawn: it will have no turn."""

    type: Literal["message.withdrawn"] = "message.withdrawn"


class RunStart(Frozen):
    """A turn begins. No other turn runs in the session until its `run.complete`.

    Until its first `message.start` it waits for a process that has a place for it.
    """

    type: Literal["run.start"] = "run.start"
    agent: str
    model: str


class RunHandover(Frozen):
    """For operators: another Durable instance continues the turn."""

    type: Literal["run.handover"] = "run.handover"
    instance_id: str


class MessageStart(Frozen):
    """A step's text begins. Text of an earlier attempt at this step is void."""

    type: Literal["message.start"] = "message.start"
    step: Ordinal
    attempt: Ordinal


class MessageDelta(Frozen):
    """A piece of an answer that is being written. A later `message.start` of the same step makes it void."""

    type: Literal["message.delta"] = "message.delta"
    step: Ordinal
    attempt: Ordinal
    text: str


class ReasoningDelta(Frozen):
    """A piece of the model's reasoning, before or between its text. It is void like a `message.delta`."""

    type: Literal["reasoning.delta"] = "reasoning.delta"
    step: Ordinal
    attempt: Ordinal
    text: str


class ToolCallDelta(Frozen):
    """A piece of a tool call's arguments while the model writes them. It is void like a `message.delta`.

    `name` is the tool's name as far as it is known. The call is whole in its `tool_call.start`.
    """

    type: Literal["tool_call.delta"] = "tool_call.delta"
    id: str
    step: Ordinal
    attempt: Ordinal
    name: str
    arguments: str


class MessageComplete(Frozen):
    """A step's text is complete, or `partial` if the turn was cancelled while it was written.

    The text is empty if the step only calls tools: the event closes the step, and there is nothing to show. `reasoning`
    is the model's reasoning, its first 32 KB; null if there is none.
    """

    type: Literal["message.complete"] = "message.complete"
    step: Ordinal
    attempt: Ordinal
    text: str
    reasoning: str | None = None
    partial: bool = False
    finish_reason: str | None = None
    truncated: bool = False
    overflow: str | None = None


class TokenUsage(Frozen):
    """The tokens of one model call. `iteration` counts the turn's model calls from 1.

    `cost` is there if the model has a price.
    """

    type: Literal["token_usage"] = "token_usage"
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    cached_tokens: Count = 0
    reasoning_tokens: Count = 0
    model: str
    agent: str
    iteration: Ordinal
    cost: OptionalCost = None


class ToolCallStart(Frozen):
    """A tool call begins to run."""

    type: Literal["tool_call.start"] = "tool_call.start"
    id: str
    step: Ordinal
    attempt: Ordinal
    name: str
    arguments: str
    arguments_in: str | None = None


class ToolCallComplete(Frozen):
    """A tool call is answered. A response over 64 KB is `{"href": …}`: GET that URL to read it."""

    type: Literal["tool_call.complete"] = "tool_call.complete"
    id: str
    step: Ordinal
    name: str
    arguments: str
    arguments_in: str | None = None
    status: ToolStatus
    response: JsonValue = None
    duration_ms: Count
    truncated: bool = False
    overflow: str | None = None


class ToolCallActionRequired(Frozen):
    """The turn waits for an approval of the call, or for the client to run it. At `expires_at` the call is denied."""

    type: Literal["tool_call.action_required"] = "tool_call.action_required"
    id: str
    kind: ActionKind
    name: str
    arguments: str
    arguments_in: str | None = None
    expires_at: AwareDatetime


class ToolCallAction(Frozen):
    """The turn waits no longer for this call: it was approved, denied, or run by the client (`result`)."""

    type: Literal["tool_call.action"] = "tool_call.action"
    id: str
    decision: ActionDecision
    by: str
    reason: str | None = None


class VibecodeResponse(Frozen):
    """The change that a VibeCoder turn made to its project: a patch (RFC 6902), or null if it changed nothing."""

    type: Literal["vibecode_response"] = "vibecode_response"
    patch: list[dict[str, Any]] | None = None
    token_usage: Usage
    project_revision: Count


class Status(Frozen):
    """The turn was asked to stop (`cancelling`), or its instance stopped responding and is replaced (`stalled`).

    A cancel only appends `cancelling`. A turn is stalled until a step or a tool call of it begins or ends.
    """

    type: Literal["status"] = "status"
    status: Annotated[Literal["cancelling", "stalled"], OPEN]
    reason: str | None = None


class ErrorRaised(Frozen):
    """An error that the client should know about. `retry_after`: the seconds that the model's server asks to wait."""

    type: Literal["error"] = "error"
    message: str
    code: str
    retryable: bool = False
    retry_after: Count | None = None


class RunComplete(Frozen):
    """The turn has ended; no event of the turn follows. `cost` is that of its model calls that had a price."""

    type: Literal["run.complete"] = "run.complete"
    status: TurnOutcome
    steps: Count
    usage: dict[str, int]
    cost: OptionalCost = None
    duration_ms: Count
    model: str
    error: Failure | None = None


class Outside(Frozen):
    """An event that another producer sent. It is stored as it was sent, and does not take part in turns."""

    type: Literal["outside"] = "outside"
    event_type: str
    origin: Literal["outside"] = "outside"
    fields: dict[str, Any] = {}


class UnknownEvent(Frozen):
    """An event that this release cannot read, because a later one wrote it: all its fields, as they are in the log.

    It changes nothing here, and readers get it as it is.
    """

    fields: dict[str, Any]

    @property
    def type(self) -> str:
        return self.fields["type"]

    @model_validator(mode="before")
    @classmethod
    def _from_store(cls, value: object, info: ValidationInfo) -> object:
        match value:
            case {"type": str()} if is_from_store(info):
                return {"fields": value}
            case _:
                return value

    @model_serializer
    def _unchanged(self) -> dict[str, Any]:
        return self.fields


_KnownEvent: TypeAlias = Annotated[
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
    | ReasoningDelta
    | ToolCallDelta
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


class _KnownOrUnknown:
    """Output as any value: the union's own output would ask each of its types whether a value is one of it."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return {**handler(source), "serialization": core_schema.simple_ser_schema("any")}  # pyright: ignore[reportReturnType]


EventData: TypeAlias = Annotated[_KnownEvent | UnknownEvent, Field(union_mode="left_to_right"), _KnownOrUnknown()]
EVENT_TYPES: tuple[type[BaseModel], ...] = get_args(get_args(_KnownEvent)[0])
"""The types of events that this release knows."""

Delta: TypeAlias = MessageDelta | ReasoningDelta | ToolCallDelta
"""A piece of what a model writes. The chunks of an answer hold little else, so most reads skip them."""

DELTA_TYPES = frozenset({"message.delta", "reasoning.delta", "tool_call.delta"})
