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

INLINE_TEXT_BYTES = 32 * 1024
"""Texts up to this size stand in the event itself; larger ones in a document that the event names."""

INLINE_RESPONSE_BYTES = 64 * 1024
"""Tool responses up to this size stand in the event; for larger ones it gives a link."""

ANSWER_BYTES = 512 * 1024
"""A turn's answers together, and each tool result, are cut at this size and marked: a document takes 2 MB."""


class Frozen(BaseModel):
    """An immutable value; unknown fields are an error, so that a typo never passes for data."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Failure(Frozen):
    """Why a turn failed, in the words a client can act on."""

    code: str
    message: str
    retryable: bool = False


class Usage(Frozen):
    """Tokens, as the model's server counted them."""

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
    """What one agent used of one model, in `calls` model calls."""

    agent: str
    model: str
    calls: Count = 0


class ToolCall(Frozen):
    """A tool call the model asked for. `arguments` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolOutcome(Frozen):
    """What became of a tool call; `response` is JSON, text when the tool gave text."""

    status: ToolStatus
    response: Any = None
    truncated: bool = False


def size_of(text: str) -> int:
    """Bytes of `text` in UTF-8, which is what the store counts."""
    return len(text) if text.isascii() else len(text.encode())


def cut(text: str, limit: int) -> tuple[str, bool]:
    """`text` cut to `limit` bytes at a character's edge, and whether anything was cut."""
    if size_of(text) <= limit:
        return text, False
    return text.encode()[:limit].decode(errors="ignore"), True


@dataclass(frozen=True)
class ModelRequest:
    """A model call. `messages` and `tools` are in Chat Completions form; `timeout` bounds every wait for the server.

    `may_call_tools` is False in a turn's last step, where the model has to answer in words. `output_schema` is the JSON
    Schema that the answer is to fit.
    """

    model: str
    messages: Sequence[dict[str, Any]]
    tools: Sequence[dict[str, Any]]
    timeout: timedelta
    may_call_tools: bool = True
    output_schema: dict[str, Any] | None = None
