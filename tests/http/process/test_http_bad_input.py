"""Bad input: it always gets a clear problem, never a server error, and nothing is written."""

import string
from collections.abc import Generator
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.api_client import Api, Host, new_id, ok, refusal

pytestmark = pytest.mark.anyio

JSON_HEADER = {"content-type": "application/json"}
NOT_JSON = [
    b"{", b"nul", b"{'a': 1}", b"{} {}", b'{"a": NaN}', b'{"a": -Infinity}', b'{"n": ' + b"9" * 5000 + b"}",
    b"\xff\xfe{}", b"\xef\xbb\xbf{}", b'{"a": "\x01"}', b'{"a": "\\ud800"}', b'{"a": "\xed\xa0\x80"}',
    b"[" * 10_000, b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
]  # fmt: skip


def routes(session_id: str) -> list[tuple[str, str]]:
    """The routes that take a body."""
    path = f"/sessions/{session_id}"
    return [
        ("POST", "/sessions"),
        ("PATCH", path),
        ("POST", f"{path}/messages"),
        ("POST", f"{path}/cancel"),
        ("POST", f"{path}/events"),
        ("POST", "/projects"),
        ("PATCH", "/projects/prj_none"),
        ("POST", "/projects/prj_none/sessions"),
    ]


@pytest.mark.parametrize("body", NOT_JSON, ids=range(len(NOT_JSON)))
async def test_invalid_json_is_malformed(api: Api, body: bytes) -> None:
    session_id = await api.new_session()

    for method, path in routes(session_id):
        refusal(await api.http.request(method, path, content=body, headers=JSON_HEADER), 400, "malformed_json")

    assert (await api.session(session_id))["head"] == 1


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "json"],
)
async def test_a_body_of_another_media_type_is_refused(api: Api, media_type: str) -> None:
    session_id = await api.new_session()

    for method, path in routes(session_id):
        response = await api.http.request(
            method, path, content=b'{"content": "x"}', headers={"content-type": media_type}
        )
        refusal(response, 415, "unsupported_media_type")

    assert (await api.session(session_id))["head"] == 1


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
async def test_every_media_type_of_json_is_accepted(api: Api, media_type: str) -> None:
    session_id = await api.new_session()

    response = await api.http.patch(
        f"/sessions/{session_id}", content='{"session_name": "é"}'.encode(), headers={"content-type": media_type}
    )

    assert ok(response)["session_name"] == "é"


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"5", b"true", b"[[]]"])
async def test_a_body_that_is_not_an_object_is_refused(api: Api, body: bytes) -> None:
    session_id = await api.new_session()

    for method, path in routes(session_id):
        refused = refusal(
            await api.http.request(method, path, content=body, headers=JSON_HEADER), 422, "invalid_request"
        )
        assert refused["errors"]

    assert (await api.session(session_id))["head"] == 1


async def test_a_body_beyond_1280_kb_is_refused(api: Api) -> None:
    session_id = await api.new_session()
    body = b'{"content": "' + b"x" * (1280 * 1024) + b'"}'

    for method, path in routes(session_id):
        refusal(await api.http.request(method, path, content=body, headers=JSON_HEADER), 413, "too_large")

    assert (await api.session(session_id))["head"] == 1


async def test_numbers_out_of_range_are_refused(api: Api) -> None:
    session_id = await api.new_session()
    bodies = {
        f"/sessions/{session_id}/messages": '{"content": "x", "metadata": {"n": 1e999}}',
        f"/sessions/{session_id}/events": '{"event_type": "x", "n": [-1e999]}',
        "/sessions": '{"metadata": {"n": 1e999}}',
    }

    for path, body in bodies.items():
        refusal(await api.http.post(path, content=body, headers=JSON_HEADER), 422, "invalid_request")

    assert (await api.session(session_id))["head"] == 1


