"""Small values that events, documents and decisions share."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

TurnOutcome: TypeAlias = Literal["completed", "failed", "cancelled"]
MessageStatus: TypeAlias = Literal[
    "queued", "running", "requires_action", "completed", "failed", "cancelled", "withdrawn"
]
ToolStatus: TypeAlias = Literal["completed", "failed", "cancelled", "denied"]
ActionKind: TypeAlias = Literal["approval", "client_tool"]
ActionDecision: TypeAlias = Literal["approve", "deny", "result"]
OnBusy: TypeAlias = Literal["enqueue", "reject", "interrupt", "steer"]
Count = Annotated[int, Field(ge=0)]
Ordinal = Annotated[int, Field(ge=1)]

MAX_INLINE_TEXT_BYTES = 32 * 1024
"""A text up to this size is in the event itself. A larger one is in a document that the event names."""

MAX_INLINE_RESPONSE_BYTES = 64 * 1024
"""A tool response up to this size is in the event itself. For a larger one the event has a link."""

MAX_ANSWER_BYTES = 512 * 1024
"""A turn's answers together, and each tool result, are truncated at this size: a document holds at most 2 MB."""

MAX_REASONING_BYTES = 32 * 1024
"""Of a step's reasoning, this much is in its message and its event. The deltas have more."""

MAX_ARGUMENTS_BYTES = 256 * 1024
"""A turn's tool call arguments together. What exceeds it is cut off, and its tool refuses it."""

MAX_VENDOR_BYTES = 128 * 1024
"""A turn's vendor fields together: those of a step that would exceed this are not stored."""

_DETAILS = frozenset({"cached_tokens", "reasoning_tokens"})


class Frozen(BaseModel):
    """An immutable value. Unknown fields are an error, so that no typo is taken for data."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Failure(Frozen):
    """Why a turn failed, in words that a client can act on. A server may ask to wait `retry_after` seconds."""

    code: str
    message: str
    retryable: bool = False
    retry_after: Count | None = None


def _without_details(schema: dict[str, Any]) -> None:
    schema["required"] = [name for name in schema.get("required", ()) if name not in _DETAILS]


class Usage(Frozen):
    """Token counts from the model's server.

    `cached_tokens` are prompt tokens that the server had in its cache. `reasoning_tokens` are completion tokens that
    are no part of the answer. Both are left out if they are 0: many servers do not count them.
    """

    model_config = ConfigDict(json_schema_extra=_without_details)

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    total_tokens: Count = 0
    cached_tokens: Count = 0
    reasoning_tokens: Count = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in Usage.model_fields})

    @model_serializer(mode="wrap")
    def _without_zero_details(self, serialize: SerializerFunctionWrapHandler):  # noqa: ANN202  # else pydantic describes the fields by it
        fields: dict[str, Any] = serialize(self)
        return {name: value for name, value in fields.items() if value or name not in _DETAILS}


class UsageRow(Usage):
    """The tokens that one agent used of one model, in `calls` model calls."""

    agent: str
    model: str
    calls: Count = 0


class ToolCall(Frozen):
    """A tool call that the model requested. `arguments` is the JSON text exactly as the model wrote it.

    `vendor` are fields that only this model's server knows, and that it wants back with the call.
    """

    id: str
    name: str
    arguments: str
    vendor: dict[str, JsonValue] = {}


@dataclass(frozen=True)
class Piece:
    """A part of a model's answer as it arrives.

    A piece of `arguments` continues the tool call number `call`, from 0, of the tool `name` as far as it is known.
    """

    kind: Literal["text", "reasoning", "arguments"]
    text: str
    call: int | None = None
    name: str = ""


class ToolOutcome(Frozen):
    """The outcome of a tool call. `response` is JSON, or text if the tool returned text."""

    status: ToolStatus
    response: Any = None
    truncated: bool = False
