"""Which requests are for sockets: an ASGI app before the functions, which take all others."""

from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from turnlog.local.push.socketio import SocketIoRooms

_SOCKET_IO = "/socket.io/"
_WEBSOCKET = "/ws"


class Sockets:
    """Serves `/socket.io/` and `/ws`, and everything else with `app`. Loads its parts with the first socket."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._socketio: SocketIoRooms | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket."""
        path: str = scope["path"]
        if f"{path}/".startswith(_SOCKET_IO):
            await self._rooms()(scope, receive, send)
        elif scope["type"] != "websocket":
            await self._app(scope, receive, send)
        elif path.rstrip("/") == _WEBSOCKET:
            from turnlog.local.push.websocket import serve_websocket  # noqa: PLC0415 - few starts need it

            await serve_websocket(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "websocket.http.response.body", "body": b""})

    async def close(self) -> None:
        """End all sockets."""
        if self._socketio is not None:
            await self._socketio.close()

    def _rooms(self) -> "SocketIoRooms":
        if self._socketio is None:
            from turnlog.local.push.socketio import SocketIoRooms  # noqa: PLC0415 - few starts need it

            self._socketio = SocketIoRooms()
        return self._socketio
