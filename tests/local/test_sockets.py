"""The local servers send without delay, also on an event loop other than uvloop's."""

import asyncio
import socket

import pytest

from turnlog.local.sockets import bind

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_accepted_connection_sends_without_nagles_algorithm(host: str) -> None:
    accepted: list[int] = []

    class Watched(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            connection: socket.socket = transport.get_extra_info("socket")
            accepted.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    with bind(host, 0) as bound:
        bound.listen()
        server = await asyncio.get_running_loop().create_server(Watched, sock=bound)
        reader, writer = await asyncio.open_connection(*bound.getsockname()[:2])
        await reader.read()
        writer.close()
        server.close()

    assert accepted == [1]
