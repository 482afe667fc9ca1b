"""The model client: any server that speaks OpenAI's Chat Completions, through the openai SDK."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import httpx2
import openai

from turnlog.domain.errors import ModelError
from turnlog.domain.values import Piece, ToolCall, Usage
from turnlog.models.assembly import Assembly
from turnlog.models.failures import CALLING_ERRORS, READING_ERRORS, RefusedError, failure_of
from turnlog.models.redaction import ModelErrorRedactor
from turnlog.models.requests.chat import chat_body
from turnlog.models.requests.dialect import Dialect, is_about_media
from turnlog.models.sse import EventStream
from turnlog.models.transport import AiohttpTransport
from turnlog.models.usage import usage_of
from turnlog.ports import ModelRequest

_CONNECT_SECONDS = 10.0
_AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"
_CODES_TO_LEARN_FROM = frozenset({"model_refused", "model_not_found"})
_NO_MODEL_LIST = frozenset({404, 405, 501})
_MAX_REFUSALS = 5
_CUT_SHORT = frozenset(  # finish reasons of answers that are not whole
    {"error", "abort", "network_error", "insufficient_system_resource", "malformed_function_call"}
)

_log = logging.getLogger(__name__)
logging.getLogger("httpx2").setLevel(logging.WARNING)  # one line for each request would outweigh all others


@dataclass(frozen=True)
class Endpoint:
    """Where the model's server is, and how the app signs in. Without a key, an Azure endpoint gets Entra ID tokens."""

    base_url: str | None = None
    api_key: str | None = None
    is_azure: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def client(self) -> openai.AsyncOpenAI:
        """Return the SDK's client, which makes no retries."""
        headers = dict(self.headers)
        if self.is_azure and self.api_key is not None:
            headers.setdefault("api-key", self.api_key)  # what deployments of before the v1 API take
        url = None if self.base_url is None else urlsplit(self.base_url)
        return openai.AsyncOpenAI(
            base_url=None if url is None else urlunsplit(url._replace(query="", fragment="")),
            default_query=None if url is None else dict(parse_qsl(url.query)),
            api_key=self.api_key or entra_token(),
            default_headers=headers,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(transport=AiohttpTransport()),
        )


class OpenAIStream:
    """See `turnlog.ports.ModelStream`."""

    def __init__(self, events: EventStream) -> None:
        self._events = events
        self._assembly = Assembly()

    async def __aiter__(self) -> AsyncIterator[Piece]:
        try:
            async for chunk in self._events:
                for piece in self._assembly.add(chunk):
                    yield piece
                if self._assembly.is_full:
                    return  # closing the connection stops the rest, which would be discarded
        except READING_ERRORS as error:
            if self._assembly.finish_reason is None:
                raise failure_of(error) from error
            # The answer is whole: a connection that breaks now costs the usage, not the answer.
            _log.info("the model's connection broke after the end of an answer: %s", type(error).__name__)
        self._check_end()

    def _check_end(self) -> None:
        """Raise ModelError if the answer ended before it was whole. Proxies often close a broken stream politely."""
        reason = self._assembly.finish_reason
        if reason is None and (not self._events.is_done or self._assembly.is_empty):
            raise ModelError("model_broke_off", "The model's stream ended in mid-answer.", transient=True)
        if reason is not None and reason.lower() in _CUT_SHORT:
            detail = f"The model's server ended the answer with the reason {reason!r}."
            raise ModelError("model_error", detail, transient=True)
        if reason == "tool_calls" and not self._assembly.tool_calls and not self.text:
            raise ModelError("model_broke_off", "The model announced tool calls and sent none.", transient=True)

    @property
    def text(self) -> str:
        return self._assembly.text

    @property
    def reasoning(self) -> str:
        return self._assembly.reasoning

    @property
    def tool_calls(self) -> Sequence[ToolCall]:
        return self._assembly.tool_calls.values()

    @property
    def finish_reason(self) -> str | None:
        """The server's reason. Without one: `length` if the answer was cut at the limit, `stop` after `[DONE]`."""
        if self._assembly.finish_reason is not None:
            return self._assembly.finish_reason
        if self._assembly.is_full:
            return "length"
        return "stop" if self._events.is_done else None

    @property
    def usage(self) -> Usage | None:
        return usage_of(self._assembly.usage)

    @property
    def vendor(self) -> dict[str, Any]:
        return self._assembly.vendor

    @property
    def response(self) -> dict[str, Any]:
        return self._assembly.completion()


