"""Prints one line per request that the host served: method, path, status, time and session."""

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_QUIET_PATHS = ("/health", "/ready")
_QUIET_FOLDER = "/console/"  # the files of the console
_COLOURS = {2: "32", 3: "36", 4: "33", 5: "31"}  # green, cyan, yellow, red


class RequestLines:
    """An ASGI app that calls `app`, and gives `write` one line when a request has ended.

    Probes and files of the console give no line. The query is left out: it can hold a ticket. A stream's line says how
    many bytes it sent. An answer that broke off, or that nobody waited for, is marked as cut.
    """

    def __init__(self, app: ASGIApp, write: Callable[[str], None], *, is_coloured: bool = False) -> None:
        self._app = app
        self._write = write
        self._is_coloured = is_coloured

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if _is_quiet(scope["path"]):
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        began = time.monotonic()
        try:
            await self._app(scope, receive, answer.send)
        finally:
            milliseconds = round((time.monotonic() - began) * 1000)
            self._write(self._line(scope, answer, milliseconds))

    def _line(self, scope: Scope, answer: "_Answer", milliseconds: int) -> str:
        status = str(answer.status or "-")
        if self._is_coloured and (colour := _COLOURS.get(answer.status // 100)):
            status = f"\x1b[{colour}m{status}\x1b[0m"
        parts = [f"{scope['method']:<6}", _printable(scope["raw_path"]), status, f"{milliseconds} ms"]
        if answer.is_stream:
            parts.append(f"stream of {answer.length} bytes")
        if not answer.is_complete:
            parts.append("cut")
        if answer.session_id:
            parts.append(_printable(answer.session_id))
        return " ".join(parts)


class _Answer:
    """What was sent of an answer; `status` is 0 before it begins."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.length = 0
        self.session_id = b""
        self.is_stream = False
        self.is_complete = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = dict(message["headers"])
            self.status = message["status"]
            self.session_id = headers.get(b"x-session-id", b"")
            self.is_stream = headers.get(b"content-type", b"").startswith(b"text/event-stream")
        await self._send(message)
        if message["type"] == "http.response.body":
            self.length += len(message.get("body", b""))
            self.is_complete = not message.get("more_body")


def _is_quiet(path: str) -> bool:
    path = path.lower()
    return path.rstrip("/") in _QUIET_PATHS or path.startswith(_QUIET_FOLDER)


def _printable(text: bytes) -> str:
    """`text` without characters that a terminal obeys."""
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in text.decode("latin-1"))
