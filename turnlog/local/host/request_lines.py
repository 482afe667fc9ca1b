"""One line in the terminal for each request, when it is answered: status, time, session."""

import os
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_QUIET = ("/health", "/ready", "/console", "/api/docs", "/favicon.ico")
_COLOURS = {2: "32", 3: "32", 4: "33", 5: "31"}
_LONGEST = 100


class RequestLines:
    """An ASGI app that prints what `app` answers. Queries are left out: they may hold what is not for a terminal."""

    def __init__(self, app: ASGIApp, print_line: Callable[[str], None]) -> None:
        self._app = app
        self._print = print_line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and print its line. A stream has its line when it ends."""
        path: str = scope["raw_path"].decode("latin-1")
        if path == "/" or path.startswith(_QUIET):
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        start: Message = {"status": 0, "headers": []}
        size = 0

        async def count(message: Message) -> None:
            nonlocal start, size
            if message["type"] == "http.response.start":
                start = message
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, count)
        finally:
            taken = time.monotonic() - began
            self._print(_line(scope["method"], path, start, _measures(start, taken, size)))


def _line(method: str, path: str, start: Message, measures: str) -> str:
    status = int(start["status"])
    session = next((value.decode("latin-1") for name, value in start["headers"] if name == b"x-session-id"), "")
    shown = path if len(path) <= _LONGEST else f"{path[: _LONGEST - 1]}…"
    words = (f"{method:<6}", shown, _coloured(status), measures, f"session {session}" if session else "")
    return "  ".join(word for word in words if word)


def _measures(start: Message, taken: float, size: int) -> str:
    is_stream = any(
        name == b"content-type" and value.startswith(b"text/event-stream") for name, value in start["headers"]
    )
    return f"stream of {size / 1024:.1f} KB in {taken:.1f} s" if is_stream else f"{1000 * taken:.0f} ms"


def _coloured(status: int) -> str:
    if not status:
        return "no answer"
    colour = _COLOURS.get(status // 100)
    return str(status) if colour is None or os.environ.get("NO_COLOR") else f"\x1b[{colour}m{status}\x1b[0m"
