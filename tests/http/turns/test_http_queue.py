"""The queue: messages wait while a turn runs, can be listed and withdrawn, or are refused."""

import asyncio

import pytest

from tests.http.api_client import JSON, Api, is_gapless, new_id, ok, refusal, types
from tests.http.conftest import QUEUE_LIMIT
from tests.http.sse_client import names

pytestmark = pytest.mark.anyio


async def test_a_message_waits_while_a_turn_runs(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-400")

    response = await api.post(session_id, "second", prefer="respond-async")

    message: JSON = ok(response, 202)
    session = await api.session(session_id)
    assert message["status"] == "queued"
    assert (session["queued"], session["status"], session["state"]) == (1, "running", "running")
    events = await api.events(session_id)
    queued = events[int(message["sequence"]) - 1]
    assert (queued["type"], queued["message_id"]) == ("message.queued", message["message_id"])
    assert (queued["data"]["content"], queued["data"]["on_busy"]) == ("second", "enqueue")
    await api.cancel(session_id)
    await api.wait_until_idle(session_id)


async def test_waiting_messages_are_answered_in_order(api: Api) -> None:
    session_id = await api.new_session()
    first = await api.start_turn(session_id, "one", model="hang-401")
    rest = [await api.start_turn(session_id, text, model="fake-30-0") for text in ("two", "three", "four")]

    await api.cancel(session_id)
    session = await api.wait_until_idle(session_id)

    messages = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert [message["message_id"] for message in messages] == [
        first["message_id"],
        *(each["message_id"] for each in rest),
    ]
    assert [message["status"] for message in messages] == ["cancelled", "completed", "completed", "completed"]
    assert [message["sequence"] for message in messages] == sorted(message["sequence"] for message in messages)
    assert "“four”" in messages[-1]["answer"]
    events = await api.events(session_id)
    assert is_gapless(events)
    turns = [event["turn_id"] for event in events if event["type"] in {"run.start", "run.complete"}]
    assert turns == [message["turn_id"] for message in messages for _ in range(2)]
    assert (session["status"], session["queued"]) == ("finished", 0)


async def test_the_model_does_not_read_later_messages_of_the_queue(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, "one", model="hang-402")
    await api.wait_for_event(session_id, "message.delta")
    rest = [await api.start_turn(session_id, text, model="fake-40-0") for text in ("two", "three")]
    await api.cancel(session_id)
    await api.wait_until_idle(session_id)

    two, three = [(await api.message(each["message_id"]))["answer"] for each in rest]

    # "one" has a partial answer, which counts. "three" does not count yet.
    assert "“two”" in two
    assert "given 3 messages" in two
    assert "given 5 messages" in three


async def test_a_post_that_waits_in_the_queue_returns_its_own_answer(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-403")

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(api.post(session_id, "second", model="fake-30-0"))
        await api.wait_for_event(session_id, "message.queued")
        await api.cancel(session_id)

    message = ok(waiting.result())
    assert message["status"] == "completed"
    assert "“second”" in message["answer"]


async def test_a_stream_of_a_queued_message_runs_to_the_end_of_its_own_turn(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-404")

    async with api.post_stream(session_id, "second") as stream:
        queued = await stream.until("message.queued")
        await api.cancel(session_id)
        frames = await stream.read_to_end()

    assert frames[0] is queued
    assert names(frames)[-2:] == ["run.complete", "done"]
    assert names(frames).count("run.complete") == 2
    assert frames[-2].data["message_id"] == queued.data["message_id"]


async def test_reject_refuses_only_while_a_turn_runs(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-405")
    head = (await api.wait_for_event(session_id, "message.delta")).id

    refusal(await api.post(session_id, on_busy="reject"), 409, "turn_in_progress")

    await api.cancel(session_id)
    assert "message.queued" not in types(await api.events(session_id))
    assert head
    assert (await api.run_turn(session_id, on_busy="reject"))["status"] == "completed"


async def test_a_full_queue_refuses_messages_until_one_has_run(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-406")
    for _ in range(QUEUE_LIMIT):
        await api.start_turn(session_id, model="fake-1-0")

    response = await api.post(session_id)

    assert refusal(response, 429, "queue_full")["retryable"]
    assert int(response.headers["retry-after"]) > 0
    assert (await api.session(session_id))["queued"] == QUEUE_LIMIT
    await api.cancel(session_id)
    await api.wait_until_idle(session_id)
    assert (await api.run_turn(session_id))["status"] == "completed"


async def test_the_queue_continues_after_a_failed_turn(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-407")
    failing = await api.start_turn(session_id, model="fail-401")
    last = await api.start_turn(session_id)
    await api.cancel(session_id)
    await api.wait_until_idle(session_id)

    assert (await api.message(failing["message_id"]))["status"] == "failed"
    assert (await api.message(last["message_id"]))["status"] == "completed"


async def test_an_archived_session_still_answers_what_was_waiting(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-408")
    waiting = await api.start_turn(session_id)
    await api.http.patch(f"/sessions/{session_id}", json={"archived": True})

    refusal(await api.post(session_id), 409, "session_archived")
    await api.cancel(session_id)
    await api.wait_until_idle(session_id)

    assert (await api.message(waiting["message_id"]))["status"] == "completed"


async def test_a_large_message_is_stored_whole_in_the_queue(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-409")
    content = "word " * 20_000

    waiting = await api.start_turn(session_id, content)

    (queued,) = [event for event in await api.events(session_id) if event["type"] == "message.queued"]
    assert queued["data"]["content"] == content
    await api.cancel(session_id)
    await api.wait_until_idle(session_id)
    assert (await api.message(waiting["message_id"]))["content"] == content


async def test_the_queue_lists_the_waiting_messages_in_order(api: Api) -> None:
    session_id = await api.new_session()
    assert ok(await api.http.get(f"/sessions/{session_id}/queue")) == []
    await api.start_turn(session_id, model="hang-940")
    await api.wait_for_event(session_id, "message.delta")
    one, two = [await api.start_turn(session_id, text) for text in ("one", "two")]
    await api.start_turn(session_id, "in the turn", on_busy="steer")
    assert ok(await api.http.get(f"/sessions/{session_id}/queue")) == [one, two]

    await api.cancel(session_id, queue="clear")


async def test_the_model_never_reads_a_withdrawn_message(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, "first", model="hang-942")
    await api.wait_for_event(session_id, "message.delta")
    first, second = [await api.start_turn(session_id, text, model="fake-40-0") for text in ("gone", "kept")]

    response = await api.http.delete(f"/sessions/{session_id}/queue/{first['message_id']}")

    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["x-session-id"] == session_id
    assert [each["message_id"] for each in ok(await api.http.get(f"/sessions/{session_id}/queue"))] == [
        second["message_id"]
    ]
    await api.cancel(session_id)
    await api.wait_until_idle(session_id)
    withdrawn = await api.message(first["message_id"])
    assert (withdrawn["status"], withdrawn["answer"], withdrawn["content"]) == ("withdrawn", None, "gone")
    assert "given 3 messages" in (await api.message(second["message_id"]))["answer"]
    listed = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert [message["status"] for message in listed] == ["cancelled", "withdrawn", "completed"]
    (event,) = [event for event in await api.events(session_id) if event["type"] == "message.withdrawn"]
    assert (event["message_id"], event["turn_id"]) == (first["message_id"], first["turn_id"])


async def test_a_client_that_waits_for_a_message_gets_it_when_it_is_withdrawn(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-943")

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(api.post(session_id, "second"))
        queued = await api.wait_for_event(session_id, "message.queued")
        await api.http.delete(f"/sessions/{session_id}/queue/{queued.data['message_id']}")

    assert ok(waiting.result())["status"] == "withdrawn"
    await api.cancel(session_id)


async def test_only_waiting_messages_can_be_withdrawn(api: Api) -> None:
    session_id, other = await api.new_session(), await api.new_session()
    ended = await api.run_turn(session_id)
    running = await api.start_turn(session_id, model="hang-944")
    await api.wait_for_event(session_id, "message.delta")
    steering = await api.start_turn(session_id, on_busy="steer")
    waiting = await api.start_turn(session_id)
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
