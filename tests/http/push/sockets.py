"""Clients of pushed rooms: Socket.IO's own, and a plain WebSocket."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import socketio

from tests.http.api_client import TIMEOUT_SECONDS, Host, new_id
from tests.http.sse_client import JSON, require_public

MAX_STREAMS = 4

# On Cosmos DB the feed writes a room some time after the sessions: what was before a join may come after it.
in_step = pytest.mark.skipif(
    os.environ.get("TURNLOG_TEST_STORE") == "cosmos", reason="the rooms of Cosmos DB follow the sessions later"
)


def identity(subject: str | None = None, **claims: str) -> dict[str, str]:
    """The headers of a caller whom the platform has identified; of a new one if it has no name."""
    named = {"iss": "issuer", "oid": subject or new_id("somebody"), **claims}
    principal = {"claims": [{"typ": name, "val": value} for name, value in named.items()]}
    return {"x-ms-client-principal": base64.b64encode(json.dumps(principal).encode()).decode()}


@dataclass
class Socket:
    """A connected client of Socket.IO, and what it has received: pairs of an event's name and its argument."""

    client: Any
    seen: list[tuple[str, JSON]] = field(default_factory=list[tuple[str, JSON]])
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, event: str, **wanted: Any) -> JSON:
        """Send an event; return its acknowledgement."""
        return await self.client.call(event, wanted, timeout=TIMEOUT_SECONDS)

    async def join(self, **wanted: Any) -> str:
        answer = await self.call("join", **wanted)
        assert answer.keys() == {"room"}, answer
        return answer["room"]

    async def until(self, name: str, is_wanted: Callable[[JSON], Any] = bool) -> JSON:
        """Wait for an event; return its argument."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                self.changed.clear()
                for seen, data in self.seen:
                    if seen == name and is_wanted(data):
                        return data
                await self.changed.wait()

    def named(self, name: str) -> list[JSON]:
        return [data for seen, data in self.seen if seen == name]

    def close(self, *_reason: str) -> None:
        self.closed.set()

    def add(self, name: str, data: JSON) -> None:
        require_public(json.dumps(data))
        self.seen.append((name, data))
        self.changed.set()


@asynccontextmanager
async def open_socket(
    host: Host, headers: dict[str, str] | None = None, transports: list[str] | None = None
) -> AsyncGenerator[Socket]:
    """Connect a client of Socket.IO. It raises `socketio.exceptions.ConnectionError` if it is refused."""
    async with aiohttp.ClientSession() as http:  # a client that is refused would leave its own one open
        client = socketio.AsyncClient(reconnection=False, http_session=http)
        socket = Socket(client)
        client.on("*", socket.add)
        client.on("disconnect", socket.close)
        await client.connect(
            host.url, headers or {}, transports=transports or ["websocket"], wait_timeout=int(TIMEOUT_SECONDS)
        )
        try:
            yield socket
        finally:
            await client.disconnect()


@dataclass
class Feed:
    """An open WebSocket of `/ws`, and the frames that were read."""

    socket: aiohttp.ClientWebSocketResponse
    seen: list[JSON] = field(default_factory=list[JSON])

    async def next(self) -> JSON:
        text = await self.socket.receive_str(timeout=TIMEOUT_SECONDS)
        require_public(text)
        self.seen.append(json.loads(text))
        return self.seen[-1]

    async def until(self, is_wanted: Callable[[JSON], Any]) -> JSON:
        while not is_wanted(frame := await self.next()):
            pass
        return frame


@asynccontextmanager
async def open_feed(host: Host, headers: dict[str, str] | None = None) -> AsyncGenerator[Feed]:
    """Open `/ws`. It raises `aiohttp.WSServerHandshakeError` if it is refused."""
    url = host.url.replace("http", "ws", 1) + "/ws"
    async with aiohttp.ClientSession() as http, http.ws_connect(url, headers=headers, max_msg_size=0) as socket:
        yield Feed(socket)
