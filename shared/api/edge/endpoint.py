"""The edge of every HTTP function. Only this module identifies callers, attaches traces, and answers with problems."""

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

from azurefunctions.extensions.http.fastapi import Request, Response

from shared.api.description.describes import description_of
from shared.api.edge.principal import READING, WRITING, Caller, owner_of, trace_id_of
from shared.api.edge.problems import problem
from shared.api.edge.tracing import request_span
from shared.domain.ids import is_session_id, session_of

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Response]])


def endpoint(handler: Handler) -> Handler:
    """Run `handler` for an identified caller. Whatever it raises is answered as a problem."""

    @wraps(handler)
    async def run(req: Request, **bindings: Any) -> Response:
        trace_id = trace_id_of(req)
        with request_span(req, trace_id) as span:
            try:
                owner = await owner_of(req, _scopes(handler, req.method))
                req.state.caller = Caller(owner, trace_id)
                response = await handler(req, **bindings)
            except Exception as error:  # noqa: BLE001  # the boundary: the platform would answer in plain text
                span.record_error(error)
                response = problem(error, trace_id)
            span.record_response(response)
        response.headers["x-trace-id"] = trace_id
        if session_id := _session_in(req):
            response.headers.setdefault("x-session-id", session_id)
        return response

    return run  # pyright: ignore[reportReturnType]  # same signature, as @wraps says


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
    return session_id if session_id and is_session_id(session_id) else None
