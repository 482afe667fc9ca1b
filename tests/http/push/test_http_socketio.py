"""Rooms over Socket.IO, with its own Python client."""

import time
from typing import Any

import httpx2
import pytest
from socketio.exceptions import ConnectionError as Refused

from tests.http.api_client import Api, Host, new_id, ok
from tests.http.push.sockets import MAX_STREAMS, Socket, identity, in_step, open_socket
from tests.http.sse_client import JSON

pytestmark = pytest.mark.anyio


async def new_project(api: Api) -> tuple[str, str]:
    """Create a project; return its id, and that of its session."""
    project_id = ok(await api.http.post("/projects", json={"name": "Sockets"}), 201)["id"]
    return project_id, ok(await api.http.post(f"/projects/{project_id}/sessions", json={}), 201)["session_id"]


@pytest.fixture
async def http(owners_host: Host) -> Any:
    async with httpx2.AsyncClient(base_url=owners_host.url, timeout=60, trust_env=False) as http:
        yield http


def _since_join(socket: Socket) -> list[tuple[str, JSON]]:
    """What came, except the creation of the session: it was before, and the rooms of Cosmos DB may come later."""
    return [(name, data) for name, data in socket.seen if name not in {"session_created", "session.created"}]


@in_step
@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]])
async def test_the_room_of_a_project_gets_usage_and_patches(host: Host, api: Api, transports: list[str]) -> None:
    project_id, session_id = await new_project(api)

    async with open_socket(host, transports=transports) as socket:
        assert await socket.join(project_id=project_id) == f"project_{project_id}"
        message = await api.run_turn(session_id, "Create a triage agent")
        await socket.until("session_updated", lambda data: data["session"]["status"] == "finished")

    usages, responses = socket.named("token_usage"), socket.named("vibecode_response")
    assert [usage["iteration"] for usage in usages] == list(range(1, len(usages) + 1))
    assert usages
    for usage in usages:
        assert usage["agent"] == "vibecoder"
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    assert [response["patch"] for response in responses] == [message["patch"]]
    assert responses[0]["token_usage"]["total_tokens"] == sum(usage["total_tokens"] for usage in usages)
    assert {data["session_id"] for _, data in socket.seen} == {session_id}
    assert len({data["frame_id"] for _, data in socket.seen}) == len(socket.seen)


async def test_a_new_session_of_the_project_is_announced(host: Host, api: Api) -> None:
    project_id, _ = await new_project(api)

    async with open_socket(host) as socket:
        await socket.join(project_id=project_id)
        session_id = await api.new_session(project_id=project_id)
        data = await socket.until("session_created", lambda data: data["session_id"] == session_id)

    assert data["session"]["session_id"] == session_id


@in_step
async def test_the_room_of_a_session_gets_all_its_events_except_deltas_and_no_others(host: Host, api: Api) -> None:
    session_id, other = await api.new_session(), await api.new_session()

    async with open_socket(host) as socket:
        assert await socket.join(session_id=session_id) == f"session_{session_id}"
        await api.run_turn(other)
        await api.run_turn(session_id)
        await socket.until("session_updated", lambda data: data["session"]["status"] == "finished")

    events = [event for event in await api.events(session_id) if not event["type"].endswith(".delta")]
    received = [(name, data["sequence"]) for name, data in _since_join(socket) if name != "session_updated"]
    assert received == [(event["type"], event["sequence"]) for event in events[1:]]
    assert {data["session_id"] for _, data in socket.seen} == {session_id}


async def test_a_client_that_was_gone_reads_on_from_the_sequence_of_its_last_frame(host: Host, api: Api) -> None:
    session_id = await api.new_session()
    async with open_socket(host) as socket:
        await socket.join(session_id=session_id)
        await api.append(session_id, {"event_type": "one"})
        last = await socket.until("one")

    await api.append(session_id, {"event_type": "two"}, {"event_type": "three"})

    async with api.stream(session_id, f"after={last['sequence']}&follow=true") as stream:
        await stream.until("three")
    assert [frame.event for frame in stream.seen] == ["two", "three"]


async def test_rooms_are_left_and_joined_under_both_names(host: Host, api: Api) -> None:
    left, stayed = await api.new_session(), await api.new_session()

    async with open_socket(host) as socket:
        assert await socket.call("subscribe", session_id=left) == {"room": f"session_{left}"}
        assert await socket.call("subscribe", session_id=left) == {"room": f"session_{left}"}
        await socket.join(session_id=stayed)
        assert await socket.call("leave", session_id=left) == {"room": f"session_{left}"}
        await api.append(left, {"event_type": "unseen"})
        await api.append(stayed, {"event_type": "seen"})
        await socket.until("seen")
        await socket.call("unsubscribe", session_id=stayed)
        await api.append(stayed, {"event_type": "unseen"})
        await socket.join(session_id=left)
        await api.append(left, {"event_type": "seen_again"})
        await socket.until("seen_again")

    assert [name for name, _ in _since_join(socket)] == ["seen", "seen_again"]


