"""Where nobody signs in, only this machine is served, and no page of another site can write."""

from collections.abc import Generator

import pytest

from tests.http.api_client import Api, Host, api_client, ok, refusal, running_host

pytestmark = pytest.mark.anyio

LOOPBACK = ["localhost:7071", "LOCALHOST", "127.0.0.1", "127.1.2.3:80", "[::1]:7071", "app.localhost", "localhost."]
ELSEWHERE = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "10.0.0.1:7071",
    "0.0.0.0",
    "[::2]",
    "@",
    ":",
]
CROSS_SITE = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost.evil.example"},
    {"origin": "http://localhost:x@evil.example"},
    {"origin": "file://localhost"},
    {"origin": "http://["},
    {"sec-fetch-site": "cross-site"},
]
SAME_SITE = [
    {},
    {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"},
    {"origin": "http://127.0.0.1:7071", "sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
]


@pytest.mark.parametrize("name", LOOPBACK)
async def test_every_name_of_the_loopback_interface_is_served(api: Api, name: str) -> None:
    ok(await api.http.get("/sessions", headers={"host": name}))


@pytest.mark.parametrize("header", ["host", "x-forwarded-host"])
@pytest.mark.parametrize("name", ELSEWHERE)
async def test_a_name_that_only_points_here_reads_nothing(api: Api, header: str, name: str) -> None:
    refusal(await api.http.get("/sessions", headers={header: name}), 403, "forbidden")


@pytest.mark.parametrize("headers", CROSS_SITE)
async def test_a_page_of_another_site_writes_nothing(api: Api, headers: dict[str, str]) -> None:
    session_id = await api.new_session()

    refusal(await api.post(session_id, headers=headers), 403, "forbidden")
    refusal(await api.http.delete(f"/sessions/{session_id}", headers=headers), 403, "forbidden")
    refusal(await api.http.patch(f"/sessions/{session_id}", json={"archived": True}, headers=headers), 403, "forbidden")

    assert (await api.session(session_id))["head"] == 1


@pytest.mark.parametrize("headers", SAME_SITE)
async def test_a_page_of_this_machine_may_write(api: Api, headers: dict[str, str]) -> None:
    ok(await api.http.post("/sessions", json={}, headers=headers), 201)


async def test_a_body_without_a_content_type_is_refused(api: Api) -> None:
    session_id = await api.new_session()

    response = await api.http.post(f"/sessions/{session_id}/messages", content=b'{"content": "x"}')

    refusal(response, 415, "unsupported_media_type")
    assert (await api.session(session_id))["head"] == 1


@pytest.fixture(scope="module")
def open_host(tmp_path_factory: pytest.TempPathFactory, store_environment: dict[str, str]) -> Generator[Host]:
    env = {"ALLOWED_HOSTS": "devbox, Box.lan", "CORS_ORIGINS": "https://app.example", **store_environment}
    with running_host(tmp_path_factory.mktemp("open"), env) as host:
        yield host


async def test_settings_add_names_and_origins(open_host: Host) -> None:
    async with api_client(open_host) as api:
        ok(await api.http.post("/sessions", json={}, headers={"host": "box.lan:7071"}), 201)
        ok(await api.http.post("/sessions", json={}, headers={"origin": "https://devbox"}), 201)
        ok(await api.http.post("/sessions", json={}, headers={"origin": "https://app.example"}), 201)
        refusal(await api.http.get("/sessions", headers={"host": "evil.example"}), 403, "forbidden")
        refusal(await api.http.post("/sessions", headers={"origin": "https://evil.example"}), 403, "forbidden")
