"""Events: pages of the log, and events that other producers append."""

import pytest

from tests.http.api_client import JSON, Api, is_gapless, ok, refusal, types, wait_until

pytestmark = pytest.mark.anyio

RESERVED = (
    "run.start run.complete run.anything session.created session.deleted session.x memory.items memory.popped"
    " message.queued message.withdrawn user_message status done"
)


async def test_an_outside_event_is_stored_as_it_was_sent(api: Api) -> None:
    session_id = await api.new_session()
    sent: JSON = {
        "event_type": "build.finished",
        "timestamp": "2020-01-01T00:00:00Z",
        "ok": True,
        "none": None,
        "nested": {"a": [1, 2.5, "x", None, {}]},
        "session_id": session_id,
    }

    response = await api.http.post(f"/sessions/{session_id}/events", json=sent)

    assert ok(response, 201)["sequences"] == [2]
    (_, event) = await api.events(session_id)
    assert event.items() >= sent.items()
    assert (event["type"], event["origin"], event["sequence"]) == ("build.finished", "outside", 2)
    assert (event["turn_id"], event["message_id"]) == (None, None)
    assert event["data"].items() >= {name: sent[name] for name in ("ok", "none", "nested")}.items()
    assert event["recorded_at"] > "2020-01-01T00:00:00Z"


async def test_a_frame_marks_an_outside_event(api: Api) -> None:
    session_id = await api.new_session()
    await api.append(session_id, {"event_type": "message.delta", "text": "forged", "origin": "inside"})
    await api.append(session_id, {"event_type": "session_stop"})

    _, delta, *_ = await api.read(session_id)

    assert (delta.event, delta.data["text"], delta.data["origin"]) == ("message.delta", "forged", "outside")


async def test_the_fields_of_the_envelope_override_sent_ones(api: Api) -> None:
    session_id = await api.new_session()
    taken = {
        "sequence": 99,
        "type": "liar",
        "turn_id": "t",
        "message_id": "m",
        "trace_id": "x",
        "data": "mine",
        "origin": "inside",
    }

    await api.append(session_id, {"event_type": "honest", **taken})

    (_, event) = await api.events(session_id)
    assert (event["type"], event["event_type"], event["sequence"], event["origin"]) == (
        "honest",
        "honest",
        2,
        "outside",
    )
    assert (event["turn_id"], event["message_id"]) == (None, None)
    assert event["trace_id"] != "x"
    assert event["data"]["data"] == "mine"


async def test_a_list_of_events_is_appended_in_order(api: Api) -> None:
    session_id = await api.new_session()

    sequences = await api.append(session_id, *({"event_type": f"n.{number}"} for number in range(100)))

    assert sequences == list(range(2, 102))
    assert types(await api.events(session_id))[1:] == [f"n.{number}" for number in range(100)]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([{"event_type": "a"}, {"event_type": "run.complete"}], "/1/event_type"),
        ([{"event_type": "a"}, {"event_type": "a b"}], "/1/event_type"),
        ([{"event_type": "a"}, {}], "/1/event_type"),
        ([{"event_type": "a"}, {"event_type": "a", "session_id": "other"}], "/1/session_id"),
        ([{"event_type": "a"}, {"event_type": "a", "text": "x" * 65_536}], "/1"),
        ([{"event_type": "a"}, None], "/1"),
        ([{"event_type": "a"}] * 101, ""),
        ([], ""),
        ({}, "/event_type"),
        ({"event_type": 5}, "/event_type"),
        ({"event_type": ""}, "/event_type"),
        ({"event_type": "x" * 65}, "/event_type"),
        ({"event_type": "a\n"}, "/event_type"),
        ({"event_type": "a", "session_id": None}, "/session_id"),
        ("text", ""),
    ],
)
async def test_one_invalid_event_refuses_the_whole_list(api: Api, body: object, pointer: str) -> None:
    session_id = await api.new_session()

    refused = refusal(await api.http.post(f"/sessions/{session_id}/events", json=body), 422, "invalid_request")

    assert refused["errors"][0]["pointer"] == pointer
    assert (await api.session(session_id))["head"] == 1


@pytest.mark.parametrize("event_type", RESERVED.split())
async def test_the_services_own_types_are_reserved(api: Api, event_type: str) -> None:
    session_id = await api.new_session()

    response = await api.http.post(f"/sessions/{session_id}/events", json={"event_type": event_type})

    assert event_type in refusal(response, 422, "invalid_request")["detail"]
    assert (await api.session(session_id))["head"] == 1


