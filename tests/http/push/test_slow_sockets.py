"""Sockets that do not read: each holds little, and delays no other."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.http.api_client import Host, api_client, new_id, ok
from tests.http.push.sockets import open_feed, open_socket
from tests.http.sse_client import JSON
from tests.local.local_host import App, running_host
from turnlog import wiring
from turnlog.api import events, rooms, sessions
from turnlog.local.push import socketio as server
from turnlog.settings import Settings, settings

pytestmark = pytest.mark.anyio

EVENTS = 40


class RecordedRooms(server.SocketIoRooms):
    """The server of Socket.IO, whose queues a test looks into."""

    queues: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        RecordedRooms.queues = self._server.eio.sockets


@pytest.fixture
async def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Host]:
    """A host in the test's process. Its parameter is the time limit of a request's headers, in seconds."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setattr(server, "SocketIoRooms", RecordedRooms)
    settings.cache_clear()
    wiring.services.cache_clear()
    functions = App()
    for module in (sessions, events, rooms):
        functions.register_functions(module.bp)
    async with running_host(functions, tmp_path, input_seconds=getattr(request, "param", 30.0)) as running:
        yield Host(str(running.http.base_url).rstrip("/"), "http://127.0.0.1", None)  # pyright: ignore[reportArgumentType]
        await wiring.services().log.close()
    settings.cache_clear()
    wiring.services.cache_clear()


async def append_large(host: Host, session_id: str) -> list[str]:
    """Append events of 60 KB; return their types."""
    types = [f"large-{number}" for number in range(EVENTS)]
    async with api_client(host) as api:
        for event_type in types:
            await api.append(session_id, {"event_type": event_type, "text": "x" * 60_000})
    return types


class Poller:
    """A client of Engine.IO that polls only when a test calls `poll`."""

    def __init__(self, http: aiohttp.ClientSession, host: Host) -> None:
        self._http = http
        self._url = f"{host.url}/socket.io/?EIO=4&transport=polling"

    async def open(self) -> None:
        opened = await self.poll()
        self.sid = opened[0].partition('"sid":"')[2].partition('"')[0]
        self._url += f"&sid={self.sid}"
        await self.send("40")
        await self.poll()

    async def send(self, packet: str) -> None:
        async with self._http.post(self._url, data=packet) as response:
            assert response.status == 200

    async def poll(self) -> list[str]:
        async with self._http.get(self._url) as response:
            assert response.status == 200
            return (await response.text()).split("\x1e")


async def test_a_client_that_stops_polling_holds_a_few_frames_and_gets_the_others_later(host: Host) -> None:
    async with aiohttp.ClientSession() as http, api_client(host) as api, open_socket(host) as fast:
        session_id = await api.new_session()
        slow = Poller(http, host)
        await slow.open()
        await fast.join(session_id=session_id)
        await slow.send(f'420["join",{{"session_id":"{session_id}"}}]')
        assert "430" in "".join(await slow.poll())

        types = await append_large(host, session_id)
        await fast.until(types[-1])
        waiting = RecordedRooms.queues[slow.sid].queue.qsize()
        packets: list[str] = []
        while sum(packet.startswith("42") for packet in packets) < EVENTS:
            packets += await slow.poll()

    assert waiting <= 6
    assert [name for name, _ in fast.seen] == types
    assert [packet.split('"')[1] for packet in packets if packet.startswith("42")] == types


async def test_a_websocket_that_does_not_read_delays_no_other(host: Host) -> None:
    async with open_feed(host) as slow, open_feed(host) as fast, open_socket(host) as other:
        async with api_client(host) as api:
            session_id = await api.new_session()
        await other.join(session_id=session_id)

        types = await append_large(host, session_id)

        await other.until(types[-1])
        await fast.until(lambda frame: frame["type"] == "event" and frame["data"]["type"] == types[-1])
        await slow.until(lambda frame: frame["type"] == "event" and frame["data"]["type"] == types[-1])
    assert received(slow.seen) == received(fast.seen) == ["session.created", *types]


def received(frames: list[JSON]) -> list[str]:
    return [frame["data"]["type"] for frame in frames if frame["type"] == "event"]


@pytest.mark.parametrize("host", [0.2], indirect=True)
async def test_a_socket_outlives_the_time_limit_of_a_requests_headers(host: Host) -> None:
    async with open_feed(host) as feed, open_socket(host) as socket, api_client(host) as api:
        await feed.next()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(host.url.rpartition(":")[2]))
        with suppress(ConnectionResetError):
            assert await reader.read() == b""  # a connection without a request, opened later, is already closed
        writer.close()

        name = new_id()
        ok(await api.http.post("/sessions", json={"session_id": name}), 201)

        assert (await feed.next())["session_id"] == name
        await socket.join(session_id=name)
