"""The queue as a resource: what waits can be seen, and taken back."""

import asyncio

import pytest

from tests.http.api_client import Api, new_id, ok, refusal, types

pytestmark = pytest.mark.anyio


async def test_the_queue_lists_what_waits_in_the_order_it_will_run(api: Api) -> None:
    session_id = await api.new_session()
    assert ok(await api.http.get(f"/sessions/{session_id}/queue")) == []
    await api.begin(session_id, model="hang-940")
    await api.wait_for(session_id, "message.delta")
    one, two = [await api.begin(session_id, text) for text in ("one", "two")]
    await api.begin(session_id, "in the turn", on_busy="steer")
    assert ok(await api.http.get(f"/sessions/{session_id}/queue")) == [one, two]

    await api.cancel(session_id, queue="clear")


async def test_a_withdrawn_message_is_never_said(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, "first", model="hang-942")
    await api.wait_for(session_id, "message.delta")
    gone, stays = [await api.begin(session_id, text, model="fake-40-0") for text in ("gone", "stays")]

    response = await api.http.delete(f"/sessions/{session_id}/queue/{gone['message_id']}")

    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["x-session-id"] == session_id
    assert [each["message_id"] for each in ok(await api.http.get(f"/sessions/{session_id}/queue"))] == [
        stays["message_id"]
    ]
    await api.cancel(session_id)
    await api.quiet(session_id)
    withdrawn = await api.message(gone["message_id"])
    assert (withdrawn["status"], withdrawn["answer"], withdrawn["content"]) == ("withdrawn", None, "gone")
    assert "given 3 messages" in (await api.message(stays["message_id"]))["answer"]
    listed = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert [message["status"] for message in listed] == ["cancelled", "withdrawn", "completed"]
    (event,) = [event for event in await api.events(session_id) if event["type"] == "message.withdrawn"]
    assert (event["message_id"], event["turn_id"]) == (gone["message_id"], gone["turn_id"])


async def test_who_waits_for_a_message_hears_that_it_was_withdrawn(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, model="hang-943")

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(api.post(session_id, "second"))
        queued = await api.wait_for(session_id, "message.queued")
        await api.http.delete(f"/sessions/{session_id}/queue/{queued.data['message_id']}")

    assert ok(waiting.result())["status"] == "withdrawn"
    await api.cancel(session_id)


async def test_what_does_not_wait_can_not_be_withdrawn(api: Api) -> None:
    session_id, other = await api.new_session(), await api.new_session()
    ended = await api.say(session_id)
    running = await api.begin(session_id, model="hang-944")
    await api.wait_for(session_id, "message.delta")
    steering = await api.begin(session_id, on_busy="steer")
    waiting = await api.begin(session_id)
    assert (await api.http.delete(f"/sessions/{session_id}/queue/{waiting['message_id']}")).status_code == 204

    for message in (ended, running, steering, waiting):
        response = await api.http.delete(f"/sessions/{session_id}/queue/{message['message_id']}")
        refusal(response, 409, "not_waiting")
    for message_id in ("msg_none", new_id("msg")):
        refusal(await api.http.delete(f"/sessions/{session_id}/queue/{message_id}"), 404, "message_not_found")
    refusal(await api.http.delete(f"/sessions/{other}/queue/{ended['message_id']}"), 404, "message_not_found")
    refusal(await api.http.delete(f"/sessions/{new_id()}/queue/{ended['message_id']}"), 404, "session_not_found")
    refusal(await api.http.get(f"/sessions/{new_id()}/queue"), 404, "session_not_found")
    assert types(await api.events(session_id)).count("message.withdrawn") == 1
    await api.cancel(session_id)


async def test_a_cancel_can_clear_the_queue_in_one_write(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, model="hang-945")
    await api.wait_for(session_id, "message.delta")
    waiting = [await api.begin(session_id, "x" * 100_000) for _ in range(3)]
    steering = await api.begin(session_id, on_busy="steer")

    receipt = ok(await api.cancel(session_id, queue="clear"))

    assert receipt["status"] == "cancelled"
    session = await api.session(session_id)
    assert (session["status"], session["queued"]) == ("finished", 0)
    events = await api.events(session_id)
    events = events[types(events).index("status") :]
    assert types(events)[:5] == ["status", *["message.withdrawn"] * 4]
    assert len({event["timestamp"] for event in events[:5]}) == 1
    for message in (*waiting, steering):
        assert (await api.message(message["message_id"]))["status"] == "withdrawn"
    assert types(events).count("run.start") == 0


async def test_a_cancel_that_waits_tells_when_the_model_stopped_and_what_there_was(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, 'call calculate {"expression": "1"}', model="fake-3000-5")
    await api.wait_for(session_id, "message.delta")

    receipt = ok(await api.cancel(session_id, reason="enough"))

    partial = [event for event in await api.events(session_id) if event["type"] == "message.complete"][-1]
    assert partial["data"]["partial"] is True
    assert receipt["model_stopped_at"] == partial["timestamp"]
    assert receipt["usage"] == receipt["message"]["usage"]
    assert receipt["usage"]["total_tokens"] > 0
    assert receipt["message"]["answer"] == partial["data"]["text"]


async def test_a_cancel_that_waits_may_leave_open_how_long(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, model="hang-946")

    answer = await api.http.post(f"/sessions/{session_id}/cancel", headers={"prefer": "wait"})

    assert ok(answer)["status"] == "cancelled"
    assert answer.headers["preference-applied"].startswith("wait=")


async def test_a_cancel_keeps_the_queue_unless_told_otherwise(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, model="hang-946")
    waiting = await api.begin(session_id)
    refusal(await api.http.post(f"/sessions/{session_id}/cancel", json={"queue": "drop"}), 422, "invalid_request")

    ok(await api.cancel(session_id, queue="keep"))
    await api.quiet(session_id)

    assert (await api.message(waiting["message_id"]))["status"] == "completed"


async def test_a_cancel_of_another_turn_clears_nothing(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, model="hang-947")
    waiting = await api.begin(session_id)

    assert ok(await api.cancel(session_id, queue="clear", turn_id=waiting["turn_id"]))["status"] == "idle"

    assert (await api.session(session_id))["queued"] == 1
    await api.cancel(session_id)
    await api.quiet(session_id)