async def test_an_event_may_have_64_kb(api: Api) -> None:
    session_id = await api.new_session()
    text = "x" * 65_000

    await api.append(session_id, {"event_type": "x" * 64, "text": text})

    assert (await api.events(session_id))[1]["text"] == text


async def test_session_stop_finishes_the_session_and_a_message_resumes_it(api: Api) -> None:
    session_id = await api.new_session()

    await api.append(session_id, {"event_type": "session_stop"})

    assert (await api.session(session_id))["status"] == "finished"
    await api.start_turn(session_id, model="hang-600")
    assert (await api.session(session_id))["status"] == "running"
    await api.cancel(session_id)
    assert (await api.session(session_id))["status"] == "finished"


async def test_session_stop_during_a_turn_waits_for_its_end(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-601")

    await api.append(session_id, {"event_type": "session_stop"})

    assert (await api.session(session_id))["status"] == "running"
    assert (await api.session(session_id))["state"] == "running"
    await api.cancel(session_id)
    assert (await api.session(session_id))["status"] == "finished"


async def test_outside_events_do_not_touch_a_running_turn(api: Api) -> None:
    session_id = await api.new_session()
    imitations: list[JSON] = [
        {"event_type": "message.start", "step": 1, "attempt": 9},
        {"event_type": "message.delta", "step": 1, "attempt": 1, "text": "not mine"},
        {"event_type": "message.complete", "step": 1, "attempt": 1, "text": "not mine", "partial": False},
        {"event_type": "tool_call.start", "id": "call_1"},
        {"event_type": "tool_call.complete", "id": "call_1", "status": "completed", "response": 1},
        {"event_type": "token_usage", "total_tokens": 10**9},
        {"event_type": "error", "message": "not mine", "code": "x"},
        {"event_type": "cancelling"},
    ]
    async with api.post_stream(session_id, model="hang-60") as stream:
        turn = (await stream.until("message.delta")).data["turn_id"]
        for imitation in imitations:
            await api.append(session_id, {**imitation, "turn_id": turn})
        await wait_until(lambda: api.model_stats("hang-60"), lambda seen: seen["tokens_sent"] == 60)
        await api.cancel(session_id)
        frames = await stream.read_to_end()

    events = await api.events(session_id)
    assert is_gapless(events)
    (message,) = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert message["status"] == "cancelled"
    assert "not mine" not in message["answer"]
    assert message["usage"]["total_tokens"] < 1000
    own = [event for event in events if event["turn_id"] == turn]
    assert "".join(event["data"]["text"] for event in own if event["type"] == "message.delta") == message["answer"]
    assert (frames[-2].event, frames[-2].data["status"]) == ("run.complete", "cancelled")
    assert len([event for event in events if event.get("origin") == "outside"]) == len(imitations)
    session = await api.session(session_id)
    assert session["usage"] == message["usage"]
    assert session["diagnosis"] == message["answer"]


async def test_outside_errors_answers_and_tool_calls_show_in_the_session(api: Api) -> None:
    session_id = await api.new_session()

    await api.append(
        session_id,
        {"event_type": "tool_call.complete", "id": "c1", "name": "grep", "response": "found"},
        {"event_type": "message.complete", "text": "the diagnosis"},
        {"event_type": "error", "message": "it broke"},
    )

    session = await api.session(session_id)
    assert (session["diagnosis"], session["error_detail"]) == ("the diagnosis", "it broke")
    (step,) = session["steps"]
    assert (step["id"], step["name"], step["response"]) == ("c1", "grep", "found")


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_pages_cover_the_log_without_gaps(api: Api, limit: int) -> None:
    session_id = await api.new_session()
    await api.append(session_id, {"event_type": "a"}, {"event_type": "b"}, {"event_type": "c"})
    await api.run_turn(session_id)

    pages: list[JSON] = []
    cursor = 0
    while cursor is not None:
        pages.append(
            ok(await api.http.get(f"/sessions/{session_id}/events?coalesce=false&limit={limit}&after={cursor}"))
        )
        cursor = pages[-1]["next_cursor"]

    events = [event for page in pages for event in page["events"]]
    head = (await api.session(session_id))["head"]
    assert is_gapless(events)
    assert len(events) == head
    assert {page["head"] for page in pages} == {head}
    assert all(len(page["events"]) == limit for page in pages[:-1])


async def test_a_page_after_any_sequence_starts_with_the_next_one(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id)
    events = await api.events(session_id)

    for sequence in range(len(events) + 1):
        page = ok(await api.http.get(f"/sessions/{session_id}/events?coalesce=false&after={sequence}"))
        assert page["events"] == events[sequence:]


async def test_a_page_beyond_the_end_is_empty_and_has_the_head(api: Api) -> None:
    session_id = await api.new_session()

    page = ok(await api.http.get(f"/sessions/{session_id}/events?after=999"))

    assert (page["events"], page["next_cursor"], page["head"]) == ([], None, 1)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "before=x",
        "order=up",
        "coalesce=1",
        "after=-1",
        "after=x",
        "after=1.5",
        "after=%D9%A3",
        "after=" + "9" * 30,
    ],
)
async def test_an_invalid_event_query_is_refused(api: Api, query: str) -> None:
    session_id = await api.new_session()

    body = refusal(await api.http.get(f"/sessions/{session_id}/events?{query}"), 422, "invalid_request")

    assert body["errors"][0]["pointer"] == f"?{query.partition('=')[0]}"


