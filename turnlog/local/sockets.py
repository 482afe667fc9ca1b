"""Serves an ASGI app on a bound socket: with uvicorn, without its signal handling and its slow way to stop."""

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from turnlog.local.errors import AddressError

_MAX_RECEIVED_BYTES = 64 * 1024  # of one message of a WebSocket


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to `host` and `port`; 0 takes a free port.

    Raises:
        AddressError: the port is in use, or `host` is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only if the socket names its protocol; else events wait for acknowledgements.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressError(
                f"port {port} is in use: stop what listens there, or choose another one with PORT"
            ) from error
        raise AddressError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return bound


def url_of(bound: socket.socket) -> str:
    """Return the address of `bound` as clients write it."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serve_asgi(
    app: Any,
    bound: socket.socket,
    grace: float,
    stop_now: asyncio.Event | None = None,
    header_seconds: float = 30.0,
    *,
    takes_websockets: bool = False,
) -> AsyncGenerator[None]:
    """Serve `app` on `bound` while the body runs; then open requests get `grace` seconds before they are cancelled.

    They are cancelled earlier once `stop_now` is set. A connection is closed if the headers of a request do not arrive
    within `header_seconds`.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the apps log their failures themselves
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        lifespan="off",
        ws="wsproto" if takes_websockets else "none",
        ws_max_size=_MAX_RECEIVED_BYTES,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=120,
        interface="asgi3",
    )
    config.load()
    config.http_protocol_class = _limited(config.http_protocol_class, header_seconds)
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[bound])
    clock = asyncio.create_task(_tick(server))
    try:
        yield
    finally:
        clock.cancel()
        await _stop(server, grace, stop_now or asyncio.Event())


def _limited(protocol: Any, seconds: float) -> Any:
    """The HTTP protocol `protocol` with a time limit for the headers of a request. uvicorn itself has none."""

    class LimitedProtocol(protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._last_cycle: Any = None
            self._is_websocket = False
            self._expiry = self.loop.call_later(seconds, transport.abort)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._is_websocket:
                return  # another protocol has taken over the connection
            if self.cycle is not self._last_cycle:  # the headers of a request are complete
                self._last_cycle = self.cycle
                self._expiry.cancel()
            elif self._expiry.cancelled() and self.cycle.response_complete:
                self._expiry = self.loop.call_later(seconds, self.transport.abort)

        def handle_websocket_upgrade(self) -> None:
            self._is_websocket = True
            self._expiry.cancel()
            super().handle_websocket_upgrade()

        def connection_lost(self, exc: Exception | None) -> None:
            self._expiry.cancel()
            super().connection_lost(exc)

    return LimitedProtocol


async def _tick(server: uvicorn.Server) -> None:
    while True:
        await server.on_tick(0)  # renews the `date` header
        await asyncio.sleep(1)


async def _stop(server: uvicorn.Server, grace: float, stop_now: asyncio.Event) -> None:
    for listener in server.servers:
        listener.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    if not (requests := list(server.server_state.tasks)):
        return
    ended, cut = asyncio.create_task(asyncio.wait(requests)), asyncio.create_task(stop_now.wait())
    await asyncio.wait([ended, cut], timeout=grace, return_when=asyncio.FIRST_COMPLETED)
    cut.cancel()
    if ended.done():
        return
    for connection in list(server.server_state.connections):
        if not connection.transport.is_closing():  # an answer is still being sent on it
            connection.transport.abort()  # else uvicorn answers 500, which a client takes for the app's answer
    await asyncio.sleep(0)
    for request in requests:
        request.cancel()
    await asyncio.wait([ended], timeout=1)
