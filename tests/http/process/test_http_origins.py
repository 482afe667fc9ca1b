"""Pages of other origins: which of them a browser lets in, to read and to write."""

from collections.abc import Generator

import pytest

from tests.http.api_client import Api, Host, api_client, ok, running_host
from tests.http.process.issuer import Issuer, authorization

pytestmark = pytest.mark.anyio

OF_THIS_MACHINE = ["http://localhost:3000", "https://localhost:5173", "http://[::1]:8080", "http://app.localhost"]
ELSEWHERE = ["https://evil.example", "http://localhost.evil.example", "http://127.0.0.1.nip.io:3000", "null"]
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,prefer"}


@pytest.mark.parametrize("origin", OF_THIS_MACHINE)
async def test_a_page_of_this_machine_reads_and_writes_without_a_setting(api: Api, origin: str) -> None:
    session = await api.new_session()
    headers = {"origin": origin}

    asked = await api.http.options(f"/sessions/{session}/messages", headers=headers | PREFLIGHT)
    posted = await api.post(session, headers=headers)
    async with api.stream(session, origin=origin) as stream:
        streamed = stream.response
        await stream.read_to_end()
    read = await api.http.get("/sessions", headers=headers)
    missing = await api.http.get("/sessions/none", headers=headers)

    assert [each.status_code for each in (asked, posted, streamed, read, missing)] == [204, 200, 200, 200, 404]
    for each in (asked, posted, streamed, read, missing):
        assert each.headers["access-control-allow-origin"] == origin
    assert asked.headers["access-control-allow-headers"] == PREFLIGHT["access-control-request-headers"]


@pytest.mark.parametrize("origin", ELSEWHERE)
async def test_no_browser_lets_a_page_of_another_site_read_or_write(api: Api, origin: str) -> None:
    headers = {"origin": origin}

    asked = await api.http.options("/sessions", headers=headers | PREFLIGHT)
    read = await api.http.get("/sessions", headers=headers)
    written = await api.http.post("/sessions", json={}, headers=headers)

    assert written.status_code == 403
    for each in (asked, read, written):
        assert not [name for name in each.headers if name.startswith("access-control-allow")]


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, store_environment: dict[str, str]
) -> Generator[tuple[Host, Issuer]]:
    with Issuer() as issuer:
        env = {**issuer.settings, "CORS_ORIGINS": "https://app.example", **store_environment}
        with running_host(tmp_path_factory.mktemp("origins"), env) as host:
            yield host, issuer


async def test_where_callers_sign_in_only_named_origins_are_let_in(guarded: tuple[Host, Issuer]) -> None:
    host, issuer = guarded
    async with api_client(host) as api:
        for origin, allowed in (("https://app.example", "https://app.example"), ("http://localhost:3000", None)):
            headers = {"origin": origin, **authorization(issuer.token())}
            answer = await api.http.post("/sessions", json={}, headers=headers)
            assert answer.headers.get("access-control-allow-origin") == allowed


async def test_a_page_of_another_origin_reads_all_messages_without_a_header(api: Api) -> None:
    session = await api.new_session()
    sent = [(await api.run_turn(session, f"Message {number}"))["message_id"] for number in range(5)]

    found: list[str] = []
    after = ""
    while page := ok(await api.http.get(f"/sessions/{session}/messages?limit=2{after}")):
        found += [message["message_id"] for message in page]
        after = f"&after={page[-1]['message_id']}"

    assert found == sent
