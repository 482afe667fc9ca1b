"""Tickets: each opens one stream of its owner, for five minutes, and nothing else."""

import base64
import re
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest

from tests.http.api_client import Api, Host, api_client, ok, refusal, running_host
from tests.http.process.issuer import Issuer, authorization
from tests.http.process.routes import ROUTES, route_of
from turnlog.api.edge.tickets import QUERY_NAME, TicketCipher

pytestmark = pytest.mark.anyio

KEY = "a-key-that-all-instances-have-0123456789"
CIPHER = TicketCipher(KEY.encode())
STREAMS = ["/sessions/{session}/stream", "/api/sessions/{session}/stream", "/projects/{project}/stream"]


@pytest.fixture(scope="module")
def issuer() -> Generator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def ticket_host(
    issuer: Issuer, tmp_path_factory: pytest.TempPathFactory, store_environment: dict[str, str]
) -> Generator[Host]:
    env = {**issuer.settings, "TICKET_KEY": KEY, "MAX_REQUESTS_PER_SECOND": "100000", **store_environment}
    with running_host(tmp_path_factory.mktemp("tickets"), env) as host:
        yield host


@dataclass
class Page:
    """A page of ann's: her session and project, and the header with her token."""

    api: Api
    ids: dict[str, str]
    headers: dict[str, str]

    def path(self, template: str) -> str:
        return template.format(**self.ids)

    async def ticket(self, stream: str, headers: dict[str, str] | None = None) -> str:
        path = self.path(stream).removeprefix("/api").replace("/stream", "/ticket")
        return ok(await self.api.http.post(path, headers=headers or self.headers))["ticket"]

    async def status(self, template: str, ticket: str) -> int:
        """The status of a stream that is opened with the ticket alone. The session's is silent, the project's open."""
        params = {QUERY_NAME: ticket}
        async with self.api.http.stream("GET", self.path(template), params=params) as response:
            return response.status_code


@pytest.fixture
async def page(ticket_host: Host, issuer: Issuer) -> AsyncGenerator[Page]:
    async with api_client(ticket_host) as api:
        headers = authorization(issuer.token("ann"))
        project = ok(await api.http.post("/projects", json={"name": "p"}, headers=headers), 201)["id"]
        session = ok(await api.http.post("/sessions", json={}, headers=headers), 201)["session_id"]
        yield Page(api, {"project": project, "session": session}, headers)


@pytest.mark.parametrize("stream", STREAMS)
async def test_a_ticket_opens_its_stream_without_a_token_as_often_as_a_browser_reconnects(
    page: Page, stream: str
) -> None:
    ticket = await page.ticket(stream)

    assert [await page.status(stream, ticket) for _ in range(3)] == [200, 200, 200]


async def test_a_ticket_says_when_it_expires_and_nothing_of_its_owner(page: Page) -> None:
    body = ok(await page.api.http.post(f"/sessions/{page.ids['session']}/ticket", headers=page.headers))

    seconds = datetime.fromisoformat(body["expires_at"]).timestamp() - time.time()
    assert 0 < seconds <= 300
    assert body.keys() == {"ticket", "expires_at", "session_id", "trace_id"}
    assert re.fullmatch(r"[A-Za-z0-9_-]+", body["ticket"])
    assert b"ann" not in base64.urlsafe_b64decode(body["ticket"] + "==")


async def test_a_ticket_expires_no_later_than_the_token_it_was_made_with(page: Page, issuer: Issuer) -> None:
    short = authorization(issuer.token("ann", exp=int(time.time()) + 30))

    ticket = CIPHER.decrypt(await page.ticket("/sessions/{session}/stream", short))

    assert ticket.ends_at is not None
    assert ticket.expires_at == ticket.ends_at <= time.time() + 30


@pytest.mark.parametrize("stream", ["/sessions/{session}/stream?follow=true", "/projects/{project}/stream"])
async def test_the_stream_of_a_ticket_ends_with_the_token_it_was_made_with(page: Page, stream: str) -> None:
    ticket = CIPHER.decrypt(await page.ticket(stream.partition("?")[0]))
    ends_soon = CIPHER.encrypt(replace(ticket, ends_at=time.time() + 1))

    text = (await page.api.http.get(f"{page.path(stream)}{'&' if '?' in stream else '?'}ticket={ends_soon}")).text

    assert text.endswith("retry: 500\n\n")
    assert "event: done" not in text


def expired(text: str) -> str:
    return CIPHER.encrypt(replace(CIPHER.decrypt(text), expires_at=time.time() - 1))


def with_another_key(text: str) -> str:
    return TicketCipher(b"another key").encrypt(CIPHER.decrypt(text))


def changed(text: str) -> str:
    return ("B" if text[20] == "A" else "A").join((text[:20], text[21:]))


WRONG: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "no base64": lambda _: "%%%é",
    "one character": lambda _: "A",
    "without a tag": lambda text: text[:10],
    "cut": lambda text: text[:-4],
    "longer": lambda text: text + "AAAA",
    "changed": changed,
    "expired": expired,
    "with another key": with_another_key,
    "a bearer token": lambda _: "eyJhbGciOiJFUzI1NiIsImtpZCI6Im9uZSJ9.W10.AAAA",
}


@pytest.mark.parametrize("mistake", WRONG)
@pytest.mark.parametrize("stream", STREAMS)
async def test_a_wrong_ticket_is_refused_even_beside_a_token(page: Page, stream: str, mistake: str) -> None:
    wrong = WRONG[mistake](await page.ticket(stream))

    for headers in ({}, page.headers):
        response = await page.api.http.get(page.path(stream), params={QUERY_NAME: wrong}, headers=headers)
        refusal(response, 401, "unauthenticated")