@pytest.mark.parametrize("depth", [60, 70, 150, 190, 198])
async def test_deep_nesting_is_refused_or_can_be_read_again(api: Api, depth: int) -> None:
    session_id, other = await api.new_session(), new_id()
    deep = "[" * depth + "]" * depth

    event = await api.http.post(
        f"/sessions/{session_id}/events", content=f'{{"event_type": "x", "deep": {deep}}}', headers=JSON_HEADER
    )
    created = await api.http.post(
        "/sessions", content=f'{{"session_id": "{other}", "metadata": {{"deep": {deep}}}}}', headers=JSON_HEADER
    )
    patched = await api.http.patch(
        f"/sessions/{session_id}", content=f'{{"metadata": {{"deep": {deep}}}}}', headers=JSON_HEADER
    )
    posted = await api.http.post(
        f"/sessions/{session_id}/messages",
        content=f'{{"content": "x", "metadata": {{"deep": {deep}}}}}',
        headers=JSON_HEADER,
    )

    assert {event.status_code, created.status_code, patched.status_code, posted.status_code} <= {200, 201, 422}
    await api.session(session_id)
    await api.events(session_id)
    ok(await api.http.get(f"/sessions/{session_id}/messages"))
    ok(await api.http.get("/sessions"))
    await api.http.delete(f"/sessions/{other}")


@pytest.mark.parametrize(
    "odd",
    [
        "a%0A",
        "a%0D%0Ax-evil:%201",
        "a%20b",
        "%22",
        "%27%3B--",
        "a%FFb",
        "%F0%9F%98%80",
        "a%2Fb",
        "%25",
        "x" * 129,
        "x" * 5000,
        "%7B%7D",
        "a%5Cb",
    ],
)
async def test_odd_ids_are_not_found(api: Api, odd: str) -> None:
    for suffix in ("", "/events", "/messages", "/stream", "/result", f"/tool_calls/{odd}"):
        refusal(await api.http.get(f"/sessions/{odd}{suffix}"), 404, "session_not_found")
    assert ok(await api.http.get(f"/sessions/{odd}/status"))["status"] == "not_existent"
    for suffix, body in (("/messages", {"content": "x"}), ("/events", {"event_type": "x"}), ("/cancel", {})):
        refusal(await api.http.post(f"/sessions/{odd}{suffix}", json=body), 404, "session_not_found")
    refusal(await api.http.delete(f"/sessions/{odd}"), 404, "session_not_found")
    for message_id in (odd, f"msg_{odd}", f"msg_{'0' * 26}_{odd}"):
        refusal(await api.http.get(f"/messages/{message_id}"), 404, "message_not_found")


@pytest.mark.parametrize(
    "path", ["/sessions/%2E", "/sessions/%2E%2E", "/sessions/%2E%2E/status", "/sessions/%00/status", "/sessions/a%00"]
)
async def test_paths_that_the_platform_resolves_cause_no_server_error(api: Api, path: str) -> None:
    assert (await api.http.get(path)).status_code < 500


@pytest.mark.parametrize(
    "headers",
    [
        {"prefer": "wait=abc"}, {"prefer": "wait=-1"}, {"prefer": "=;,,"}, {"prefer": 'wait="5'},
        {"traceparent": "00-zz"}, {"accept": ";;;"}, {"idempotency-key": "\u00e9"}, {"if-match": "*"},
        {"x-session-id": "forged"}, {"x-ms-client-principal": "!!"}, {"origin": "http://localhost:3000"},
    ],
)  # fmt: skip
async def test_odd_headers_change_nothing(api: Api, headers: dict[str, str]) -> None:
    session_id = await api.new_session()
    sent = {name.encode(): value.encode() for name, value in headers.items()}

    response = await api.http.post(f"/sessions/{session_id}/messages", json={"content": "x"}, headers=sent)

    assert ok(response)["status"] == "completed"
    assert response.headers["x-session-id"] == session_id


async def test_unknown_paths_and_methods_get_the_platforms_empty_404(api: Api) -> None:
    session_id = await api.new_session()

    for method, path in (("GET", "/nothing"), ("PUT", f"/sessions/{session_id}"), ("POST", "/health"), ("GET", "/x")):
        response = await api.http.request(method, path)
        assert (response.status_code, response.content) == (404, b"")


