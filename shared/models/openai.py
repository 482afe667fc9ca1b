"""The model client: any OpenAI-compatible endpoint, through the openai SDK's Chat Completions streaming."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, cast

import httpx2
import openai

from shared.domain.errors import ModelError
from shared.domain.values import ModelRequest, ToolCall, Usage
from shared.models.assembly import Assembly

_CONNECT_SECONDS = 10.0
_DRAIN_SECONDS = 1.0
_AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"
_CODES = {
    400: "model_refused",
    401: "model_unauthorized",
    403: "model_unauthorized",
    404: "model_not_found",
    408: "model_timeout",
    409: "model_unavailable",
    413: "model_refused",
    422: "model_refused",
    429: "model_rate_limited",
}
_TRANSIENT = frozenset({408, 409, 429})
# The SDK does not wrap errors that occur while a stream is read.
_ERRORS = (openai.OpenAIError, httpx2.HTTPError, json.JSONDecodeError)

# It logs a line for every request.
logging.getLogger("httpx2").setLevel(logging.WARNING)


class OpenAIStream:
    """See `shared.ports.ModelStream`."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self._assembly = Assembly()

    async def __aiter__(self) -> AsyncIterator[str]:
        try:
            async for chunk in _chunks(self._lines):
                if piece := self._assembly.add(chunk):
                    yield piece
        except _ERRORS as error:
            raise _translated(error) from error
        if self._assembly.finish_reason is None:
            # A server or proxy that fails during an answer often closes the stream normally.
            raise ModelError("model_broke_off", "The model's stream ended without a finish reason.", transient=True)

    @property
    def text(self) -> str:
        return self._assembly.text

    @property
    def tool_calls(self) -> Sequence[ToolCall]:
        return [
            ToolCall(
                id=call.get("id") or "",
                name=call.get("function", {}).get("name") or "",
                arguments=call.get("function", {}).get("arguments") or "{}",
            )
            for call in self._assembly.tool_calls
        ]

    @property
    def finish_reason(self) -> str | None:
        return self._assembly.finish_reason

    @property
    def usage(self) -> Usage | None:
        """None if the server sent no usage, as some compatible servers do."""
        counted = self._assembly.usage
        if counted is None:
            return None
        prompt, completion = counted.get("prompt_tokens") or 0, counted.get("completion_tokens") or 0
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=counted.get("total_tokens") or prompt + completion,
        )

    @property
    def response(self) -> dict[str, Any]:
        return self._assembly.completion()


class OpenAIModelClient:
    """One HTTP client per process and event loop. The code that creates it closes it."""

    def __init__(self, base_url: str | None, api_key: str | None) -> None:
        key = api_key or _entra_token()
        self._client = openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncGenerator[OpenAIStream]:
        timeout = openai.Timeout(request.timeout.total_seconds(), connect=_CONNECT_SECONDS)
        try:
            # `post` returns a bare response. `create` would validate every message, which costs time and is not needed.
            response = await self._client.post(
                "/chat/completions",
                cast_to=httpx2.Response,
                body=_body(request),
                options={"timeout": timeout},
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
            # Leaving this context closes the connection. That stops generation and billing.
            async with aclosing(cast("httpx2.Response", response)) as stream:
                yield OpenAIStream(_lines(stream.aiter_bytes()))
        except _ERRORS as error:
            raise _translated(error) from error

    async def check(self) -> None:
        try:
            await self._client.models.list(timeout=_CONNECT_SECONDS)
        except _ERRORS as error:
            raise _translated(error) from error

    async def close(self) -> None:
        await self._client.close()


def _body(request: ModelRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "messages": request.messages,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if (schema := request.output_schema) is not None:
        named = {"name": schema.get("title", "output"), "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if not request.tools:
        return body
    return {**body, "tools": request.tools, "tool_choice": "auto" if request.may_call_tools else "none"}


async def _lines(received: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines of an event stream. httpx would also split at characters like U+2028, which JSON may contain."""
    rest = b""
    async for piece in received:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    yield rest.decode(errors="replace")


async def _chunks(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    """The chunks of a Chat Completions stream: one `data:` line each, `[DONE]` at the end.

    The SDK's own decoder builds a validated object from every chunk. That is three quarters of a call's whole cost
    (docs/why/decisions/0004-the-model-stream-is-read-by-line.md).
    """
    async for line in lines:
        if not line.startswith("data:"):
            continue
        payload = line[5:].strip()
        if payload == "[DONE]":
            await _drain(lines)
            return
        chunk = _parse(payload)
        if error := chunk.get("error"):
            raise ModelError("model_error", f"The model's server reports: {json.dumps(error)}", transient=True)
        yield chunk


def _parse(payload: str) -> dict[str, Any]:
    chunk = json.loads(payload)
    if "\\ud" in payload.lower():
        # The server cut an emoji in two. Half an emoji is not valid text, and can't be stored or sent.
        repaired = json.dumps(chunk, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        chunk = json.loads(repaired)
    if not isinstance(chunk, dict):
        detail = f"The model's stream contains {payload[:100]}, which is not a chunk."
        raise ModelError("model_broke_off", detail, transient=True)
    return cast("dict[str, Any]", chunk)


async def _drain(lines: AsyncIterator[str]) -> None:
    """Read a stream to its end. Only then can its connection be used again, without a new handshake."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in lines:
                pass


def _translated(error: Exception) -> ModelError:
    """The SDK's error as a ModelError. All errors are translated here."""
    match error:
        case openai.APITimeoutError() | httpx2.TimeoutException():
            return ModelError("model_timeout", "The model did not answer in time.", transient=True)
        case openai.APIStatusError(status_code=status):
            detail = f"The model's server answered {status}: {error.message}"
            return ModelError(_code_of(error, status), detail, transient=status in _TRANSIENT or status >= 500)
        case openai.APIConnectionError():
            return ModelError("model_unreachable", f"The model's server can't be reached: {error}", transient=True)
        case openai.APIError():
            return ModelError("model_error", f"The model's server reports: {error.message}", transient=True)
        case openai.OpenAIError():
            return ModelError("model_unauthorized", f"The model can't be called: {error}", transient=False)
        case _:
            return ModelError("model_broke_off", f"The model's stream broke off: {error!r}", transient=True)


def _code_of(error: openai.APIStatusError, status: int) -> str:
    return str(error.code) if error.code == "context_length_exceeded" else _CODES.get(status, "model_unavailable")


def _entra_token() -> Callable[[], Awaitable[str]]:
    """A provider of the managed identity's tokens. It is imported here because azure.identity is slow to import."""
    from azure.identity.aio import DefaultAzureCredential, get_bearer_token_provider  # noqa: PLC0415

    return get_bearer_token_provider(DefaultAzureCredential(), _AZURE_SCOPE)
