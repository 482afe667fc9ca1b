"""The edge of every HTTP function. Only this module identifies callers, attaches traces, and answers with problems."""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import wraps
from typing import Any, TypeVar
from weakref import finalize

from azurefunctions.extensions.http.fastapi import Request, Response, StreamingResponse
from starlette.responses import Content

from turnlog.api.description.describes import EVENT_STREAM, description_of
from turnlog.api.edge.principal import READING, WRITING, Caller, identify, trace_id_of
from turnlog.api.edge.problems import problem
from turnlog.api.edge.requests import preferences
from turnlog.api.edge.sse import until_expiry
from turnlog.api.edge.tickets import is_sent, ticket_holder
from turnlog.api.edge.tracing import request_span
from turnlog.domain.ids import is_public_id, session_of
from turnlog.wiring import services

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Response]])


def endpoint(handler: Handler) -> Handler:
    """Run `handler` for an identified caller. Whatever it raises is answered as a problem."""

    @wraps(handler)
    async def run(req: Request, **bindings: Any) -> Response:
        trace_id = trace_id_of(req)
        with request_span(req, trace_id) as span:
            try:
                caller = req.state.caller = await _identify(req, handler, trace_id)
                services().limits.count_request(caller.owner)
                if _is_for_stream(req, handler):
                    response = await _stream(handler(req, **bindings), caller)
                else:
                    response = await handler(req, **bindings)
            except Exception as error:  # noqa: BLE001  # the boundary: the platform would answer in plain text
                span.record_error(error)
                response = problem(error, trace_id)
            span.record_response(response)
        response.headers["x-trace-id"] = trace_id
        response.headers["x-content-type-options"] = "nosniff"
        response.headers.setdefault("cache-control", "no-store")
        if session_id := _session_in(req):
            response.headers.setdefault("x-session-id", session_id)
        return response

    return run  # pyright: ignore[reportReturnType]  # same signature, as @wraps says


async def _identify(req: Request, handler: Callable[..., Any], trace_id: str) -> Caller:
    description = description_of(handler)
    if description is not None and description.takes_ticket and is_sent(req):
        return ticket_holder(req, trace_id)
    return await identify(req, trace_id, _scopes(handler, req.method))


def _is_for_stream(req: Request, handler: Callable[..., Any]) -> bool:
    """Whether the request is answered with server-sent events, unless it is refused or there is nothing to send."""
    description = description_of(handler)
    forms = [] if description is None else [answer.media_type for answer in description.answers]
    if EVENT_STREAM not in forms:
        return False
    # The formats of front ends are streams, whatever the client accepts.
    return (
        req.method == "GET" or set(forms) == {EVENT_STREAM} or preferences(req).stream or "format" in req.query_params
    )


async def _stream(answering: Awaitable[Response], caller: Caller) -> Response:
    """Count the stream of the response among its owner's until it ends, at the latest when the token expires."""
    close = services().limits.open_stream(caller.owner)
    try:
        response = await answering
    except BaseException:
        close()
        raise
    if not isinstance(response, StreamingResponse):
        close()
        return response

    async def body(parts: AsyncIterable[Content]) -> AsyncGenerator[Content]:
        try:
            async with aclosing(until_expiry(parts, caller.expires_in)) as limited:
                async for part in limited:
                    yield part
        finally:
            close()

    response.body_iterator = body(response.body_iterator)
    finalize(response, close)  # a client may be gone before the first part is asked for
    return response


def _scopes(handler: Callable[..., Any], method: str) -> Sequence[str]:
    """The scopes of which a caller must have one."""
    description = description_of(handler)
    if description is not None and description.scopes:
        return description.scopes
    return (READING,) if method == "GET" else (WRITING,)


def _session_in(req: Request) -> str | None:
    """The session that the path or the body names, if it is a valid id: other text must not go into a header."""
    in_path = req.path_params.get("session_id") or session_of(req.path_params.get("message_id", ""))
    session_id = in_path or getattr(req.state, "session_id", None)
    return session_id if session_id and is_public_id(session_id) else None
