"""The limits of an owner, on a host with small ones, whose callers are identified by the platform."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Generator

import pytest

from tests.http.api_client import Api, Host, api_client, ok, refusal, running_host, wait_until

pytestmark = pytest.mark.anyio

SETTINGS = {
    "AUTH_MODE": "easyauth",
    "WEBSITE_AUTH_ENABLED": "True",
    "MAX_REQUESTS_PER_SECOND": "40",
    "MAX_STREAMS": "2",
    "MAX_TURNS": "1",
}


@pytest.fixture(scope="module")
def limited_host(tmp_path_factory: pytest.TempPathFactory, store_environment: dict[str, str]) -> Generator[Host]:
    with running_host(tmp_path_factory.mktemp("limited"), {**SETTINGS, **store_environment}) as host:
        yield host


@pytest.fixture
async def api(limited_host: Host) -> AsyncGenerator[Api]:
    async with api_client(limited_host) as api:
        yield api


def as_caller(name: str, *scopes: str) -> dict[str, str]:
    pairs = [("iss", "https://issuer"), ("sub", name), *(("roles", scope) for scope in scopes)]
    principal = {"claims": [{"typ": kind, "val": value} for kind, value in pairs]}
    return {"x-ms-client-principal": base64.b64encode(json.dumps(principal).encode()).decode()}


async def test_too_many_requests_are_refused_and_others_are_served(api: Api) -> None:
    me, somebody = as_caller("sender"), as_caller("somebody")
    answers = [await api.http.get("/agents", headers=me)]
    while answers[-1].status_code == 200 and len(answers) < 10_000:
        answers.append(await api.http.get("/agents", headers=me))

    problem = refusal(answers[-1], 429, "rate_limited")
    assert problem["retryable"] is True
    assert answers[-1].headers["retry-after"] == "1"
    assert len(answers) > 40
    ok(await api.http.get("/agents", headers=somebody))


async def test_an_owner_has_a_limited_number_of_streams(api: Api) -> None:
    me = as_caller("watcher")
    session = ok(await api.http.post("/sessions", headers=me), 201)["session_id"]
    path = f"/sessions/{session}/stream?follow=true"

    async with api.http.stream("GET", path, headers=me) as first, api.http.stream("GET", "/stream", headers=me) as room:
        assert (first.status_code, room.status_code) == (200, 200)
        refused = await api.http.get(path, headers=me)
        refusal(refused, 429, "rate_limited")
        assert int(refused.headers["retry-after"]) > 0
        posted = {"accept": "text/event-stream", **me}
        refusal(
            await api.http.post(f"/sessions/{session}/messages", json={"content": "x"}, headers=posted),
            429,
            "rate_limited",
        )
        for path, body in (
            (f"/sessions/{session}/messages?format=ai-sdk", {"content": "x"}),
            (
                "/ag-ui/assistant",
                {"threadId": session, "runId": "r", "messages": [{"id": "m", "role": "user", "content": "x"}]},
            ),
        ):
            refusal(await api.http.post(path, json=body, headers=me), 429, "rate_limited")
        assert ok(await api.http.get(f"/sessions/{session}", headers=me))["head"] == 1
        async with api.http.stream("GET", "/stream", headers=as_caller("other")) as others:
            assert others.status_code == 200
    ended = await wait_until(
        lambda: api.http.get("/sessions/none/stream", headers=me), lambda seen: seen.status_code != 429
    )
    refusal(ended, 404, "session_not_found")  # and what is refused holds no place
    refusal(await api.http.get("/sessions/none/stream", headers=me), 404, "session_not_found")
    refusal(await api.http.get("/sessions/none/stream", headers=me), 404, "session_not_found")


async def test_an_owner_runs_a_limited_number_of_turns(api: Api) -> None:
    me = as_caller("writer")
    one, other = [ok(await api.http.post("/sessions", headers=me), 201)["session_id"] for _ in range(2)]
    hanging = {"content": "x", "model": "hang-1"}
    async_me = {"prefer": "respond-async", **me}
    keyed = {"idempotency-key": "first", **async_me}
    first = ok(await api.http.post(f"/sessions/{one}/messages", json=hanging, headers=keyed), 202)

    again = await api.http.post(f"/sessions/{one}/messages", json=hanging, headers=keyed)
    assert ok(again, 202)["message_id"] == first["message_id"]  # a retry starts no turn
    steering = {"content": "x", "on_busy": "steer"}
    ok(await api.http.post(f"/sessions/{one}/messages", json=steering, headers=async_me), 202)
    refused = await api.http.post(f"/sessions/{other}/messages", json={"content": "x"}, headers=me)

    refusal(refused, 429, "rate_limited")
    assert ok(await api.http.get(f"/sessions/{other}", headers=me))["head"] == 1
    ok(await api.http.post(f"/sessions/{one}/cancel", json={}, headers={"prefer": "wait=30", **me}))
    ok(await api.http.post(f"/sessions/{other}/messages", json={"content": "x"}, headers=me))


async def test_simultaneous_messages_do_not_exceed_the_limit(api: Api) -> None:
    me = as_caller("crowd")
    sessions = [ok(await api.http.post("/sessions", headers=me), 201)["session_id"] for _ in range(8)]
    async_me = {"prefer": "respond-async", **me}

    answers = await asyncio.gather(*(api.post(each, model="hang-1", headers=async_me) for each in sessions))

    assert sorted(answer.status_code for answer in answers) == [202] + [429] * 7
    heads = [ok(await api.http.get(f"/sessions/{each}", headers=me))["head"] for each in sessions]
    assert [head == 1 for head in heads] == [answer.status_code == 429 for answer in answers]


async def test_scopes_of_the_app_are_enforced_if_the_principal_names_one(api: Api) -> None:
    reader, plain = as_caller("reader", "sessions.read", "another.app"), as_caller("plain", "another.app")

    ok(await api.http.get("/sessions", headers=reader))
    refusal(await api.http.post("/sessions", headers=reader), 403, "forbidden")
    ok(await api.http.post("/sessions", headers=plain), 201)
