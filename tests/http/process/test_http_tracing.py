"""What every response has: the ids of its trace and its session, and problems of one shape; health and readiness."""

import pytest

from tests.http.api_client import JSON, Api, new_id, ok, refusal

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


async def test_every_response_has_the_ids_of_its_trace_and_its_session(api: Api) -> None:
    session_id = await api.new_session()
    message = await api.run_turn(session_id)
    missing = new_id()
    requests: list[tuple[int, str, str, JSON | None]] = [
        (200, "GET", f"/sessions/{session_id}", None),
        (200, "GET", f"/sessions/{session_id}/status", None),
        (200, "GET", f"/sessions/{session_id}/result", None),
        (200, "GET", f"/sessions/{session_id}/messages", None),
        (200, "GET", f"/sessions/{session_id}/events", None),
        (200, "GET", f"/sessions/{session_id}/stream", None),
        (200, "GET", f"/api/sessions/{session_id}/stream", None),
        (204, "GET", f"/sessions/{session_id}/stream?after=999999", None),
        (204, "GET", f"/sessions/{session_id}/stream?from=turn", None),
        (200, "GET", f"/messages/{message['message_id']}", None),
        (200, "GET", f"/messages/{message['message_id']}/full", None),
        (200, "POST", f"/sessions/{session_id}/messages", {"content": "x"}),
        (200, "POST", f"/sessions/{session_id}/cancel", {}),
        (201, "POST", f"/sessions/{session_id}/events", {"event_type": "x"}),
        (200, "PATCH", f"/sessions/{session_id}", {"session_name": "x"}),
        (422, "PATCH", f"/sessions/{session_id}", {"nonsense": "x"}),
        (422, "POST", f"/sessions/{session_id}/messages", {}),
        (404, "GET", f"/sessions/{session_id}/tool_calls/none", None),
        (404, "GET", f"/messages/msg_{'0' * 26}_{session_id}", None),
        (409, "POST", "/sessions", {"session_id": session_id}),
        (422, "POST", "/events", {"event_type": "session_start", "session_id": session_id, "metadata": 1}),
        (204, "DELETE", f"/sessions/{session_id}", None),
        (404, "GET", f"/sessions/{session_id}", None),
        (404, "POST", "/events", {"event_type": "x", "session_id": session_id}),
    ]

    for status, method, path, body in requests:
        response = await api.http.request(method, path, json=body, headers=TRACEPARENT)
        assert (response.status_code, response.headers.get("x-trace-id")) == (status, TRACE), path
        assert response.headers.get("x-session-id") == session_id, path
    response = await api.http.get(f"/sessions/{missing}")
    assert response.headers["x-session-id"] == missing


async def test_bodies_have_both_ids(api: Api) -> None:
    created = await api.http.post("/sessions", headers=TRACEPARENT)
    session_id = created.json()["session_id"]
    await api.run_turn(session_id)

    for method, suffix in (
        ("GET", ""),
        ("GET", "/status"),
        ("GET", "/result"),
        ("GET", "/events"),
        ("PATCH", ""),
        ("POST", "/cancel"),
    ):
        body = ok(await api.http.request(method, f"/sessions/{session_id}{suffix}", headers=TRACEPARENT))
        assert (body["session_id"], body["trace_id"]) == (session_id, TRACE)
    assert created.headers["x-session-id"] == session_id
    assert ok(await api.http.get("/sessions", headers=TRACEPARENT))["trace_id"] == TRACE


async def test_a_message_its_events_and_its_response_keep_the_trace_of_the_post(api: Api) -> None:
    session_id = await api.new_session()

    response = await api.post(session_id, headers=TRACEPARENT)

    message = ok(response)
    read_later = await api.http.get(f"/messages/{message['message_id']}")
    full = ok(await api.http.get(f"/messages/{message['message_id']}/full"))
    events = await api.events(session_id)
    assert response.headers["x-trace-id"] == message["trace_id"] == full["trace_id"] == TRACE
    assert read_later.headers["x-trace-id"] != TRACE
    assert {event["trace_id"] for event in events[1:]} == {TRACE}
    assert events[0]["trace_id"] != TRACE


async def test_a_stream_has_both_ids(api: Api) -> None:
    session_id = await api.new_session()

    async with api.post_stream(session_id, headers=TRACEPARENT) as stream:
        await stream.read_to_end()

    assert stream.response.headers["x-trace-id"] == TRACE
    assert stream.response.headers["x-session-id"] == session_id


@pytest.mark.parametrize(
    "traceparent", ["", "nonsense", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE[:-1]}-00f067aa0ba902b7-01"]
)
async def test_without_a_valid_traceparent_a_trace_is_created(api: Api, traceparent: str) -> None:
    responses = [await api.http.get("/sessions?limit=1", headers={"traceparent": traceparent}) for _ in range(2)]

    traces = {response.headers["x-trace-id"] for response in responses}
    assert len(traces) == 2
    assert all(len(trace) == 32 and int(trace, 16) for trace in traces)


async def test_a_problem_has_the_title_of_its_status(api: Api) -> None:
    refused = refusal(await api.http.get("/sessions/none"), 404, "session_not_found")

    assert refused["title"] == "Not Found"
    assert refused["retryable"] is False


async def test_health_and_readiness_are_ok(api: Api) -> None:
    health = await api.http.get("/health", headers=TRACEPARENT)
    ready = await api.http.get("/ready", headers=TRACEPARENT)

    assert ok(health)["status"] == "ok"
    assert ok(ready)["status"] == "ready"
    assert ready.json()["checks"] == {"store": "ok", "task_hub": "ok", "model": "ok"}
    assert health.headers["x-trace-id"] == ready.headers["x-trace-id"] == TRACE
