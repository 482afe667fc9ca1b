"""Messages: what a client posts, and what it reads of a message, its answer and its turn."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict

from turnlog.api.shapes.common import Body, Metadata, Name, with_example
from turnlog.api.shapes.events import response_of
from turnlog.domain.content import MAX_PARTS, Content, check_content
from turnlog.domain.events import ToolCallComplete
from turnlog.domain.ids import MessageId, PublicId, TurnId, public_id
from turnlog.domain.stored_documents import Message
from turnlog.domain.tolerance import FROM_STORE
from turnlog.domain.values import Failure, MessageStatus, OnBusy, OptionalCost, ToolCall, ToolStatus, Usage

ClientId = Annotated[str, Field(min_length=1, max_length=128)]
_CONTENT_NAMES = ("content", "prompt", "text")
_MEDIA_TYPES = ["image_url", "input_audio", "file"]


def _describe_content(schema: dict[str, Any]) -> None:
    """Put into the schema what the validators of `PostMessage` check. Other names would leave no usable type."""
    text, parts = schema["properties"]["content"]["oneOf"]
    text["pattern"] = r"\S"
    has_text = {"properties": {"text": {"pattern": r"\S"}}, "required": ["text"]}
    has_media = {"properties": {"type": {"enum": _MEDIA_TYPES}}, "required": ["type"]}
    parts |= {"contains": {"type": "object", "anyOf": [has_text, has_media]}, "maxItems": MAX_PARTS}
    schema["examples"] = [{"content": "Tell me a story"}]


class PostMessage(Body):
    model_config = ConfigDict(json_schema_extra=_describe_content)

    content: Content = Field(
        validation_alias=AliasChoices(*_CONTENT_NAMES),
        description="the message; `prompt` and `text` are other names for this field",
    )
    client_id: ClientId | None = Field(
        None, description="your own id of the message, by which you recognise it in events and lists"
    )
    agent: Name | None = None
    model: Name | None = None
    metadata: Metadata = {}
    on_busy: OnBusy = Field("enqueue", description="what to do while a turn runs; if absent: `enqueue`")

    @model_validator(mode="before")
    @classmethod
    def _has_one_name_for_content(cls, value: Any) -> Any:
        sent = [name for name in _CONTENT_NAMES if name in value] if isinstance(value, dict) else []
        if len(sent) > 1:
            raise ValueError(f"{' and '.join(sent)} are names of the same field: send only one of them")
        return value  # pyright: ignore[reportUnknownVariableType]  # any JSON value

    @field_validator("content")
    @classmethod
    def _not_blank_or_too_large(cls, value: Content) -> Content:
        check_content(value)
        return value


class Cancel(Body):
    model_config = with_example(reason="no longer needed")

    turn_id: TurnId | None = None
    queue: Literal["keep", "clear"] = Field(
        "keep", description="`clear`: also withdraw the waiting messages; if absent: `keep`"
    )
    reason: Annotated[str, Field(max_length=1024)] | None = None


class ToolCallView(BaseModel):
    """A tool call in the list of its message, and how it ended: null until then.

    A `response` over 64 KB is `{"href": …}`, as in events. So are those that would make the answer larger than 1 MB.
    """

    id: str
    name: str
    arguments: str
    status: ToolStatus | None
    response: JsonValue
    truncated: bool
    duration_ms: int | None

    @classmethod
    def of(cls, session_id: PublicId, call: ToolCall, outcome: ToolCallComplete | None) -> "ToolCallView":
        ended: dict[str, Any] = {"status": None, "response": None, "truncated": False, "duration_ms": None}
        if outcome is not None:
            ended = outcome.model_dump(include={"status", "truncated", "duration_ms"})
            ended["response"] = response_of(session_id, outcome)
        fields = {"id": call.id, "name": call.name, "arguments": call.arguments}
        return cls.model_validate(fields | ended, context=FROM_STORE)


class MessageView(BaseModel):
    """A message and its answer. The shape is the same wherever a message appears."""

    message_id: MessageId
    session_id: PublicId
    turn_id: TurnId
    trace_id: str | None
    client_id: str | None
    sequence: int
    role: Literal["user"] = "user"
    content: Content
    answer: str | None
    reasoning: str | None
    status: MessageStatus
    error: Failure | None
    agent: str
    model: str
    usage: Usage
    cost: OptionalCost = None
    finish_reason: str | None
    truncated: bool
    tool_calls: list[ToolCallView]
    patch: JsonValue = None
    metadata: dict[str, JsonValue]
    created_at: AwareDatetime
    completed_at: AwareDatetime | None

    @classmethod
    def of(cls, message: Message, content: Content, outcomes: Mapping[str, ToolCallComplete]) -> "MessageView":
        """The view of `message`, whose `content` was sent. `outcomes` are those of its tool calls, by their ids."""
        fields: dict[str, Any] = {name: getattr(message, name) for name in cls.model_fields if hasattr(message, name)}
        fields |= {"content": content, "session_id": public_id(message.session_id)}
        session_id = fields["session_id"]
        views = [ToolCallView.of(session_id, call, outcomes.get(call.id)) for call in message.tool_calls]
        return cls.model_validate(fields | {"tool_calls": views}, context=FROM_STORE)


class FullResponseView(BaseModel):
    """The model server's responses, unabridged. `response` is the last one, `responses` holds all of the turn."""

    message_id: MessageId
    session_id: PublicId
    trace_id: str | None
    status: MessageStatus
    model: str
    usage: Usage
    cost: OptionalCost = None
    tool_calls: list[dict[str, Any]]
    response: dict[str, Any] | None
    responses: list[dict[str, Any]]

    @classmethod
    def of(cls, message: Message, responses: Sequence[Mapping[str, Any]]) -> "FullResponseView":
        bodies = [dict(response) for response in responses]
        calls: list[dict[str, Any]] = []
        for body in bodies:
            calls += body["choices"][0]["message"].get("tool_calls") or []
        names = {"message_id", "trace_id", "status", "model", "usage", "cost"}
        fields: dict[str, Any] = {name: getattr(message, name) for name in names}
        fields |= {"session_id": public_id(message.session_id), "tool_calls": calls}
        fields |= {"response": bodies[-1] if bodies else None, "responses": bodies}
        return cls.model_validate(fields, context=FROM_STORE)


class CancelReceipt(TypedDict):
    """`idle`: no turn was running, or not the one that was named. The last fields come once the turn has ended.

    `model_stopped_at` is when the turn's last model call ended; null if it made none.
    """

    session_id: PublicId
    turn_id: TurnId | None
    status: Literal["idle", "cancelling"] | MessageStatus
    trace_id: str
    model_stopped_at: NotRequired[AwareDatetime | None]
    usage: NotRequired[Usage]
    cost: NotRequired[float]
    message: NotRequired[MessageView]
