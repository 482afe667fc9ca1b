"""The HTTP side: an ASGI app that routes requests to functions as the Functions host does, and answers CORS.

If no function serves a request, the answer is 404 with an empty body, as the platform's is; no code of the app runs.
"""

import asyncio
import logging
from typing import Any

from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from turnlog.domain.origins import AllowedOrigins
from turnlog.local.host.functions import Function
from turnlog.local.host.routes import Route, Router, segments_of

_log = logging.getLogger(__name__)

_MAX_LOGGED_ORIGINS = 100


class HttpFunctions:
    """An ASGI app that calls the functions of `routes`. Pages of the origins that `cors` allows may read the answers.

    As in Azure, they see only the headers that browsers always show: a page that works here works there. The body of a
    request must arrive within `body_seconds`.
    """

    def __init__(self, routes: list[Route[Function]], cors: AllowedOrigins, body_seconds: float) -> None:
        self._router = Router(routes)
        self._cors = cors
        self._refused: set[str] = set()
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if origin := _other_origin(scope):
            if scope["method"] == "OPTIONS" and _header(scope, b"access-control-request-method"):
                await self._answer_preflight(scope, origin, send)
                return
            send = self._with_cors(origin, send)
        path = segments_of(scope["raw_path"])
        if path is None:
            await _answer(send, 400)
            return
        match = self._router.find(scope["method"], path)
        if match is None:
            await _answer(send, 404)
            return
        scope["path_params"] = match.params
        await _call(match.target, scope, _limited(receive, self._body_seconds), send)

    async def _answer_preflight(self, scope: Scope, origin: str, send: Send) -> None:
        headers: list[tuple[bytes, bytes]] = [(b"vary", b"Origin")]
        if allowed := self._allowed(origin):
            requested = _header(scope, b"access-control-request-headers")
            headers += [
                (b"access-control-allow-origin", allowed),
                (b"access-control-allow-methods", _header(scope, b"access-control-request-method") or b""),
                *([(b"access-control-allow-headers", requested)] if requested else []),
                (b"access-control-max-age", b"3600"),
            ]
        await _answer(send, 204, headers=headers)

    def _allowed(self, origin: str) -> bytes | None:
        """The value of the header that lets pages of `origin` read an answer. A refusal is logged once."""
        if self._cors.allows(origin):
            return b"*" if self._cors.has_all else origin.encode("latin-1")
        if origin not in self._refused and len(self._refused) < _MAX_LOGGED_ORIGINS:
            self._refused.add(origin)
            advice = (
                "serve the page over HTTP" if origin == "null" else "to allow them, add this origin to CORS_ORIGINS"
            )
            _log.warning("pages of the origin %.200r can't read answers: %s", origin, advice)
        return None

    def _with_cors(self, origin: str, send: Send) -> Send:
        allowed = self._allowed(origin)
        added = [(b"vary", b"Origin"), *([(b"access-control-allow-origin", allowed)] if allowed else [])]

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        return send_with_cors


def _limited(receive: Receive, seconds: float) -> Receive:
    """`receive`, which reports a client that is gone if the whole body has not arrived within `seconds`."""
    ends_at = asyncio.get_running_loop().time() + seconds
    is_complete = False

    async def receive_limited() -> Message:
        nonlocal is_complete
        if is_complete:
            return await receive()
        try:
            async with asyncio.timeout_at(ends_at):
                message = await receive()
        except TimeoutError:
            message = {"type": "http.disconnect"}
        is_complete = not message.get("more_body")
        return message

    return receive_limited


async def _call(function: Function, scope: Scope, receive: Receive, send: Send) -> None:
    response: Any = None
    try:
        response = await function.call(Request(scope, receive))
    except ClientDisconnect:
        return  # nobody waits for an answer
    except Exception:  # noqa: BLE001 - it is the app's; the client gets 500
        _log.exception("function %s failed", function.name)
    else:
        if not isinstance(response, Response):
            _log.error("function %s returned %r; the local host sends Responses only", function.name, response)
            response = None
    if response is None:
        await _answer(send, 500, b"Internal Server Error")
        return
    try:
        await response(scope, receive, send)
    except Exception:
        _log.exception("the response of function %s broke off", function.name)
        raise  # the server closes the connection, so that the client sees that the rest is missing


def _other_origin(scope: Scope) -> str | None:
    """The origin of the page that sends the request, unless it comes from this server itself."""
    origin = (_header(scope, b"origin") or b"").decode("latin-1")
    host = (_header(scope, b"host") or b"").decode("latin-1")
    return None if origin.partition("://")[2] == host else origin


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)


async def _answer(send: Send, status: int, body: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None) -> None:
    content_type = [(b"content-type", b"text/plain; charset=utf-8")] if body else []
    length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    every = [*content_type, *length, *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": body})
