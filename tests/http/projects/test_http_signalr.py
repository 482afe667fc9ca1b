"""`POST /negotiate`: who gets a SignalR connection to which groups, and what is answered without SignalR."""

import base64
import json
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from tests.contract.stores import CosmosDatabase, cosmos_database, cosmos_endpoint
from tests.http.api_client import Api, new_id, ok, refusal
from tests.http.projects.fake_signalr import FakeSignalR, fake_signalr
from tests.http.sse_client import JSON
from tests.local.local_host import App, running_host
from turnlog import wiring
from turnlog.api import projects, sessions
from turnlog.api.push import signalr
from turnlog.api.shapes.signalr import session_group
from turnlog.domain.errors import PushUnavailableError
from turnlog.domain.ids import bound_id
from turnlog.settings import Settings, settings
from turnlog.signalr import SignalRClient

pytestmark = pytest.mark.anyio

NO_IDENTITY: dict[str, str] = {}


def identity(subject: str, **more: str) -> dict[str, str]:
    """The headers of a caller whom the platform has identified."""
    claims = [{"typ": "iss", "val": "issuer"}, {"typ": "oid", "val": subject}]
    return {"x-ms-client-principal": base64.b64encode(json.dumps({"claims": claims}).encode()).decode(), **more}


ME, SOMEBODY = identity("me"), identity("somebody")


def group_of(session_id: str, subject: str = "me") -> str:
    """The group of a caller's session."""
    return session_group(bound_id(f"issuer|||{subject}", session_id))


@dataclass
class SignalRApp:
    """The API and the fake SignalR service that it uses."""

    http: httpx2.AsyncClient
    signalr: FakeSignalR

    async def new_session(self, caller: dict[str, str], **fields: str) -> str:
        body = {"session_id": new_id("Ses.-_:"), **fields}
        return ok(await self.http.post("/sessions", json=body, headers=caller), 201)["session_id"]

    async def new_project(self, caller: dict[str, str]) -> str:
        return ok(await self.http.post("/projects", json={"name": "Rooms"}, headers=caller), 201)["id"]

    async def negotiate(self, caller: dict[str, str], query: str = "", **body: str) -> httpx2.Response:
        # Without `body` as SignalR's own client asks: everything is in the URL.
        url = f"/negotiate?{query}&negotiateVersion=1"
        return await self.http.post(url, headers=caller, content=json.dumps(body) if body else b"")

    def groups_of(self, response: httpx2.Response) -> set[str]:
        """The groups of a client that connects with what `/negotiate` answered."""
        connection = ok(response)
        assert connection.keys() == {"url", "accessToken", "trace_id"}
        assert connection["url"] == f"{self.signalr.url}/client/?hub=turnlog"
        assert connection["trace_id"] == response.headers["x-trace-id"]
        assert response.headers["cache-control"] == "no-store"
        return self.signalr.groups_of(connection["accessToken"])


@pytest.fixture(scope="module")
def endpoint() -> Generator[str]:
    with cosmos_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