async def test_a_ticket_opens_no_other_stream(page: Page) -> None:
    other = ok(await page.api.http.post("/sessions", json={}, headers=page.headers), 201)["session_id"]
    of_session, of_project = await page.ticket(STREAMS[0]), await page.ticket(STREAMS[2])

    for path, ticket in [
        (f"/sessions/{other}/stream", of_session),
        (f"/sessions/{page.ids['session']}/stream", of_project),
        (f"/projects/{page.ids['project']}/stream", of_session),
    ]:
        refusal(await page.api.http.get(path, params={QUERY_NAME: ticket}), 403, "forbidden")


@pytest.mark.parametrize(
    "entry",
    [entry for entry in ROUTES if not ROUTES[entry].is_public and not re.search("_id}/stream$", route_of(entry)[1])],
)
async def test_a_ticket_is_no_token_on_any_other_route(page: Page, entry: str) -> None:
    method, path = route_of(entry)
    names = {
        "session_id": page.ids["session"],
        "project_id": page.ids["project"],
        "message_id": "m",
        "call_id": "c",
        "agent": "a",
    }

    for ticket in (await page.ticket(STREAMS[0]), await page.ticket(STREAMS[2])):
        response = await page.api.http.request(method, path.format(**names), params={QUERY_NAME: ticket})
        refusal(response, 401, "unauthenticated")


async def test_of_what_is_deleted_a_ticket_gets_what_a_token_gets(page: Page) -> None:
    tickets = {stream: {QUERY_NAME: await page.ticket(stream)} for stream in (STREAMS[0], STREAMS[2])}
    for path in ("/sessions/{session}", "/projects/{project}"):
        assert (await page.api.http.delete(page.path(path), headers=page.headers)).status_code in {202, 204}

    for stream, code in ((STREAMS[0], "session_not_found"), (STREAMS[2], "project_not_found")):
        refusal(await page.api.http.get(page.path(stream), params=tickets[stream]), 404, code)
        refusal(await page.api.http.get(page.path(stream), headers=page.headers), 404, code)


async def test_a_ticket_of_another_owner_finds_only_what_that_owner_has(page: Page, issuer: Issuer) -> None:
    own = CIPHER.decrypt(await page.ticket(STREAMS[0]))
    of_bob = CIPHER.encrypt(replace(own, owner=own.owner.replace("ann", "bob")))

    refusal(await page.api.http.get(page.path(STREAMS[0]), params={QUERY_NAME: of_bob}), 404, "session_not_found")
    refusal(
        await page.api.http.post(page.path("/sessions/{session}/ticket"), headers=authorization(issuer.token("bob"))),
        404,
        "session_not_found",
    )


async def test_only_a_caller_who_may_read_gets_a_ticket(page: Page, issuer: Issuer) -> None:
    reads, writes = (authorization(issuer.token("ann", scp=scope)) for scope in ("sessions.read", "sessions.write"))

    assert await page.status(STREAMS[0], await page.ticket(STREAMS[0], reads)) == 200
    refusal(await page.api.http.post(page.path("/sessions/{session}/ticket"), headers=writes), 403, "forbidden")


async def test_every_instance_accepts_the_tickets_of_the_others(
    page: Page, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ticket = await page.ticket(STREAMS[0])
    with ExitStack() as stack:
        for key, status in ((KEY, 404), ("another-key-of-another-app-0123456789", 401), ("", 401)):
            env = {**issuer.settings, "TICKET_KEY": key}
            other = stack.enter_context(running_host(tmp_path_factory.mktemp("other"), env))
            async with api_client(other) as api:
                assert await replace(page, api=api).status(STREAMS[0], ticket) == status  # it has no such session


async def test_without_a_key_and_without_sign_in_tickets_work_and_guard_nothing_less(api: Api) -> None:
    session = await api.new_session()
    ticket = ok(await api.http.post(f"/sessions/{session}/ticket"))["ticket"]
    stream = f"/sessions/{session}/stream"

    async with api.http.stream("GET", stream, params={QUERY_NAME: ticket}) as response:
        assert response.status_code == 200
    refusal(await api.http.get(stream, params={QUERY_NAME: "x"}), 401, "unauthenticated")
    headers = {"host": "evil.example"}
    refusal(await api.http.get(stream, params={QUERY_NAME: ticket}, headers=headers), 403, "forbidden")


async def test_no_line_shows_a_ticket(tmp_path: Path, issuer: Issuer, store_environment: dict[str, str]) -> None:
    env = {**issuer.settings, "TICKET_KEY": KEY, "LOG_LEVEL": "DEBUG", "TELEMETRY": "console", **store_environment}
    with running_host(tmp_path, env) as host:
        async with api_client(host) as api:
            headers = authorization(issuer.token("ann"))
            session = ok(await api.http.post("/sessions", json={}, headers=headers), 201)["session_id"]
            page = Page(api, {"session": session, "project": ""}, headers)
            ticket = await page.ticket(STREAMS[0])
            tickets = [ticket, expired(ticket), with_another_key(ticket)]
            answers = [await api.http.get(f"/sessions/{session}/events", params={QUERY_NAME: ticket}, headers=headers)]
            for each in tickets:
                answers.append(await api.http.get(f"/sessions/none/stream?{QUERY_NAME}={each}&after=x"))
                assert await page.status(STREAMS[0], each) in {200, 401}
        host.process.terminate()
        assert host.process.stdout is not None
        printed = host.process.stdout.read()
    printed += (tmp_path / "host.log").read_text()

    assert "GET /sessions/{session_id}/stream" in printed  # the requests are recorded
    for each in tickets:
        assert each not in printed
        assert all(each not in answer.text + str(answer.headers) for answer in answers)
