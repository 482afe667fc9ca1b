"""The port of the model's server."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from shared.domain.values import ModelRequest, ToolCall, Usage


class ModelStream(Protocol):
    """A model's answer while it is being written. The other properties are complete when the iteration has ended."""

    def __aiter__(self) -> AsyncIterator[str]:
        """The pieces of text as they arrive. Raises ModelError."""
        ...

    @property
    def text(self) -> str: ...
    @property
    def tool_calls(self) -> Sequence[ToolCall]: ...
    @property
    def finish_reason(self) -> str | None: ...
    @property
    def usage(self) -> Usage | None: ...
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
        """Return if the model's server answers."""
        ...

    async def close(self) -> None: ...
