"""Small values that events, documents and decisions share."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

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


class Frozen(BaseModel):
    """An immutable value. Unknown fields are an error, so that no typo is taken for data."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Failure(Frozen):
    """Why a turn failed, in words that a client can act on."""

    code: str
    message: str
    retryable: bool = False


class Usage(Frozen):
    """Token counts from the model's server."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    total_tokens: Count = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            total_tokens=self.total_tokens + other.total_tokens,
        )


class UsageRow(Usage):
    """The tokens that one agent used of one model, in `calls` model calls."""

    agent: str
    model: str
    calls: Count = 0


class ToolCall(Frozen):
    """A tool call that the model requested. `arguments` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolOutcome(Frozen):
    """The outcome of a tool call. `response` is JSON, or text if the tool returned text."""

    status: ToolStatus
    response: Any = None
    truncated: bool = False


def size_of(text: str) -> int:
    """The size of `text` in UTF-8 bytes, which is what the store counts."""
    return len(text) if text.isascii() else len(text.encode())


def truncate(text: str, limit: int) -> tuple[str, bool]:
    """The first `limit` bytes of `text`, without a partial character, and whether anything was cut off."""
    if size_of(text) <= limit:
        return text, False
    return text.encode()[:limit].decode(errors="ignore"), True


@dataclass(frozen=True)
class ModelRequest:
    """A model call. `messages` and `tools` are in Chat Completions form; `timeout` bounds every wait for the server.

    `may_call_tools` is False in a turn's last step: there the model has to answer in words. `output_schema` is the JSON
    Schema of the answer.
    """

    model: str
    messages: Sequence[dict[str, Any]]
    tools: Sequence[dict[str, Any]]
    timeout: timedelta
    may_call_tools: bool = True
    output_schema: dict[str, Any] | None = None
