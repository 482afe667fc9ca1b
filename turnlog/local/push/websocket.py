"""`/ws`: an owner's room as text frames over a WebSocket."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from turnlog.api.edge.local_only import require_own_page
from turnlog.api.edge.principal import trace_id_of
from turnlog.api.edge.problems import problem
from turnlog.api.push.admission import identify_socket
from turnlog.api.shapes.common import as_json
from turnlog.api.shapes.push import PushFrame
from turnlog.domain.errors import TurnlogError
from turnlog.domain.ids import owner_hash
from turnlog.domain.rooms import Room
from turnlog.local.push.rooms import first_frame, frames_of_owner
from turnlog.wiring import services

_log = logging.getLogger(__name__)

_CLOSE_AND_RETRY = 1012  # "service restart" (iana.org/assignments/websocket): connect again
_CLOSE_EXPIRED = 3000  # "unauthorized": the token has expired


async def serve_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one socket. What it sends is ignored. A socket that does not read holds one frame, and delays no other."""
    socket = WebSocket(scope, receive, send)
    try:
        require_own_page(socket)
        caller = await identify_socket(socket)
        services().limits.count_request(caller.owner)
        close = services().limits.open_stream(caller.owner)
    except TurnlogError as error:
        await socket.send_denial_response(problem(error, trace_id_of(socket)))
        return
    try:
        await socket.accept()
        sending = _send_room(socket, Room(owner_hash(caller.owner)))
        await _until_first(_close_after(socket, sending, caller.expires_in), _until_closed(socket))
    except WebSocketDisconnect:
        pass  # the client is gone
    finally:
        close()


async def _send_room(socket: WebSocket, room: Room) -> None:
    cursor, init = await first_frame(room)
    await _send(socket, init)
    del init
    async with aclosing(frames_of_owner(room, cursor)) as frames:
        async for frame in frames:
            await _send(socket, frame)


async def _send(socket: WebSocket, frame: PushFrame) -> None:
    await socket.send_text(as_json(frame.data).decode())


async def _close_after(socket: WebSocket, sending: Coroutine[Any, Any, None], expires_in: timedelta | None) -> None:
    """Send until it fails, or until the caller is not known any more. Then close the socket."""
    code = _CLOSE_AND_RETRY
    try:
        async with asyncio.timeout(None if expires_in is None else expires_in.total_seconds()):
            await sending
    except TimeoutError:
        code = _CLOSE_EXPIRED
    except TurnlogError:
        _log.warning("a socket is closed: its room can't be read", exc_info=True)
    await socket.close(code)


async def _until_closed(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _until_first(*parts: Coroutine[Any, Any, None]) -> None:
    """Run all parts until one ends, then cancel the others. Raises what that one raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()