class OpenAIModelClient:
    """One HTTP client per process and event loop. The code that creates this closes it."""

    path = "/chat/completions"

    def __init__(self, endpoint: Endpoint) -> None:
        self._client = endpoint.client()
        self._dialects: dict[str, Dialect] = {}
        keys = [*filter(None, (endpoint.api_key,)), *endpoint.headers.values()]
        self._redactor = ModelErrorRedactor(endpoint.base_url, keys)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncGenerator[OpenAIStream]:
        # Leaving this context closes the connection, which stops generation and billing.
        async with self.opened(request) as events:
            yield OpenAIStream(events)

    @asynccontextmanager
    async def opened(self, request: ModelRequest) -> AsyncGenerator[EventStream]:
        """The events of the answer."""
        with self._redactor.redacting(request.headers):
            async with aclosing(await self._open(request)) as events:
                yield events

    def body(self, request: ModelRequest) -> dict[str, Any]:
        """Return what is sent for `request` to a server that takes everything."""
        return chat_body(request)

    async def _open(self, request: ModelRequest) -> EventStream:
        """Send the request; where the server refuses a part of it that is not essential, again without that."""
        body = self.body(request)
        dialect = self._dialects.get(request.model, Dialect())
        for _ in range(_MAX_REFUSALS):
            sent = dialect.apply(body)
            try:
                return await self._post(request, sent)
            except RefusedError as error:
                learned = dialect.after(error.complaint, sent)
                if learned == dialect or error.failure_code not in _CODES_TO_LEARN_FROM:
                    raise _explained(error, sent) from error
                _log.warning("model %s refuses a part of a request, which is sent again: %s", request.model, learned)
            dialect = learned
            # What is learned about pictures holds for this request only.
            self._dialects[request.model] = replace(dialect, takes_media=True)
        return await self._post(request, dialect.apply(body))

    async def _post(self, request: ModelRequest, body: dict[str, Any]) -> EventStream:
        timeout = openai.Timeout(request.max_silence.total_seconds(), connect=_CONNECT_SECONDS)
        try:
            # The SDK's way to a bare response: its own streams build a validated object of every chunk.
            response = await self._client.post(
                self.path,
                cast_to=httpx2.Response,
                body=body,
                options={"timeout": timeout, "headers": {**request.headers}},
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
        except CALLING_ERRORS as error:
            raise failure_of(error) from error
        return EventStream(cast("httpx2.Response", response))

    async def check(self) -> None:
        """Return if the model's server answers, also if it has no list of its models."""
        with self._redactor.redacting():
            try:
                await self._client.get("/models", cast_to=httpx2.Response, options={"timeout": _CONNECT_SECONDS})
            except openai.APIStatusError as error:
                if error.status_code not in _NO_MODEL_LIST:
                    raise failure_of(error) from error
            except CALLING_ERRORS as error:
                raise failure_of(error) from error

    async def close(self) -> None:
        await self._client.close()


def _explained(error: RefusedError, sent: Mapping[str, Any]) -> RefusedError:
    """Add to `error` what a user can do if the message has pictures or files that the model does not take."""
    if error.failure_code not in _CODES_TO_LEARN_FROM or not is_about_media(error.complaint, sent):
        return error
    detail = f"The model does not take a picture, sound or file of this message. {error}"
    retry_after, transient = error.retry_after, error.transient
    return RefusedError(error.failure_code, detail, error.complaint, transient=transient, retry_after=retry_after)


def entra_token() -> Callable[[], Awaitable[str]]:
    """Return a provider of the managed identity's tokens; imported here because azure.identity is slow to import."""
    from azure.identity.aio import DefaultAzureCredential, get_bearer_token_provider  # noqa: PLC0415

    return get_bearer_token_provider(DefaultAzureCredential(), _AZURE_SCOPE)