async def app(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[SignalRApp]:
    """The functions of this test on a host, with Cosmos DB, SignalR, and callers that App Service identifies."""
    async with AsyncExitStack() as resources:
        store = await resources.enter_async_context(cosmos_database(endpoint))
        service = await resources.enter_async_context(fake_signalr())
        assert isinstance(store, CosmosDatabase)
        for name in Settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        values = {
            "COSMOS_ENDPOINT": store.endpoint,
            "COSMOS_DATABASE": store.name,
            "SIGNALR_ENDPOINT": service.url,
            "AUTH_MODE": "easyauth",
            "WEBSITE_AUTH_ENABLED": "True",
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        wiring.services.cache_clear()
        functions = App()
        for module in (sessions, projects, signalr):
            functions.register_functions(module.bp)
        host = await resources.enter_async_context(running_host(functions, tmp_path))
        yield SignalRApp(host.http, service)
        services = wiring.services()
        await services.log.close()
        await services.signalr.close()
    settings.cache_clear()
    wiring.services.cache_clear()


async def test_an_owner_gets_the_session_the_project_or_both_and_nothing_else(app: SignalRApp) -> None:
    session_id, project_id = await app.new_session(ME), await app.new_project(ME)

    of_session = await app.negotiate(ME, session_id=session_id)
    of_project = await app.negotiate(ME, project_id=project_id)
    of_both = await app.negotiate(ME, session_id=session_id, project_id=project_id)

    assert app.groups_of(of_session) == {group_of(session_id)}
    assert app.groups_of(of_project) == {f"project:{project_id}"}
    assert app.groups_of(of_both) == {group_of(session_id), f"project:{project_id}"}
    assert of_session.headers["x-session-id"] == session_id


async def test_the_url_may_name_what_to_watch_and_the_body_overrides_it(app: SignalRApp) -> None:
    session_id, other = await app.new_session(ME), await app.new_session(ME)
    project_id = await app.new_project(ME)

    by_url = await app.negotiate(ME, f"session_id={session_id}&project_id={project_id}")
    by_both = await app.negotiate(ME, f"session_id={session_id}", session_id=other)

    assert app.groups_of(by_url) == {group_of(session_id), f"project:{project_id}"}
    assert app.groups_of(by_both) == {group_of(other)}


async def test_two_connections_are_two_users_with_separate_groups(app: SignalRApp) -> None:
    one, other = [await app.new_session(ME) for _ in range(2)]

    first, second = await app.negotiate(ME, session_id=one), await app.negotiate(ME, session_id=other)

    assert app.groups_of(first) == {group_of(one)}
    assert app.groups_of(second) == {group_of(other)}
    assert len(app.signalr.users) == 2


async def test_nothing_that_a_caller_sends_becomes_part_of_the_user_name(app: SignalRApp) -> None:
    session_id = await app.new_session(ME)
    forged = {"x-ms-client-principal-id": "somebody", "x-ms-signalr-userid": "somebody", "userid": "somebody"}

    response = await app.negotiate(ME | forged, f"session_id={session_id}&userId=somebody&user=somebody")

    assert app.groups_of(response) == {group_of(session_id)}
    assert "somebody" not in "".join([*app.signalr.users, *app.signalr.requests])
    assert "me" not in app.signalr.users


@pytest.mark.parametrize("caller", [SOMEBODY, identity("somebody", **{"x-ms-client-principal-id": "me"})])
async def test_what_belongs_to_another_owner_is_not_found(app: SignalRApp, caller: dict[str, str]) -> None:
    session_id, project_id = await app.new_session(ME), await app.new_project(ME)
    own = await app.new_session(caller)

    refusal(await app.negotiate(caller, session_id=session_id), 404, "session_not_found")
    refusal(await app.negotiate(caller, project_id=project_id), 404, "project_not_found")
    refusal(await app.negotiate(caller, session_id=own, project_id=project_id), 404, "project_not_found")
    refusal(await app.negotiate(caller, session_id=session_id, project_id=project_id), 404, "session_not_found")

    assert app.signalr.requests == []


async def test_two_owners_of_one_id_get_two_groups(app: SignalRApp) -> None:
    session_id = await app.new_session(ME)
    ok(await app.http.post("/sessions", json={"session_id": session_id}, headers=SOMEBODY), 201)

    mine, theirs = [await app.negotiate(caller, session_id=session_id) for caller in (ME, SOMEBODY)]

    assert app.groups_of(mine) == {group_of(session_id)}
    assert app.groups_of(theirs) == {group_of(session_id, "somebody")}


async def test_what_is_unknown_or_deleted_is_not_found(app: SignalRApp) -> None:
    session_id, project_id = await app.new_session(ME), await app.new_project(ME)
    await app.http.delete(f"/sessions/{session_id}", headers=ME)
    await app.http.delete(f"/projects/{project_id}", headers=ME)

    for missing in (session_id, "ses_unknown", "../health", "\u00fc", "x" * 5000):
        refusal(await app.negotiate(ME, session_id=missing), 404, "session_not_found")
    for missing in (project_id, "prj_unknown", "a/b", "../..", "a?b#c", "a\\b", "x" * 2000):
        refusal(await app.negotiate(ME, project_id=missing), 404, "project_not_found")
        path = f"/projects/{quote(missing, safe='')}"
        refusal(await app.http.get(path, headers=ME), 404, "project_not_found")

    assert app.signalr.requests == []


async def test_callers_without_an_identity_that_the_platform_checked_are_refused(
    app: SignalRApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await app.new_session(ME)

    refusal(await app.negotiate(NO_IDENTITY, session_id=session_id), 401, "unauthenticated")
    monkeypatch.delenv("WEBSITE_AUTH_ENABLED")  # now the platform does not remove forged headers
    refusal(await app.negotiate(ME, session_id=session_id), 401, "unauthenticated")

    assert app.signalr.requests == []


@pytest.mark.parametrize("body", [{}, {"session_id": None}, {"session_id": ""}, {"session": "x"}, {"session_id": 1}])
async def test_a_request_that_names_nothing_is_refused(app: SignalRApp, body: JSON) -> None:
    refusal(await app.http.post("/negotiate", json=body, headers=ME), 422, "invalid_request")

    assert app.signalr.requests == []


@pytest.mark.parametrize(
    ("status", "text"), [(401, "SignalR Service Owner"), (403, "Owner"), (400, "400"), (429, "429")]
)
async def test_an_error_of_the_service_is_a_retryable_problem(app: SignalRApp, status: int, text: str) -> None:
    session_id = await app.new_session(ME)
    app.signalr.refuses = status

    response = await app.negotiate(ME, session_id=session_id)

    problem = refusal(response, 503, "fanout_unavailable")
    assert text in problem["detail"]
    assert problem["retryable"] is True
    assert response.headers["retry-after"]
    app.signalr.refuses = None
    assert app.groups_of(await app.negotiate(ME, session_id=session_id)) == {group_of(session_id)}


async def test_a_service_that_is_slow_or_absent_fails_within_the_timeout() -> None:
    async with fake_signalr() as service:
        service.refuses, service.retry_after = 429, "3600"
        url = service.url
        client = SignalRClient(url, "turnlog", timedelta(milliseconds=300))
        with pytest.raises(PushUnavailableError, match="TimeoutError"):
            await client.admit(["session:demo"])
        await client.close()
    client = SignalRClient(url, "turnlog")
    with pytest.raises(PushUnavailableError, match="ServiceRequestError"):
        await client.admit(["session:demo"])
    await client.close()


async def test_the_apps_token_is_never_sent_unencrypted() -> None:
    client = SignalRClient("http://signalr.example", "turnlog")

    with pytest.raises(PushUnavailableError) as refused:
        await client.admit(["session:demo"])

    assert "non-TLS" in str(refused.value.__cause__)
    await client.close()


async def test_the_user_of_a_connection_is_random_and_its_membership_outlasts_its_token(
    app: SignalRApp,
) -> None:
    session_id = await app.new_session(ME)

    await app.negotiate(ME, session_id=session_id)

    put, post = app.signalr.requests
    ((user, member),) = app.signalr.users.items()
    ((_, minutes),) = app.signalr.tokens.values()
    assert re.fullmatch("[0-9a-f]{32}", user)
    assert member.groups[group_of(session_id)] > minutes * 60
    assert re.fullmatch(rf"PUT /api/hubs/turnlog/users/{user}/groups/[^/?]+\?[^?]+", put)  # before there is a token
    assert post.startswith("POST /api/hubs/turnlog/:generateToken?")


async def test_without_signalr_the_problem_names_the_setting(api: Api) -> None:
    session_id = await api.new_session()

    problem = refusal(await api.http.post("/negotiate", json={"session_id": session_id}), 501, "not_supported")

    assert "SIGNALR_ENDPOINT" in problem["detail"]
