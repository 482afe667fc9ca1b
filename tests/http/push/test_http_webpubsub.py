"""Rooms through Azure Web PubSub: negotiation, the events of sockets, and the frames of the change feed."""

import json
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import azure.functions as func
import httpx2
import pytest

from tests.contract.stores import CosmosDatabase, cosmos_database, cosmos_endpoint
from tests.http.api_client import Api, new_id, ok, refusal, wait_until
from tests.http.push.fake_webpubsub import EVENTS, KEYS, Client, FakeWebPubSub, fake_webpubsub
from tests.http.push.sockets import identity
from tests.http.sse_client import JSON
from tests.local.local_host import App, running_host
from turnlog import wiring
from turnlog.api import events, projects, sessions
from turnlog.api.push import socketio, websocket
from turnlog.changes.push import send_to_socketio, send_to_websockets
from turnlog.domain.errors import PushUnavailableError
from turnlog.settings import Settings, settings
from turnlog.stores.cosmos.containers import LEASES, SESSIONS
from turnlog.webpubsub import SocketIoService

pytestmark = pytest.mark.anyio

MESSAGE = "azure.webpubsub.user.message"


@dataclass
class PushApp:
    """The API and the fake Web PubSub that it uses."""

    http: httpx2.AsyncClient
    service: FakeWebPubSub

    async def new_session(self, caller: dict[str, str], **fields: str) -> str:
        return ok(await self.http.post("/sessions", json={"session_id": new_id(), **fields}, headers=caller), 201)[
            "session_id"
        ]

    async def append(self, caller: dict[str, str], session_id: str, event_type: str, text: str = "") -> None:
        event = {"event_type": event_type, "text": text}
        ok(await self.http.post(f"/sessions/{session_id}/events", json=event, headers=caller), 201)

    async def connect(self, caller: dict[str, str]) -> Client:
        """Negotiate, and open a socket."""
        granted = ok(await self.http.post("/socketio/negotiate", headers=caller))
        assert (granted["url"], granted["path"]) == (self.service.url, "/clients/socketio/hubs/turnlog")
        socket = await self.service.open_socket(self.http, granted["token"])
        assert isinstance(socket, Client)
        return socket

    async def emit(self, socket: Client, name: str, **wanted: str) -> JSON:
        return await self.service.emit(self.http, socket, name, wanted)


@pytest.fixture(scope="module")
def endpoint() -> Generator[str]:
    with cosmos_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
