"""The port of the model's server."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from turnlog.domain.conversation import Conversation
from turnlog.domain.values import Piece, ToolCall, Usage


@dataclass(frozen=True)
class ModelRequest:
    """A model call, in no server's form.

    Attributes:
        tools: in Chat Completions form.
        max_silence: how long the server may send nothing.
        may_call_tools: False in a turn's last step: there the model has to answer in words.
        output_schema: the JSON Schema of the answer.
        options: merged into the request's body; None takes a field out.
        headers: sent with the request.
    """

    model: str
    conversation: Conversation
    tools: Sequence[dict[str, Any]]
    max_silence: timedelta
    may_call_tools: bool = True
    output_schema: dict[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class ModelStream(Protocol):
    """A model's answer while it is being written. The other properties are complete when the iteration has ended."""

    def __aiter__(self) -> AsyncIterator[Piece]:
        """What the server adds, as it arrives. Raises ModelError."""
        ...

    @property
    def text(self) -> str: ...
    @property
    def reasoning(self) -> str: ...
    @property
    def tool_calls(self) -> Sequence[ToolCall]: ...
    @property
    def finish_reason(self) -> str | None: ...
    @property
    def usage(self) -> Usage | None: ...
    @property
    def vendor(self) -> dict[str, Any]:
        """Fields of the answer that only this model's server knows, and that it wants back with its tool calls."""
        ...

    @property
    def response(self) -> dict[str, Any]:
        """The `chat.completion` object, as far as it is assembled."""
        ...


class ModelClient(Protocol):
    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[ModelStream]:
        """Call the model. Leaving the context closes the connection, which stops generation and billing.

        Raises:
            ModelError: refused, unreachable or broken off, with a code that a client can act on.
        """
        ...

    async def check(self) -> None:
        """Return if the model's server answers. Raises ModelError."""
        ...

    async def close(self) -> None: ...
