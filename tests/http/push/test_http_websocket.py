"""An owner's room over a plain WebSocket."""

import asyncio
import time
from collections.abc import AsyncGenerator

import aiohttp
import httpx2
import pytest

from tests.http.api_client import Api, Host, ok
from tests.http.push.sockets import MAX_STREAMS, identity, in_step, open_feed
from tests.http.sse_client import Frame, Stream

pytestmark = pytest.mark.anyio


@in_step
async def test_frames_are_those_of_the_stream_of_all_sessions(host: Host, api: Api) -> None:
    before = await api.new_session()

    async with open_feed(host) as feed:
        init = await feed.next()
        assert init["type"] == "init"
        assert before in [session["session_id"] for session in init["sessions"]]
        session_id = await api.new_session()
        await api.append(session_id, {"event_type": "message", "role": "assistant"}, {"event_type": "session_stop"})
        last = await feed.until(lambda frame: frame["type"] == "session_updated")

    assert last["session"]["status"] == "finished"
    own = [frame for frame in feed.seen if frame.get("session_id") == session_id]
    kinds = ["session_created", "event", "event", "event", "session_updated"]
    assert [frame["type"] for frame in own] == kinds
    assert [frame["sequence"] for frame in own] == [0, 1, 2, 3, 3]
    assert [frame["data"] for frame in own[1:4]] == await api.events(session_id)
    assert len({frame["frame_id"] for frame in own}) == len(own)
    async with api.http.stream("GET", f"/stream?after={init['cursor']}") as response:
        ids = [frame.cursor async for frame in first_frames(Stream(response), len(own))]
    assert ids == [frame["frame_id"] for frame in own]


async def first_frames(stream: Stream, count: int) -> AsyncGenerator[Frame]:
    async for frame in stream:
        yield frame
        if len(stream.seen) == count:
            return


async def test_nobody_sees_the_sessions_of_others(owners_host: Host) -> None:
    me, stranger = identity(), identity()
    async with (
        httpx2.AsyncClient(base_url=owners_host.url, trust_env=False) as http,
        open_feed(owners_host, me) as own,
        open_feed(owners_host, stranger) as other,
    ):
        assert (await own.next())["sessions"] == (await other.next())["sessions"] == []
        ok(await http.post("/sessions", json={"session_id": "mine"}, headers=me), 201)
        ok(await http.post("/sessions", json={"session_id": "theirs"}, headers=stranger), 201)

        assert (await own.next())["session_id"] == "mine"
        assert (await other.next())["session_id"] == "theirs"


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}])
async def test_pages_of_other_sites_are_refused_where_nobody_signs_in(host: Host, headers: dict[str, str]) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with open_feed(host, headers):
            pass

    assert refused.value.status == 403


async def test_own_pages_and_those_of_cors_origins_are_admitted(host: Host, owners_host: Host) -> None:
    async with open_feed(host, {"Origin": host.url}) as feed:
        await feed.next()
    async with open_feed(owners_host, identity() | {"Origin": "https://pages.example"}) as feed:
        await feed.next()
    with pytest.raises(aiohttp.WSServerHandshakeError):
        async with open_feed(owners_host, identity() | {"Origin": "https://evil.example"}):
            pass


async def test_a_caller_without_an_identity_is_refused(owners_host: Host) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with open_feed(owners_host):
            pass

    assert refused.value.status == 401


async def test_a_socket_ends_with_the_identity_of_its_caller(owners_host: Host) -> None:
    async with open_feed(owners_host, identity(exp=str(time.time()))) as feed:
        await feed.next()
        end = await feed.socket.receive()

    assert (end.type, end.data) == (aiohttp.WSMsgType.CLOSE, 3000)


async def test_sockets_count_as_open_streams_until_they_close(owners_host: Host) -> None:
    me = identity()
    async with asyncio.timeout(60):
        feeds = [open_feed(owners_host, me) for _ in range(MAX_STREAMS)]
        for feed in feeds:
            await (await feed.__aenter__()).next()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with open_feed(owners_host, me):
                pass
        assert refused.value.status == 429
        for feed in feeds:
            await feed.__aexit__(None, None, None)
        while True:
            try:
                async with open_feed(owners_host, me):
                    break
            except aiohttp.WSServerHandshakeError:  # the host has not seen yet that one closed
                await asyncio.sleep(0.01)


async def test_only_ws_takes_websockets_and_only_websockets_are_taken_there(host: Host, api: Api) -> None:
    url = host.url.replace("http", "ws", 1)
    async with aiohttp.ClientSession() as http:
        for path in ("/nowhere", "/sessions", "/"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(url + path)
            assert refused.value.status == 404

    assert (await api.http.get("/ws")).status_code == 404
