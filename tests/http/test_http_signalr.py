"""`POST /negotiate`: who may hear what through SignalR, and what is answered where there is none."""

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

from shared import wiring
from shared.api import projects, sessions
from shared.api import signalr as negotiation
from shared.domain.errors import FanoutUnavailableError
from shared.settings import Settings, settings
from shared.signalr import SignalRHub
from tests.contract.stores import CosmosStore, cosmos_endpoint, cosmos_store
from tests.http.api_client import Api, new_id, ok, refusal
from tests.http.fake_signalr import SignalR, running_signalr
from tests.http.sse_client import JSON
from tests.local.hosted import App, hosted

pytestmark = pytest.mark.anyio

NOBODY: dict[str, str] = {}


def identity(subject: str, **more: str) -> dict[str, str]:
    """The headers of a caller whom the platform has recognised."""
    claims = [{"typ": "iss", "val": "issuer"}, {"typ": "oid", "val": subject}]
    return {"x-ms-client-principal": base64.b64encode(json.dumps({"claims": claims}).encode()).decode(), **more}


ME, SOMEBODY = identity("me"), identity("somebody")


@dataclass
class Negotiating:
    http: httpx2.AsyncClient
    signalr: SignalR

    async def session(self, who: dict[str, str], **fields: str) -> str:
        body = {"session_id": new_id("Ses.-_:"), **fields}
        return ok(await self.http.post("/sessions", json=body, headers=who), 201)["session_id"]

    async def project(self, who: dict[str, str]) -> str:
        return ok(await self.http.post("/projects", json={"name": "Rooms"}, headers=who), 201)["id"]

    async def negotiate(self, who: dict[str, str], query: str = "", **body: str) -> httpx2.Response:
        # As SignalR's client asks: everything in the URL, and no body at all.
        url = f"/negotiate?{query}&negotiateVersion=1"
        return await self.http.post(url, headers=who, content=json.dumps(body) if body else b"")


@pytest.fixture(scope="module")
def endpoint() -> Generator[str]:
    with cosmos_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
