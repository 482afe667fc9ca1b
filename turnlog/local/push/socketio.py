"""`/socket.io/`: the rooms of projects and sessions over Socket.IO."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import socketio
from socketio.exceptions import ConnectionRefusedError as SocketRefusedError
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from turnlog.api.edge.local_only import require_own_page
from turnlog.api.edge.principal import trace_id_of
from turnlog.api.edge.problems import problem
from turnlog.api.push.admission import JoinedRoom, identify_socket, named_room, refusal_of, room_of
from turnlog.api.shapes.common import as_json
from turnlog.api.shapes.push import JoinAnswer, PushFrame
from turnlog.domain.errors import ForbiddenError, TurnlogError
from turnlog.local.push.rooms import frames_of_room
from turnlog.wiring import services

PATH = "/socket.io"

_log = logging.getLogger(__name__)

_MAX_RECEIVED_BYTES = 16 * 1024  # of one message from a client: it sends only ids
_MAX_WAITING = 4  # frames that a socket has not read: then its rooms wait


@dataclass
class _Room:
    """A room that a socket has joined. `close` gives its place among the owner's open streams back."""

    close: Callable[[], None]
    sending: "asyncio.Task[None]"


@dataclass
class _Socket:
    owner: str
    close: Callable[[], None]
    rooms: dict[str, _Room] = field(default_factory=dict[str, _Room])
    expiry: asyncio.TimerHandle | None = None


class SocketIoRooms:
    """An ASGI app. Each room of each socket has its own cursor: a slow socket delays no other, and holds few frames."""

    def __init__(self) -> None:
        self._sockets: dict[str, _Socket] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._server = socketio.AsyncServer(
            async_mode="asgi",
            cors_allowed_origins=_is_allowed,
            max_http_buffer_size=_MAX_RECEIVED_BYTES,
        )
        self._app: Any = socketio.ASGIApp(self._server, socketio_path=PATH)
        handlers = {"connect": self._connect, "disconnect": self._disconnect}
        handlers |= dict.fromkeys(("join", "subscribe"), self._join)
        handlers |= dict.fromkeys(("leave", "unsubscribe"), self._leave)
        for name, handler in handlers.items():
            self._server.on(name, handler)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a WebSocket of Engine.IO."""
        connection = HTTPConnection(scope)
        try:
            require_own_page(connection)
        except ForbiddenError as error:
            await _deny(problem(error, trace_id_of(connection)), scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def close(self) -> None:
        """End all sockets and their rooms."""
        for sid in list(self._sockets):
            await self._server.disconnect(sid)
        await self._server.shutdown()

    async def _connect(self, sid: str, environ: Mapping[str, Any], auth: Any = None) -> None:
        connection = HTTPConnection(environ["asgi.scope"])
        try:
            caller = await identify_socket(connection, _token(auth))
            services().limits.count_request(caller.owner)
            close = services().limits.open_stream(caller.owner)
        except TurnlogError as error:
            raise SocketRefusedError(error.sentence or str(error), refusal_of(error)) from error
        self._sockets[sid] = socket = _Socket(caller.owner, close)
        if caller.expires_in is not None:
            socket.expiry = self._end_after(sid, caller.expires_in)

    def _end_after(self, sid: str, expires_in: timedelta) -> asyncio.TimerHandle:
        def end() -> None:
            task = asyncio.create_task(self._server.disconnect(sid))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

        return asyncio.get_running_loop().call_later(expires_in.total_seconds(), end)

    async def _disconnect(self, sid: str, _reason: str = "") -> None:
        socket = self._sockets.pop(sid, None)
        if socket is None:
            return
        if socket.expiry is not None:
            socket.expiry.cancel()
        for room in socket.rooms.values():
            room.sending.cancel()
            room.close()
        socket.close()

    async def _join(self, sid: str, wanted: Any = None, *_more: Any) -> JoinAnswer:
        socket = self._sockets.get(sid)
        if socket is None:
            return {}
        try:
            services().limits.count_request(socket.owner)
            room = await room_of(socket.owner, wanted)
            after = await services().rooms.newest_cursor(room.feed)
            if room.name not in socket.rooms and self._sockets.get(sid) is socket:
                close = services().limits.open_stream(socket.owner)
                sending = asyncio.create_task(self._send_room(sid, room, after))
                socket.rooms[room.name] = _Room(close, sending)
        except TurnlogError as error:
            return {"error": refusal_of(error)}
        return {"room": room.name}

    async def _leave(self, sid: str, wanted: Any = None, *_more: Any) -> JoinAnswer:
        socket = self._sockets.get(sid)
        if socket is None:
            return {}
        try:
            name = named_room(socket.owner, wanted).name
        except TurnlogError as error:
            return {"error": refusal_of(error)}
        if name in socket.rooms:
            socket.rooms[name].sending.cancel()
            socket.rooms.pop(name).close()
        return {"room": name}

    async def _send_room(self, sid: str, room: JoinedRoom, after: int) -> None:
        """Send the room's frames, until the socket leaves it or its session is deleted."""
        try:
            async with aclosing(frames_of_room(room, after)) as frames:
                async for frame in frames:
                    await self._send(sid, frame)
        except TurnlogError:
            _log.warning("a socket is closed: its room can't be read", exc_info=True)
            await self._server.disconnect(sid)
            return
        if (socket := self._sockets.get(sid)) is not None:
            socket.rooms.pop(room.name).close()

    async def _send(self, sid: str, frame: PushFrame) -> None:
        await self._server.emit(cast("str", frame.name), json.loads(as_json(frame.data)), to=sid)
        # The server itself has no limit for what waits. A polling client that is gone is cut by its ping.
        server: Any = self._server
        engine = server.eio.sockets.get(server.manager.eio_sid_from_sid(sid, "/"))
        if engine is not None and engine.queue.qsize() >= _MAX_WAITING:
            await engine.queue.join()


def _is_allowed(_origin: str | None, environ: Mapping[str, Any]) -> bool:
    """Whether a page may read the answers. `__call__` has refused all others already."""
    try:
        require_own_page(HTTPConnection(environ["asgi.scope"]))
    except ForbiddenError:
        return False
    return True


def _token(auth: Any) -> str | None:
    """The access token that a client sends when it connects: `io(url, {auth: {token}})`."""
    token: Any = cast("dict[str, Any]", auth).get("token") if isinstance(auth, dict) else None
    return token if isinstance(token, str) and token.isascii() else None


async def _deny(response: Any, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        # Starlette's responses send `websocket.http.response.…` in this case.
        await receive()
    await response(scope, receive, send)