async def app(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[PushApp]:
    """The functions of this test on a host, with Cosmos DB and its change feed, and Web PubSub."""
    async with AsyncExitStack() as resources:
        store = await resources.enter_async_context(cosmos_database(endpoint))
        service = await resources.enter_async_context(fake_webpubsub())
        assert isinstance(store, CosmosDatabase)
        for name in Settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        values = {
            "COSMOS_ENDPOINT": store.endpoint,
            "COSMOS__accountEndpoint": store.endpoint,
            "COSMOS_DATABASE": store.name,
            "SOCKETIO_ENDPOINT": service.url,
            "SOCKETIO_ACCESS_KEYS": ",".join(KEYS),
            "WEBSOCKET_ENDPOINT": service.url,
            "AUTH_MODE": "easyauth",
            "WEBSITE_AUTH_ENABLED": "True",
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        wiring.services.cache_clear()
        functions = App()
        for module in (sessions, events, projects, socketio, websocket):
            functions.register_functions(module.bp)
        for function in (send_to_socketio, send_to_websockets):
            functions.register_functions(change_feed(store.name, function))
        host = await resources.enter_async_context(running_host(functions, tmp_path))
        yield PushApp(host.http, service)
        services = wiring.services()
        await services.log.close()
        await services.socketio.close()
        await services.websockets.close()
    settings.cache_clear()
    wiring.services.cache_clear()


def change_feed(database: str, function: Any) -> func.Blueprint:
    """The trigger of a function, from the beginning of the feed: the local host has no other."""
    bp = func.Blueprint()
    retry = bp.retry(
        strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:01", maximum_interval="00:00:30"
    )
    trigger: dict[str, Any] = {
        "arg_name": "documents",
        "connection": "COSMOS",
        "database_name": database,
        "container_name": SESSIONS,
        "lease_container_name": LEASES,
        "lease_container_prefix": function.__name__,
        "feed_poll_delay": 50,
        "max_items_per_invocation": 100,
        "start_from_beginning": True,
    }
    retry(bp.cosmos_db_trigger(**trigger)(function))
    return bp


async def until(client: Client, is_wanted: Callable[[str], bool]) -> None:
    async def received() -> list[str]:
        return client.received

    await wait_until(received, lambda texts: any(map(is_wanted, texts)))


async def test_sockets_get_the_events_of_the_rooms_that_they_joined(app: PushApp) -> None:
    me = identity()
    project_id = ok(await app.http.post("/projects", json={"name": "Rooms"}, headers=me), 201)["id"]
    session_id = await app.new_session(me, project_id=project_id)
    of_session, of_project = await app.connect(me), await app.connect(me)

    assert await app.emit(of_session, "join", session_id=session_id) == {"room": f"session_{session_id}"}
    assert await app.emit(of_project, "subscribe", project_id=project_id) == {"room": f"project_{project_id}"}
    await app.append(me, session_id, "note", "Grüße")
    await app.append(me, session_id, "session_stop")
    for client in (of_session, of_project):
        await until(client, lambda text: "session_updated" in text and "finished" in text)

    note = next(data for name, data in of_session.events if name == "note")
    assert (note["session_id"], note["sequence"], note["text"]) == (session_id, 2, "Grüße")
    assert note["frame_id"]
    assert [name for name, _ in of_project.events if name != "session_created"] == ["session_updated"]


async def test_rooms_of_strangers_are_refused(app: PushApp) -> None:
    me, stranger = identity(), identity()
    session_id = await app.new_session(me)
    project_id = ok(await app.http.post("/projects", json={"name": "Mine"}, headers=me), 201)["id"]
    socket, before = await app.connect(stranger), set[str]()
    before |= socket.groups

    for wanted in ({"session_id": session_id}, {"project_id": project_id}):
        answer = await app.emit(socket, "join", **wanted)
        assert answer["error"]["code"] == f"{next(iter(wanted)).removesuffix('_id')}_not_found"

    assert socket.groups == before
    # A session of the same name is in another room.
    ok(await app.http.post("/sessions", json={"session_id": session_id}, headers=stranger), 201)
    own = await app.connect(me)
    await app.emit(socket, "join", session_id=session_id)
    await app.emit(own, "join", session_id=session_id)
    assert len(socket.groups & own.groups) == 0


async def test_a_socket_leaves_a_room_and_loses_a_deleted_session(app: PushApp) -> None:
    me = identity()
    left, deleted = await app.new_session(me), await app.new_session(me)
    socket = await app.connect(me)
    alone = set(socket.groups)
    for session_id in (left, deleted):
        await app.emit(socket, "join", session_id=session_id)

    assert await app.emit(socket, "leave", session_id=left) == {"room": f"session_{left}"}
    assert len(socket.groups) == 2
    assert (await app.http.delete(f"/sessions/{deleted}", headers=me)).status_code == 204

    async def groups() -> set[str]:
        return socket.groups

    await wait_until(groups, lambda found: found == alone)
    assert "session_deleted" in [name for name, _ in socket.events]


async def test_the_service_is_asked_for_a_user_that_an_event_does_not_name(app: PushApp) -> None:
    me = identity()
    session_id = await app.new_session(me)
    app.service.sends_user = False
    socket = await app.connect(me)

    assert await app.emit(socket, "join", session_id=session_id) == {"room": f"session_{session_id}"}


async def test_events_that_the_service_has_not_signed_are_refused(app: PushApp) -> None:
    me = identity()
    session_id = await app.new_session(me)
    socket = await app.connect(me)
    alone = set(socket.groups)
    body = f'421["join",{{"session_id":"{session_id}"}}]'
    valid = app.service.headers(socket, MESSAGE, "join")
    forged = [
        {name: value for name, value in valid.items() if name != "ce-signature"},
        {**valid, "ce-signature": "sha256="},
        {**valid, "ce-signature": "", "ce-connectionId": ""},
        {**valid, "ce-connectionId": "another"},
        app.service.headers(socket, MESSAGE, "join", key="stolen"),
    ]

    for headers in forged:
        refusal(await app.http.post(EVENTS, content=body, headers=headers), 401, "unauthenticated")
    refusal(await app.http.post(EVENTS, content=body, headers={**valid, "ce-hub": "other"}), 403, "forbidden")

    assert socket.groups == alone
    second = app.service.headers(socket, MESSAGE, "join", key=KEYS[1])
    assert (await app.http.post(EVENTS, content=body, headers=second)).status_code == 200
    assert socket.groups > alone


async def test_only_sockets_of_the_default_namespace_with_a_user_are_admitted(app: PushApp) -> None:
    token = ok(await app.http.post("/socketio/negotiate", headers=identity()))["token"]

    refused = await app.service.open_socket(app.http, token, "/admin")
    app.service.tokens["anonymous"] = {"clientType": "SocketIO", "userId": ""}
    anonymous = await app.service.open_socket(app.http, "anonymous")

    assert isinstance(refused, httpx2.Response)
    refusal(refused, 403, "forbidden")
    assert isinstance(anonymous, httpx2.Response)
    refusal(anonymous, 401, "unauthenticated")


@pytest.mark.parametrize("body", ["", "42", "421[", '421["other",{}]', '42/ns,1["join",{}]', "421[[[[", "2probe"])
async def test_messages_of_another_form_are_refused(app: PushApp, body: str) -> None:
    socket = await app.connect(identity())

    answer = await app.http.post(EVENTS, content=body, headers=app.service.headers(socket, MESSAGE, "join"))

    refusal(answer, 422, "invalid_request")


async def test_only_the_configured_service_may_send_events(app: PushApp) -> None:
    asked = await app.http.options(EVENTS, headers={"webhook-request-origin": "evil.webpubsub.azure.com"})

    refusal(asked, 403, "forbidden")
    assert "webhook-allowed-origin" not in asked.headers


async def test_other_events_are_accepted_and_do_nothing(app: PushApp) -> None:
    socket = await app.connect(identity())
    before = len(app.service.requests)

    for kind, name in (("azure.webpubsub.sys.connected", "connected"), (MESSAGE, "hello")):
        answer = await app.http.post(EVENTS, content="{}", headers=app.service.headers(socket, kind, name))
        assert answer.status_code == 204

    assert len(app.service.requests) == before


async def test_a_websocket_gets_what_happens_in_its_owners_sessions(app: PushApp) -> None:
    me = identity()
    client = app.service.open_websocket(ok(await app.http.post("/websocket/negotiate", headers=me))["url"])
    other = app.service.open_websocket(ok(await app.http.post("/websocket/negotiate", headers=identity()))["url"])

    session_id = await app.new_session(me)
    await app.append(me, session_id, "session_stop")
    await until(client, lambda text: "session_updated" in text and "finished" in text)

    frames = [json.loads(text) for text in client.received]
    assert {"session_created", "event", "session_updated"} == {frame["type"] for frame in frames}
    assert {frame["session_id"] for frame in frames} == {session_id}
    assert [frame["data"]["type"] for frame in frames if frame["type"] == "event"] == [
        "session.created",
        "session_stop",
    ]
    assert other.received == []


async def test_callers_without_an_identity_are_refused(app: PushApp) -> None:
    for path in ("/socketio/negotiate", "/websocket/negotiate"):
        refusal(await app.http.post(path), 401, "unauthenticated")

    assert app.service.requests == []


@pytest.mark.parametrize(("status", "text"), [(401, "Web PubSub Service Owner"), (403, "Owner"), (400, "400")])
async def test_an_error_of_the_service_is_a_retryable_problem(app: PushApp, status: int, text: str) -> None:
    app.service.refuses = status

    for path in ("/socketio/negotiate", "/websocket/negotiate"):
        problem = refusal(await app.http.post(path, headers=identity()), 503, "fanout_unavailable")
        assert text in problem["detail"]
    app.service.refuses = None
    await app.connect(identity())


async def test_the_apps_token_is_never_sent_unencrypted() -> None:
    service = SocketIoService("http://webpubsub.example", "turnlog")

    with pytest.raises(PushUnavailableError) as refused:
        await service.admit("somebody")

    assert "non-TLS" in str(refused.value.__cause__)
    await service.close()


async def test_without_the_services_the_problems_name_the_settings(api: Api) -> None:
    for path, setting in (("/socketio/negotiate", "SOCKETIO_ENDPOINT"), ("/websocket/negotiate", "WEBSOCKET_ENDPOINT")):
        assert setting in refusal(await api.http.post(path), 501, "not_supported")["detail"]
    refusal(await api.http.post(EVENTS, content=b"{}"), 501, "not_supported")
    refusal(await api.http.options(EVENTS), 403, "forbidden")
