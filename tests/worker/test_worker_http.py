"""HTTP functions answer through the worker's own server."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from shared.api import framing, sse
from tests.worker.client import frames, new_session, post_message
from tests.worker.driver import Worker
from tests.worker.extension import Endpoint

pytestmark = pytest.mark.anyio


async def test_the_process_answers(worker: Worker) -> None:
    response = await worker.request("GET", "/health")

    assert (response.status_code, response.json()["status"]) == (200, "ok")


async def test_store_task_hub_and_model_answer(worker: Worker, durable: Endpoint) -> None:
    response = await worker.request("GET", "/ready")

    assert response.status_code == 200, response.text
    assert response.json()["checks"] == {"store": "ok", "task_hub": "ok", "model": "ok"}


async def test_a_session_is_created_and_found_by_its_id_in_the_path(worker: Worker) -> None:
    created = await worker.request("POST", "/sessions", json={"session_name": "first"})

    found = await worker.request("GET", created.headers["location"])

    assert created.status_code == 201
    assert found.status_code == 200
    assert found.json()["session_name"] == "first"
    assert found.headers["x-session-id"] == found.json()["session_id"] == created.json()["session_id"]


async def test_a_request_keeps_its_headers_and_query(worker: Worker) -> None:
    session_id = await new_session(worker)
    trace_id = "0af7651916cd43dd8448eb211c80319c"

    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    response = await worker.request("GET", f"/sessions/{session_id}/events?limit=1", headers=headers)

    assert response.json()["trace_id"] == response.headers["x-trace-id"] == trace_id
    assert [event["type"] for event in response.json()["events"]] == ["session.created"]


async def test_an_unknown_session_is_a_404_problem(worker: Worker) -> None:
    response = await worker.request("GET", "/sessions/ses_unknown")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "session_not_found"


async def test_a_body_that_does_not_fit_is_a_422_problem_that_names_the_field(worker: Worker) -> None:
    response = await worker.request("POST", "/sessions", json={"session_nam": "typo"})

    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert [problem["pointer"] for problem in response.json()["errors"]] == ["/session_nam"]


async def test_a_deletion_is_a_204_without_a_body(worker: Worker) -> None:
    session_id = await new_session(worker)

    response = await worker.request("DELETE", f"/sessions/{session_id}")

    assert (response.status_code, response.content) == (204, b"")


async def test_a_stream_sends_each_event_as_it_is_appended(worker: Worker) -> None:
    session_id = await new_session(worker)

    async with (
        worker.stream("GET", f"/sessions/{session_id}/stream?follow=true") as response,
        aclosing(frames(response)) as stream,
    ):
        received = [await anext(stream)]
        for number in (1, 2):
            event = {"event_type": "build.progress", "number": number}
            await worker.request("POST", f"/sessions/{session_id}/events", json=event)
            received.append(await anext(stream))

    assert response.headers["content-type"].startswith("text/event-stream")
    assert [frame.event for frame in received] == ["session.created", "build.progress", "build.progress"]
    assert [frame.id for frame in received] == [1, 2, 3]
    assert [frame.data.get("number") for frame in received] == [None, 1, 2]


async def test_a_client_that_leaves_ends_its_stream(
    worker: Worker, durable: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await new_session(worker)
    await post_message(worker, session_id, "a turn that nobody runs, so that the stream stays open")
    ended = asyncio.Event()
    follow = sse.follow

    async def observed(*arguments: Any) -> AsyncGenerator[Any]:
        try:
            async with aclosing(follow(*arguments)) as batches:
                async for batch in batches:
                    yield batch
        finally:
            ended.set()

    monkeypatch.setattr(sse, "follow", observed)

    async with (
        worker.stream("GET", f"/sessions/{session_id}/stream") as response,
        aclosing(frames(response)) as stream,
    ):
        await anext(stream)
        assert not ended.is_set()

    async with asyncio.timeout(framing.HEARTBEAT.total_seconds() / 3):  # sooner than the next write would fail
        await ended.wait()