async def test_joined_events_can_be_listed_from_either_end(api: Api) -> None:
    session_id = await api.new_session()
    message = await api.run_turn(session_id, model="fake-40-1")
    await api.append(session_id, {"event_type": "x"})
    log = await api.events(session_id)
    sequences_of_deltas = [event["sequence"] for event in log if event["type"] == "message.delta"]

    async def listed(query: str) -> list[JSON]:
        return ok(await api.http.get(f"/sessions/{session_id}/events?{query}"))["events"]

    joined = await listed("")
    (delta,) = [event for event in joined if event["type"] == "message.delta"]
    assert (delta["first_sequence"], delta["sequence"]) == (sequences_of_deltas[0], sequences_of_deltas[-1])
    assert delta["data"]["text"] == message["answer"]
    assert [event for event in joined if event != delta] == [event for event in log if event["type"] != "message.delta"]
    assert await listed("order=desc") == joined[::-1]
    assert await listed(f"order=desc&limit=2&before={log[-1]['sequence']}") == joined[-3:-1][::-1]
    assert await listed("coalesce=false&order=desc&limit=1000") == log[::-1]
    assert types(await listed("types=run.*,x")) == ["run.start", "run.complete", "x"]
    assert types(await listed("types=run.*,x&order=desc&limit=1")) == ["x"]
    assert await listed("types=message.delta") == [delta]


@pytest.mark.parametrize("query", ["order=desc", "types=message.*,x", "order=desc&coalesce=false", "coalesce=true"])
async def test_the_next_cursor_continues_where_the_page_ended(api: Api, query: str) -> None:
    session_id = await api.new_session()
    for _ in range(2):
        await api.run_turn(session_id)
        await api.append(session_id, {"event_type": "x"})
    parameter = "before" if "desc" in query else "after"
    whole = ok(await api.http.get(f"/sessions/{session_id}/events?{query}&limit=1000"))

    events: list[JSON] = []
    cursor = ""
    while cursor is not None:
        page = ok(
            await api.http.get(f"/sessions/{session_id}/events?{query}&limit=2" + (cursor and f"&{parameter}={cursor}"))
        )
        events += page["events"]
        cursor = page["next_cursor"]

    assert [event["sequence"] for event in events] == [event["sequence"] for event in whole["events"]]


async def test_a_waiting_reader_gets_outside_events_at_once(api: Api) -> None:
    session_id = await api.new_session()
    async with api.stream(session_id) as stream:
        await stream.until("session.created")

        await api.append(session_id, {"event_type": "news", "text": "hello"})

        frame = await stream.until("news")
        assert frame.data == {"text": "hello", "session_id": session_id, "origin": "outside"}
        await api.append(session_id, {"event_type": "session_stop"})
        assert (await stream.read_to_end())[-1].data["reason"] == "finished"


async def test_a_deleted_session_accepts_no_events(api: Api) -> None:
    session_id = await api.new_session()
    await api.http.delete(f"/sessions/{session_id}")

    refusal(
        await api.http.post(f"/sessions/{session_id}/events", json={"event_type": "late"}), 404, "session_not_found"
    )
    await wait_until(lambda: api.http.get(f"/sessions/{session_id}/events"), lambda seen: seen.status_code == 404)