async def test_a_socket_loses_a_session_that_is_deleted(host: Host, api: Api) -> None:
    session_id = await api.new_session()

    async with open_socket(host) as socket:
        await socket.join(session_id=session_id)
        assert (await api.http.delete(f"/sessions/{session_id}")).status_code == 204
        assert (await socket.until("session_deleted"))["session_id"] == session_id

        answer = await socket.call("join", session_id=session_id)

    assert answer["error"]["code"] == "session_not_found"


@pytest.mark.parametrize(
    "wanted", [{}, {"session_id": 5}, {"room": "x"}, {"session_id": "a", "project_id": "b"}, {"session_id": ""}]
)
async def test_a_join_that_names_no_room_is_refused(host: Host, wanted: JSON) -> None:
    async with open_socket(host) as socket:
        joined, left = await socket.call("join", **wanted), await socket.call("leave", **wanted)

    assert joined["error"]["code"] == left["error"]["code"] == "invalid_request"


async def test_rooms_of_strangers_are_refused_as_on_http(owners_host: Host, http: httpx2.AsyncClient) -> None:
    me, stranger = identity(), identity()
    session_id = ok(await http.post("/sessions", json={}, headers=me), 201)["session_id"]
    project_id = ok(await http.post("/projects", json={"name": "Mine"}, headers=me), 201)["id"]

    async with open_socket(owners_host, stranger) as socket, open_socket(owners_host, me) as own:
        for wanted in ({"session_id": session_id}, {"project_id": project_id}):
            kind = next(iter(wanted)).removesuffix("_id")
            assert (await socket.call("join", **wanted))["error"]["code"] == f"{kind}_not_found"
        await own.join(session_id=session_id)
        await http.post(f"/sessions/{session_id}/events", json={"event_type": "private"}, headers=me)
        await own.until("private")
        # The stranger's own session of the same name is another one.
        ok(await http.post("/sessions", json={"session_id": session_id}, headers=stranger), 201)
        await socket.join(session_id=session_id)
        await http.post(f"/sessions/{session_id}/events", json={"event_type": "theirs"}, headers=stranger)
        await socket.until("theirs")

    assert [name for name, _ in _since_join(socket)] == ["theirs"]
    assert [name for name, _ in _since_join(own)] == ["private"]


async def test_a_caller_without_an_identity_is_refused(owners_host: Host) -> None:
    with pytest.raises(Refused):
        async with open_socket(owners_host):
            pass


async def test_a_socket_ends_with_the_identity_of_its_caller(owners_host: Host) -> None:
    async with open_socket(owners_host, identity(exp=str(time.time()))) as socket:
        await socket.closed.wait()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}])
async def test_pages_of_other_sites_are_refused_where_nobody_signs_in(
    host: Host, transport: str, headers: dict[str, str]
) -> None:
    with pytest.raises(Refused):
        async with open_socket(host, headers, [transport]):
            pass


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_own_pages_and_those_of_cors_origins_are_admitted(host: Host, owners_host: Host, transport: str) -> None:
    async with open_socket(host, {"Origin": host.url}, [transport]):
        pass
    async with open_socket(owners_host, identity() | {"Origin": "https://pages.example"}, [transport]):
        pass
    with pytest.raises(Refused):
        async with open_socket(owners_host, identity() | {"Origin": "https://evil.example"}, [transport]):
            pass


async def test_connections_and_rooms_count_as_the_owners_open_streams(
    owners_host: Host, http: httpx2.AsyncClient
) -> None:
    me = identity()
    names = [new_id() for _ in range(MAX_STREAMS)]
    for name in names:
        ok(await http.post("/sessions", json={"session_id": name}, headers=me), 201)

    async with open_socket(owners_host, me) as socket:
        for name in names[1:]:
            await socket.join(session_id=name)
        assert (await socket.call("join", session_id=names[0]))["error"]["code"] == "rate_limited"
        with pytest.raises(Refused):
            async with open_socket(owners_host, me):
                pass
        async with open_socket(owners_host, identity()):
            pass
        await socket.call("leave", session_id=names[1])
        await socket.join(session_id=names[0])
        assert (await http.delete(f"/sessions/{names[0]}", headers=me)).status_code == 204
        await socket.until("session_deleted")
        await socket.join(session_id=names[1])
