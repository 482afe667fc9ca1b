"""Messages: what a client posts, and what it reads of a message, its answer and its turn."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator
from typing_extensions import TypedDict

from shared.api.shapes.common import Body, Metadata, Name, with_example
from shared.domain.ids import MessageId, SessionId, TurnId
from shared.domain.stored_documents import Message, ModelResponse
from shared.domain.values import Failure, MessageStatus, OnBusy, Usage, size_of

CONTENT_BYTES = 256 * 1024
_CONTENT_NAMES = ("content", "prompt", "text")


class TextPart(Body):
    type: Literal["text"]
    text: str


def _describe_content_names(schema: dict[str, Any]) -> None:
    """Put into the schema what the validators of `PostMessage` check: one of three names, and not blank."""
    content = schema["properties"]["content"]
    text, parts = content["anyOf"]
    text["pattern"] = r"\S"
    parts["contains"] = {"type": "object", "properties": {"text": {"pattern": r"\S"}}}
    schema["properties"] |= {name: {**content, "description": "the same as `content`"} for name in _CONTENT_NAMES[1:]}
    schema["required"] = []
    schema["oneOf"] = [{"required": [name]} for name in _CONTENT_NAMES]
    schema["examples"] = [{"content": "Tell me a story"}]


class PostMessage(Body):
    model_config = ConfigDict(json_schema_extra=_describe_content_names)

    content: str | list[TextPart] = Field(description="the message; `prompt` and `text` are other names for this field")
    agent: Name | None = None
    model: Name | None = None
    metadata: Metadata = {}
    on_busy: OnBusy = "enqueue"

    @model_validator(mode="before")
    @classmethod
    def _with_one_name_for_content(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        body: dict[str, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]  # JSON objects have text keys
        sent = [name for name in _CONTENT_NAMES if name in body]
        if len(sent) > 1:
            raise ValueError(f"{' and '.join(sent)} are names of the same field: send only one of them")
        if sent:
            body["content"] = body.pop(sent[0])
        return body

    @field_validator("content")
    @classmethod
    def _not_blank_or_too_large(cls, value: str | list[TextPart]) -> str | list[TextPart]:
        text = _joined(value)
        if not text.strip():
            raise ValueError("the message is empty")
        if size_of(text) > CONTENT_BYTES:
            raise ValueError(f"the message is larger than {CONTENT_BYTES // 1024} KB")
        return value

    @property
    def text(self) -> str:
        return _joined(self.content)


def _joined(content: str | list[TextPart]) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)


class Cancel(Body):
    model_config = with_example(reason="no longer needed")

    turn_id: TurnId | None = None
    queue: Literal["keep", "clear"] = Field("keep", description="`clear`: also withdraw the waiting messages")
    reason: Annotated[str, Field(max_length=1024)] | None = None


class ToolCallView(BaseModel):
    """A tool call in the list of its message."""

    id: str
    name: str
    arguments: str


class MessageView(BaseModel):
    """A message and its answer. The shape is the same wherever a message appears."""

    message_id: MessageId
    session_id: SessionId
    turn_id: TurnId
    trace_id: str | None
    sequence: int
    role: Literal["user"] = "user"
    content: str
    answer: str | None
    status: MessageStatus
    error: Failure | None
    agent: str
    model: str
    usage: Usage
    finish_reason: str | None
    tool_calls: list[ToolCallView]
    patch: JsonValue = None
    metadata: dict[str, JsonValue]
    created_at: AwareDatetime
    completed_at: AwareDatetime | None

    @classmethod
    def of(cls, message: Message) -> "MessageView":
        fields: dict[str, Any] = {name: getattr(message, name) for name in cls.model_fields if hasattr(message, name)}
        calls = [ToolCallView(**call.model_dump()) for step in message.steps for call in step.tool_calls]
        return cls(**fields, tool_calls=calls)


class FullResponseView(BaseModel):
    """The model server's responses, unabridged. `response` is the last one, `responses` holds all of the turn."""

    message_id: MessageId
    session_id: SessionId
    trace_id: str | None
    status: MessageStatus
    model: str
    usage: Usage
    tool_calls: list[dict[str, Any]]
    response: dict[str, Any] | None
    responses: list[dict[str, Any]]

    @classmethod
    def of(cls, message: Message, responses: Sequence[ModelResponse]) -> "FullResponseView":
        bodies = [response.body for response in responses]
        calls: list[dict[str, Any]] = []
        for body in bodies:
            calls += body["choices"][0]["message"].get("tool_calls") or []
        return cls(
            message_id=message.message_id,
            session_id=message.session_id,
            trace_id=message.trace_id,
            status=message.status,
            model=message.model,
            usage=message.usage,
            tool_calls=calls,
            response=bodies[-1] if bodies else None,
            responses=bodies,
        )


class CancelReceipt(TypedDict):
    """`idle`: no turn was running, or not the one that was named. The last three fields come once the turn has ended.

    `model_stopped_at` is when the turn's last model call ended; null if it made none.
    """

    session_id: SessionId
    turn_id: TurnId | None
    status: Literal["idle", "cancelling"] | MessageStatus
    trace_id: str
    model_stopped_at: NotRequired[AwareDatetime | None]
    usage: NotRequired[Usage]
    message: NotRequired[MessageView]