async def app(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Negotiating]:
    """The functions that matter here on a host, with Cosmos DB, SignalR, and callers as App Service tells them."""
    async with AsyncExitStack() as resources:
        store = await resources.enter_async_context(cosmos_store(endpoint))
        signalr = await resources.enter_async_context(running_signalr())
        assert isinstance(store, CosmosStore)
        for name in Settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        values = {
            "COSMOS_ENDPOINT": store.endpoint,
            "COSMOS_DATABASE": store.database,
            "SIGNALR_ENDPOINT": signalr.url,
            "AUTH_MODE": "easyauth",
            "WEBSITE_AUTH_ENABLED": "True",
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        wiring.services.cache_clear()
        functions = App()
        for module in (sessions, projects, negotiation):
            functions.register_functions(module.bp)
        host = await resources.enter_async_context(hosted(functions, tmp_path))
        yield Negotiating(host.http, signalr)
        on = wiring.services()
        await on.log.close()
        await on.hub.close()
    settings.cache_clear()
    wiring.services.cache_clear()


def heard(app: Negotiating, response: httpx2.Response) -> set[str]:
    """The groups that the caller hears who connects as it is told to."""
    connection = ok(response)
    assert connection.keys() == {"url", "accessToken", "trace_id"}
    assert connection["url"] == f"{app.signalr.url}/client/?hub=turnlog"
    assert connection["trace_id"] == response.headers["x-trace-id"]
    assert response.headers["cache-control"] == "no-store"
    return app.signalr.heard_with(connection["accessToken"])


async def test_an_owner_hears_the_session_or_the_project_or_both_and_nothing_else(app: Negotiating) -> None:
    session_id, project_id = await app.session(ME), await app.project(ME)

    of_session = await app.negotiate(ME, session_id=session_id)
    of_project = await app.negotiate(ME, project_id=project_id)
    of_both = await app.negotiate(ME, session_id=session_id, project_id=project_id)

    assert heard(app, of_session) == {f"session:{session_id}"}
    assert heard(app, of_project) == {f"project:{project_id}"}
    assert heard(app, of_both) == {f"session:{session_id}", f"project:{project_id}"}
    assert of_session.headers["x-session-id"] == session_id


async def test_a_signalr_client_names_them_in_the_url_and_the_body_goes_before(app: Negotiating) -> None:
    session_id, other = await app.session(ME), await app.session(ME)
    project_id = await app.project(ME)

    by_url = await app.negotiate(ME, f"session_id={session_id}&project_id={project_id}")
    by_both = await app.negotiate(ME, f"session_id={session_id}", session_id=other)

    assert heard(app, by_url) == {f"session:{session_id}", f"project:{project_id}"}
    assert heard(app, by_both) == {f"session:{other}"}


async def test_two_connections_are_two_users_so_that_neither_hears_what_the_other_may(app: Negotiating) -> None:
    one, other = [await app.session(ME) for _ in range(2)]

    first, second = await app.negotiate(ME, session_id=one), await app.negotiate(ME, session_id=other)

    assert heard(app, first) == {f"session:{one}"}
    assert heard(app, second) == {f"session:{other}"}
    assert len(app.signalr.users) == 2


async def test_what_a_caller_sends_has_no_part_in_who_the_connection_is(app: Negotiating) -> None:
    session_id = await app.session(ME)
    forged = {"x-ms-client-principal-id": "somebody", "x-ms-signalr-userid": "somebody", "userid": "somebody"}

    response = await app.negotiate(ME | forged, f"session_id={session_id}&userId=somebody&user=somebody")

    assert heard(app, response) == {f"session:{session_id}"}
    assert "somebody" not in "".join([*app.signalr.users, *app.signalr.requests])
    assert "me" not in app.signalr.users


@pytest.mark.parametrize("who", [SOMEBODY, identity("somebody", **{"x-ms-client-principal-id": "me"})])
async def test_another_owners_are_not_found_and_nobody_is_let_in(app: Negotiating, who: dict[str, str]) -> None:
    session_id, project_id = await app.session(ME), await app.project(ME)
    own = await app.session(who)

    refusal(await app.negotiate(who, session_id=session_id), 404, "session_not_found")
    refusal(await app.negotiate(who, project_id=project_id), 404, "project_not_found")
    refusal(await app.negotiate(who, session_id=own, project_id=project_id), 404, "project_not_found")
    refusal(await app.negotiate(who, session_id=session_id, project_id=project_id), 404, "session_not_found")

    assert app.signalr.requests == []


async def test_what_is_unknown_or_deleted_is_not_found(app: Negotiating) -> None:
    session_id, project_id = await app.session(ME), await app.project(ME)
    await app.http.delete(f"/sessions/{session_id}", headers=ME)
    await app.http.delete(f"/projects/{project_id}", headers=ME)

    for missing in (session_id, "ses_unknown", "../health", "\u00fc", "x" * 5000):
        refusal(await app.negotiate(ME, session_id=missing), 404, "session_not_found")
    for missing in (project_id, "prj_unknown", "a/b", "../..", "a?b#c", "a\\b", "x" * 2000):
        refusal(await app.negotiate(ME, project_id=missing), 404, "project_not_found")
        path = f"/projects/{quote(missing, safe='')}"
        refusal(await app.http.get(path, headers=ME), 404, "project_not_found")

    assert app.signalr.requests == []


async def test_who_is_not_signed_in_is_refused_and_so_are_identities_that_nobody_checked(
    app: Negotiating, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await app.session(ME)

    refusal(await app.negotiate(NOBODY, session_id=session_id), 401, "unauthenticated")
    monkeypatch.delenv("WEBSITE_AUTH_ENABLED")  # the platform strips no headers then
    refusal(await app.negotiate(ME, session_id=session_id), 401, "unauthenticated")

    assert app.signalr.requests == []


@pytest.mark.parametrize("body", [{}, {"session_id": None}, {"session_id": ""}, {"session": "x"}, {"session_id": 1}])
async def test_something_must_be_named(app: Negotiating, body: JSON) -> None:
    refusal(await app.http.post("/negotiate", json=body, headers=ME), 422, "invalid_request")

    assert app.signalr.requests == []


@pytest.mark.parametrize(
    ("status", "said"), [(401, "SignalR Service Owner"), (403, "Owner"), (400, "400"), (429, "429")]
)
async def test_a_service_that_does_not_let_the_app_in_is_a_problem_to_try_again(
    app: Negotiating, status: int, said: str
) -> None:
    session_id = await app.session(ME)
    app.signalr.refuses = status

    response = await app.negotiate(ME, session_id=session_id)

    problem = refusal(response, 503, "fanout_unavailable")
    assert said in problem["detail"]
    assert problem["retryable"] is True
    assert response.headers["retry-after"]
    app.signalr.refuses = None
    assert heard(app, await app.negotiate(ME, session_id=session_id)) == {f"session:{session_id}"}


async def test_a_service_that_asks_for_long_waits_or_is_not_there_is_not_waited_for() -> None:
    async with running_signalr() as signalr:
        signalr.refuses, signalr.retry_after = 429, "3600"
        url = signalr.url
        hub = SignalRHub(url, "turnlog", timedelta(milliseconds=300))
        with pytest.raises(FanoutUnavailableError, match="TimeoutError"):
            await hub.admit(["session:demo"])
        await hub.close()
    hub = SignalRHub(url, "turnlog")
    with pytest.raises(FanoutUnavailableError, match="ServiceRequestError"):
        await hub.admit(["session:demo"])
    await hub.close()


async def test_the_apps_identity_is_not_shown_in_plain_text() -> None:
    hub = SignalRHub("http://signalr.example", "turnlog")

    with pytest.raises(FanoutUnavailableError) as refused:
        await hub.admit(["session:demo"])

    assert "non-TLS" in str(refused.value.__cause__)
    await hub.close()


async def test_a_connections_user_is_random_and_in_its_groups_longer_than_its_token_is_good_for(
    app: Negotiating,
) -> None:
    session_id = await app.session(ME)

    await app.negotiate(ME, session_id=session_id)

    put, post = app.signalr.requests
    ((user, member),) = app.signalr.users.items()
    ((_, minutes),) = app.signalr.tokens.values()
    assert re.fullmatch("[0-9a-f]{32}", user)
    assert member.groups[f"session:{session_id}"] > minutes * 60
    assert re.fullmatch(rf"PUT /api/hubs/turnlog/users/{user}/groups/[^/?]+\?[^?]+", put)  # let in before it may come
    assert post.startswith("POST /api/hubs/turnlog/:generateToken?")


async def test_where_signalr_is_not_set_up_the_problem_names_the_setting(api: Api) -> None:
    session_id = await api.new_session()

    problem = refusal(await api.http.post("/negotiate", json={"session_id": session_id}), 501, "not_supported")

    assert "SIGNALR_ENDPOINT" in problem["detail"]
