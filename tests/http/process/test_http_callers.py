"""Every route for every caller: nobody, somebody with forged headers, another owner, a token without the scope."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import httpx2
import pytest

from tests.http.api_client import TIMEOUT_SECONDS, Api, Host, api_client, ok, refusal, running_host
from tests.http.process.issuer import ALL, Issuer, authorization
from tests.http.process.routes import ROUTES, SECRET, app_routes, route_of

pytestmark = pytest.mark.anyio

GUARDED = [entry for entry, rules in ROUTES.items() if not rules.is_public]
HIDDEN = [entry for entry in GUARDED if ROUTES[entry].hidden]
OPEN_TO_OTHERS = [entry for entry in ROUTES if not ROUTES[entry].hidden]
IDS = ("session", "project", "message", "queued", "approval", "client_tool")
CALLS = 'call draw_lots {"names": ["heron"], "count": 1} and call ask_user {"question": "heron?"}'


@dataclass
class World:
    """What one owner has, `at_first` as the owner reads it, and the tokens of two owners. `ids` are for paths."""

    api: Api
    issuer: Issuer
    ids: dict[str, str] = field(default_factory=dict[str, str])
    at_first: list[str] = field(default_factory=list[str])

    @property
    def owner(self) -> dict[str, str]:
        return self.token(SECRET)

    @property
    def other(self) -> dict[str, str]:
        return self.token("bob")

    def token(self, subject: str, scopes: str = ALL) -> dict[str, str]:
        return authorization(self.issuer.token(subject, scp=scopes))

    @property
    def forged(self) -> dict[str, str]:
        """Every other way in which a caller may say that it is the owner."""
        claims = [{"typ": "iss", "val": self.issuer.url}, {"typ": "sub", "val": SECRET}, {"typ": "oid", "val": SECRET}]
        principal = base64.b64encode(json.dumps({"auth_typ": "aad", "claims": claims}).encode()).decode()
        token = self.issuer.token(SECRET)
        return {
            "x-ms-client-principal": principal,
            "x-ms-client-principal-id": SECRET,
            "x-ms-client-principal-name": SECRET,
            "x-ms-client-principal-idp": "aad",
            "x-ms-token-aad-access-token": token,
            "x-ms-token-aad-id-token": token,
            "x-zumo-auth": token,
            "x-forwarded-authorization": f"Bearer {token}",
            "x-original-authorization": f"Bearer {token}",
            "proxy-authorization": f"Bearer {token}",
            "x-forwarded-user": SECRET,
            "x-functions-key": token,
            "cookie": f"AppServiceAuthSession={token}; access_token={token}",
        }

    async def fill(self) -> None:
        """Create a project with a session, whose turn waits for a decision and a result, with a message behind it."""
        http, owner = self.api.http, self.owner
        body = {"name": SECRET, "document": {"nodes": {SECRET: {"name": SECRET, "instructions": SECRET}}}}
        project = ok(await http.post("/projects", json=body, headers=owner), 201)["id"]
        fields = {"project_id": project, "session_name": SECRET, "agent_name": "raffle", "metadata": {SECRET: SECRET}}
        session = ok(await http.post("/sessions", json=fields, headers=owner), 201)["session_id"]
        done = ok(await self.api.post(session, SECRET, headers=owner))["message_id"]
        ok(await self.api.post(session, CALLS, headers=owner), 202)
        queued = ok(await self.api.post(session, SECRET, prefer="respond-async", headers=owner), 202)["message_id"]
        actions = ok(await http.get(f"/sessions/{session}", headers=owner))["required_action"]
        calls = {action["kind"]: action["call_id"] for action in actions}
        self.ids = {"session": session, "project": project, "message": done, "queued": queued, **calls}

    async def send(self, entry: str, headers: dict[str, str]) -> tuple[httpx2.Response, str]:
        """Send the request of an entry; return the response, and its text up to the secret, or the end of a token."""
        rules, (method, path) = ROUTES[entry], route_of(entry)
        names = {f"{{{name}}}": each for name, each in self.ids.items()}
        body = rules.body and {name: _named(value, names) for name, value in rules.body.items()}
        sent = {**rules.headers, **headers}
        request = self.api.http.build_request(method, self._path(path), json=body, headers=sent)
        response = await self.api.http.send(request, stream=True)
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return response, await self._read_stream(response)
        await response.aread()
        return response, response.text

    async def _read_stream(self, response: httpx2.Response) -> str:
        text = ""
        async with asyncio.timeout(TIMEOUT_SECONDS), aclosing(response):
            async for part in response.aiter_text():
                text += part
                if SECRET in text:
                    break
        return text

    def _path(self, path: str) -> str:
        message = "queued" if "/queue/" in path else "message"
        call = "client_tool" if path.endswith("/result") else "approval"
        ids = {**self.ids, "message": self.ids[message], "call": self.ids[call]}
        names = {f"{name}_id": each for name, each in ids.items()}
        return path.format(
            **names, agent="assistant", asset="swagger-ui.css", version="1", folder="page", file="app.js"
        )

    async def everything_of(self, headers: dict[str, str]) -> list[str]:
        """What the caller of `headers` reads of everything that the world has."""
        session, project = self.ids["session"], self.ids["project"]
        paths = ["/sessions?include=event_log", "/projects", f"/projects/{project}", f"/sessions/{session}"]
        paths += [f"/sessions/{session}/{part}" for part in ("queue", "messages", "events?limit=1000")]
        answers = [await self.api.http.get(path, headers=headers) for path in paths]
        return [each.text.replace(each.headers["x-trace-id"], "") for each in answers]


def _named(value: object, names: dict[str, str]) -> object:
    return names.get(value, value) if isinstance(value, str) else value


@pytest.fixture(scope="module")
def issuer() -> Generator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def guarded_host(
    issuer: Issuer, tmp_path_factory: pytest.TempPathFactory, store_environment: dict[str, str]
) -> Generator[Host]:
    env = {**issuer.settings, "MAX_REQUESTS_PER_SECOND": "100000", **store_environment}
    with running_host(tmp_path_factory.mktemp("callers"), env) as host:
        yield host


@pytest.fixture(scope="module")
def filled() -> list[World]:
    """The world that all tests share that change nothing in it, once the first one has filled it."""
    return []


@pytest.fixture
async def world(guarded_host: Host, issuer: Issuer, filled: list[World]) -> AsyncGenerator[World]:
    async with api_client(guarded_host) as api:
        if not filled:
            world = World(api, issuer)
            await world.fill()
            world.at_first = await world.everything_of(world.owner)
            filled.append(world)
        yield replace(filled[0], api=api)


def require_safe(response: httpx2.Response) -> None:
    """Check the headers of JSON: no browser takes it for something else, and no cache keeps it."""
    if "json" not in response.headers.get("content-type", ""):
        return
    assert response.headers["x-content-type-options"] == "nosniff"
    is_for_everybody = response.url.path == "/api/openapi.json"
    assert response.headers["cache-control"] == ("no-cache" if is_for_everybody else "no-store")


def test_every_route_of_the_app_has_rules() -> None:
    assert {" ".join(route_of(entry)) for entry in ROUTES} == app_routes()


@pytest.mark.parametrize("entry", GUARDED)
async def test_who_does_not_sign_in_is_refused(world: World, entry: str) -> None:
    for headers in ({}, world.forged, {"authorization": f"Bearer {SECRET}", **world.forged}):
        response, text = await world.send(entry, headers)
        refusal(response, 401, "unauthenticated")
        require_safe(response)
        assert SECRET not in text + str(response.headers)

    assert await world.everything_of(world.owner) == world.at_first


@pytest.mark.parametrize("entry", HIDDEN)
async def test_what_another_owner_has_does_not_exist(world: World, entry: str) -> None:
    of_other = await world.everything_of(world.other)

    for headers in (world.other, world.forged | world.other):
        response, text = await world.send(entry, headers)
        refusal(response, 404, ROUTES[entry].hidden or "")
        require_safe(response)
        assert SECRET not in text + str(response.headers)

    assert await world.everything_of(world.owner) == world.at_first
    assert await world.everything_of(world.other) == of_other


@pytest.mark.parametrize("entry", OPEN_TO_OTHERS)
async def test_what_every_caller_gets_has_nothing_of_another_owner(world: World, entry: str) -> None:
    expires_soon = world.forged | authorization(world.issuer.token("bob", exp=int(time.time()) + 1))

    response, text = await world.send(entry, expires_soon)

    assert response.status_code == ROUTES[entry].answer
    require_safe(response)
    assert SECRET not in text + str(response.headers)
    if entry.endswith("/status"):
        assert response.json()["status"] == "not_existent"
    assert await world.everything_of(world.owner) == world.at_first


@pytest.mark.parametrize("entry", GUARDED)
async def test_a_token_without_the_scope_is_refused_even_to_the_owner(world: World, entry: str) -> None:
    others = " ".join(scope for scope in ALL.split() if scope not in ROUTES[entry].scopes)

    response, text = await world.send(entry, world.token(SECRET, others))

    refusal(response, 403, "forbidden")
    require_safe(response)
    assert SECRET not in text
    assert await world.everything_of(world.owner) == world.at_first


async def test_the_owner_is_served_by_every_route(guarded_host: Host, issuer: Issuer) -> None:
    async with api_client(guarded_host) as api:
        world = World(api, issuer)
        await world.fill()

        for entry, rules in ROUTES.items():
            for scope in rules.scopes or ("",):
                response, text = await world.send(entry, world.token(SECRET, scope))
                assert response.status_code == rules.answer, (entry, text)
                require_safe(response)


@pytest.fixture(scope="module")
def unguarded_host(tmp_path_factory: pytest.TempPathFactory) -> Generator[Host]:
    with running_host(tmp_path_factory.mktemp("unguarded"), {"AUTH_MODE": "easyauth"}) as host:
        yield host


async def test_without_the_platform_in_front_nobody_is_who_the_headers_say(
    unguarded_host: Host, issuer: Issuer
) -> None:
    async with api_client(unguarded_host) as api:
        world = World(api, issuer, dict.fromkeys(IDS, "one"))
        for entry in GUARDED:
            response, _ = await world.send(entry, world.forged | world.other)
            refusal(response, 401, "unauthenticated")


async def test_where_nobody_signs_in_other_names_and_sites_get_nothing(api: Api, issuer: Issuer) -> None:
    world = World(api, issuer, dict.fromkeys(IDS, "one"))
    for entry in GUARDED:
        response, _ = await world.send(entry, {"host": "evil.example"})
        refusal(response, 403, "forbidden")
        if not entry.startswith("GET"):
            response, _ = await world.send(entry, {"origin": "https://evil.example"})
            refusal(response, 403, "forbidden")