# Generated JSON. The client is synchronous because hypothesis calls the tests itself.

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
FIELDS = (
    "content prompt agent model metadata on_busy session_id session_name archived event_type turn_id reason timestamp"
)
FIELD_NAMES = st.sampled_from(FIELDS.split()) | TEXT
BODIES = VALUES | st.dictionaries(FIELD_NAMES, VALUES, max_size=5)
EXAMPLES = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def client(host: Host) -> Generator[httpx2.Client]:
    with httpx2.Client(base_url=host.url, timeout=30, verify=False, trust_env=False) as client:
        yield client


TYPES_THAT_NO_EVENT_HAS = {
    "characters": "[a",
    "a class for each letter": "[a" * 4000,
    "question marks": "run.?",
    "a long name": "x" * 65,
    "many patterns": ",".join(["*a"] * 33),
    "only commas": "," * 32,
    "a line break": "run.start\n",
    "letters beyond ASCII": "é",
}


@pytest.mark.parametrize("types", TYPES_THAT_NO_EVENT_HAS.values(), ids=TYPES_THAT_NO_EVENT_HAS)
@pytest.mark.parametrize("route", ["events", "stream"])
async def test_types_that_no_event_can_have_are_refused(api: Api, route: str, types: str) -> None:
    session_id = await api.new_session()

    response = await api.http.get(f"/sessions/{session_id}/{route}", params={"types": types})

    (error,) = refusal(response, 422, "invalid_request")["errors"]
    assert error["pointer"] == "?types"


async def test_the_largest_list_of_types_is_read(api: Api) -> None:
    session_id = await api.new_session()
    types = ",".join(["*" * 64] * 32)

    assert len(ok(await api.http.get(f"/sessions/{session_id}/events", params={"types": types}))["events"]) == 1
    assert len(ok(await api.http.get(f"/sessions/{session_id}/events", params={"types": ""}))["events"]) == 1


@pytest.mark.parametrize("path", ["/sessions", "/projects/{project}/sessions"])
async def test_a_list_takes_ten_filters_by_metadata(api: Api, path: str) -> None:
    project = ok(await api.http.post("/projects", json={"name": "p"}), 201)["id"]
    url = path.format(project=project)

    assert ok(await api.http.get(url, params={f"metadata.{n}": "x" for n in range(10)}))["sessions"] == []
    for count in (11, 999):
        refused = await api.http.get(url, params={f"metadata.{n}": "x" for n in range(count)})
        (error,) = refusal(refused, 422, "invalid_request")["errors"]
        assert error["pointer"].startswith("?metadata.")


@pytest.fixture(scope="module")
def any_session(client: httpx2.Client) -> str:
    return client.post("/sessions").json()["session_id"]


@EXAMPLES
@given(body=BODIES, route=st.integers(0, 4))
def test_no_json_causes_a_server_error_and_refused_bodies_write_nothing(
    client: httpx2.Client, body: Any, route: int
) -> None:
    session_id = client.post("/sessions").json()["session_id"]
    method, path = routes(session_id)[route]

    response = client.request(method, path, json=body, headers={"prefer": "respond-async"})

    session = client.get(f"/sessions/{session_id}")
    assert session.status_code == 200
    if response.status_code >= 400:
        assert response.status_code in {400, 409, 422}
        assert response.json()["trace_id"]
        assert session.json()["head"] == 1


@EXAMPLES
@given(fields=st.dictionaries(TEXT.filter(lambda name: name not in {"event_type", "session_id"}), VALUES, max_size=5))
def test_any_fields_of_an_outside_event_are_returned_unchanged(
    client: httpx2.Client, any_session: str, fields: dict[str, Any]
) -> None:
    response = client.post(f"/sessions/{any_session}/events", json={**fields, "event_type": "any"})

    (sequence,) = response.json()["sequences"]
    (event,) = client.get(f"/sessions/{any_session}/events?after={sequence - 1}&limit=1").json()["events"]
    returned = {name: value for name, value in event["data"].items() if name != "session_id"}
    assert returned == {**fields, "origin": "outside"}


@EXAMPLES
@given(name=st.text(string.printable, max_size=20), value=st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_list_filter_is_answered(client: httpx2.Client, name: str, value: str) -> None:
    response = client.get("/sessions", params={f"metadata.{name}": value, "agent_name": value, "project_id": value})

    assert response.status_code == 200
    assert response.json()["sessions"] == []
