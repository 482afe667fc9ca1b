"""Flat events, and what the requirement documents demand of sessions and events."""

import pytest

from tests.http.api_client import JSON, Api, new_id, ok, refusal, types

pytestmark = pytest.mark.anyio


async def send(api: Api, **event: object) -> JSON:
    return ok(await api.http.post("/events", json=event))


async def list_flat(api: Api, session_id: str) -> list[JSON]:
    return ok(await api.http.get(f"/events/{session_id}"))["events"]


async def test_session_start_creates_the_session_that_it_names(api: Api) -> None:
    session_id = new_id()
    start = {
        "session_name": "mine",
        "project_dir": "/tmp",
        "agent_name": "assistant",
        "timestamp": "2024-01-01T00:00:00Z",
    }

    receipt = await send(api, event_type="session_start", session_id=session_id, extra=1, **start)

    assert (receipt["ok"], receipt["sequences"], receipt["session_id"]) == (True, [2], session_id)
    session = await api.session(session_id)
    assert session.items() >= {"session_name": "mine", "project_dir": "/tmp", "agent_name": "assistant"}.items()
    assert (session["status"], session["thread_id"]) == ("running", f"thread_{session_id}")
    assert types(await api.events(session_id)) == ["session.created", "session_start"]
    (_, event) = await list_flat(api, session_id)
    assert event.items() >= {"event_type": "session_start", "session_id": session_id, "extra": 1, **start}.items()


async def test_session_start_of_an_existing_session_is_an_ordinary_event(api: Api) -> None:
    session_id = await api.new_session(session_name="first")

    await send(api, event_type="session_start", session_id=session_id, session_name="second")

    assert (await api.session(session_id))["session_name"] == "first"
    assert types(await api.events(session_id)) == ["session.created", "session_start"]


async def test_other_events_are_appended_and_listed_flat(api: Api) -> None:
    session_id = await api.new_session(session_name="mine")
    await api.run_turn(session_id)

    sent: JSON = {"event_type": "message", "session_id": session_id, "role": "assistant", "content": "hi", "data": [1]}
    receipt = await send(api, **sent)

    events = await list_flat(api, session_id)
    assert receipt["sequences"] == [(await api.session(session_id))["head"]]
    assert events[-1].items() >= {**sent, "session_name": "mine"}.items()
    assert all(event.keys() >= {"event_type", "session_id", "session_name", "timestamp"} for event in events)
    posted = next(event for event in events if event["event_type"] == "user_message")
    assert posted["content"] == "Hello"
    assert [event["event_type"] for event in events].count("message.delta") == 1


async def test_a_missing_session_accepts_only_its_start(api: Api) -> None:
    session_id = new_id()

    response = await api.http.post("/events", json={"event_type": "message", "session_id": session_id})

    refusal(response, 404, "session_not_found")
    refusal(await api.http.get(f"/events/{session_id}"), 404, "session_not_found")
    await send(api, event_type="session_start", session_id=session_id)
    await api.http.delete(f"/sessions/{session_id}")
    late = await api.http.post("/events", json={"event_type": "session_start", "session_id": session_id})
    refusal(late, 409, "session_deleted")


async def test_with_an_idempotency_key_a_repeat_creates_and_appends_nothing(api: Api) -> None:
    session_id = new_id()
    for event_type, sequences in (("session_start", [2]), ("message", [3])):
        body = {"event_type": event_type, "session_id": session_id}
        for _ in range(2):
            answer = ok(await api.http.post("/events", json=body, headers={"idempotency-key": event_type}))
            assert answer["sequences"] == sequences


@pytest.mark.parametrize(
    ("event", "pointer"),
    [
        ({"event_type": "session_start"}, "/session_id"),
        ({"event_type": "session_start", "session_id": "a b"}, "/session_id"),
        ({"event_type": "session_start", "session_id": ".."}, "/session_id"),
        ({"event_type": "session_start", "session_id": "x", "session_name": 5}, "/session_name"),
        ({"event_type": "run.complete", "session_id": "x"}, "/event_type"),
        ({"session_id": "x"}, "/event_type"),
    ],
)
async def test_invalid_flat_events_are_refused(api: Api, event: JSON, pointer: str) -> None:
    body = refusal(await api.http.post("/events", json=event), 422, "invalid_request")

    assert body["errors"][0]["pointer"] == pointer


async def test_the_curl_checks_of_the_requirement_documents_pass(api: Api) -> None:
    # The commands of the session manager's first phase, except for host, port and session id.
    session_id = new_id("test-123")
    body: JSON = {"session_id": session_id, "session_name": "test", "project_dir": "/tmp"}
    assert ok(await api.http.post("/sessions", json=body), 201).items() >= body.items()
    assert ok(await api.http.get(f"/sessions/{session_id}")).items() >= body.items()
    assert ok(await api.http.get(f"/sessions/{session_id}/status"))["status"] == "running"
    message: JSON = {
        "event_type": "message",
        "session_id": session_id,
        "session_name": "test",
        "timestamp": "2024-01-01T00:00:00Z",
        "role": "assistant",
        "content": [{"type": "text", "text": "Hello"}],
    }
    ok(await api.http.post(f"/sessions/{session_id}/events", json=message), 201)
    # "404 if not found/not finished": the session is finished by its session_stop.
    refusal(await api.http.get(f"/sessions/{session_id}/result"), 404, "not_finished")
    ok(await api.http.post(f"/sessions/{session_id}/events", json={"event_type": "session_stop"}), 201)
    assert ok(await api.http.get(f"/sessions/{session_id}/status"))["status"] == "finished"
    assert ok(await api.http.get(f"/sessions/{session_id}/result"))["result"] == "Hello"
    assert ok(await api.http.get("/sessions/nowhere/status"))["status"] == "not_existent"
    listed = ok(await api.http.get(f"/sessions/{session_id}/events"))["events"]
    assert next(event for event in listed if event["type"] == "message").items() >= message.items()


async def test_the_last_outside_assistant_message_is_the_result(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id)
    await api.append(
        session_id,
        {"event_type": "message", "role": "assistant", "content": "first"},
        {"event_type": "message", "role": "assistant", "content": [{"type": "text", "text": "la"}, {"text": "st"}]},
        {"event_type": "message", "role": "user", "content": "not an answer"},
        {"event_type": "session_stop"},
    )

    assert ok(await api.http.get(f"/sessions/{session_id}/result"))["result"] == "last"
    answer = (await api.run_turn(session_id, "Again"))["answer"]
    assert ok(await api.http.get(f"/sessions/{session_id}/result"))["result"] == answer


async def test_the_fields_that_the_session_integration_reads_are_set(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id, 'call calculate {"expression": "6*7"}')

    session = await api.session(session_id)
    events = {event["type"]: event for event in await api.events(session_id)}

    assert session["steps"] == [events["tool_call.complete"]["data"]]
    assert session["diagnosis"] == events["message.complete"]["data"]["text"]
    assert session["run_meta"].items() <= events["run.complete"]["data"].items()
    assert session["thread_id"] == events["session.created"]["data"]["thread_id"]
    await api.append(session_id, {"event_type": "error", "message": "it broke"})
    assert (await api.session(session_id))["error_detail"] == "it broke"
