"""HTTP functions answer through the worker's server."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from tests.http.api_client import Api
from tests.worker.host.extension import Endpoint
from turnlog.api.edge import session_stream, sse

pytestmark = pytest.mark.anyio


async def test_the_process_is_alive(api: Api) -> None:
    response = await api.http.get("/health")

    assert (response.status_code, response.json()["status"]) == (200, "ok")


async def test_store_task_hub_and_model_answer(api: Api, durable: Endpoint) -> None:
    response = await api.http.get("/ready")

    assert response.status_code == 200, response.text
    assert response.json()["checks"] == {"store": "ok", "task_hub": "ok", "model": "ok"}


async def test_a_session_is_created_and_found_by_its_id_in_the_path(api: Api) -> None:
    created = await api.http.post("/sessions", json={"session_name": "first"})

    found = await api.http.get(created.headers["location"])

    assert created.status_code == 201
    assert found.status_code == 200
    assert found.json()["session_name"] == "first"
    assert found.headers["x-session-id"] == found.json()["session_id"] == created.json()["session_id"]


async def test_a_request_keeps_its_headers_and_query(api: Api) -> None:
    session_id = await api.new_session()
    trace_id = "0af7651916cd43dd8448eb211c80319c"

    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    response = await api.http.get(f"/sessions/{session_id}/events?limit=1", headers=headers)

    assert response.json()["trace_id"] == response.headers["x-trace-id"] == trace_id
    assert [event["type"] for event in response.json()["events"]] == ["session.created"]


async def test_an_unknown_session_is_a_404_problem(api: Api) -> None:
    response = await api.http.get("/sessions/ses_unknown")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "session_not_found"


async def test_an_invalid_body_is_a_422_problem_that_names_the_field(api: Api) -> None:
    response = await api.http.post("/sessions", json={"session_nam": "typo"})

    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert [problem["pointer"] for problem in response.json()["errors"]] == ["/session_nam"]


async def test_a_deletion_is_a_204_without_a_body(api: Api) -> None:
    session_id = await api.new_session()

    response = await api.http.delete(f"/sessions/{session_id}")

    assert (response.status_code, response.content) == (204, b"")


async def test_a_stream_sends_each_event_as_it_is_appended(api: Api) -> None:
    session_id = await api.new_session()

    async with api.stream(session_id, "follow=true") as stream:
        await stream.until("session.created")
        for number in (1, 2):
            await api.append(session_id, {"event_type": "build.progress", "number": number})
            await stream.until("build.progress")

    received = stream.seen
    assert stream.response.headers["content-type"].startswith("text/event-stream")
    assert [frame.event for frame in received] == ["session.created", "build.progress", "build.progress"]
    assert [frame.id for frame in received] == [1, 2, 3]
    assert [frame.data.get("number") for frame in received] == [None, 1, 2]


async def test_a_client_that_disconnects_ends_its_stream(
    api: Api, durable: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, "a turn that nobody runs, so that the stream stays open")
    ended = asyncio.Event()
    follow = session_stream.follow_events

    async def observed(*arguments: Any) -> AsyncGenerator[Any]:
        try:
            async with aclosing(follow(*arguments)) as batches:
                async for batch in batches:
                    yield batch
        finally:
            ended.set()

    monkeypatch.setattr(session_stream, "follow_events", observed)

    async with api.stream(session_id) as stream:
        await stream.until("run.start")
        assert not ended.is_set()

    async with asyncio.timeout(sse.HEARTBEAT.total_seconds() / 3):  # sooner than the next write could fail
        await ended.wait()
