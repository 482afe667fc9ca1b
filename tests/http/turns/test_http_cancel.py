"""Cancel: the turn and its model call stop at once, and the text that was written stays."""

import asyncio

import pytest

from tests.http.api_client import Api, new_id, ok, refusal, types
from tests.http.sse_client import names, text_of

pytestmark = pytest.mark.anyio


async def test_a_cancel_keeps_the_written_text_and_closes_the_model_connection(api: Api) -> None:
    session_id = await api.new_session()
    async with api.post_stream(session_id, model="fake-5000-3") as stream:
        await stream.until("message.delta", 3)

        response = await api.cancel(session_id, reason="enough")
        frames = await stream.read_to_end()

    receipt = ok(response)
    assert (receipt["status"], receipt["turn_id"]) == ("cancelled", frames[0].data["turn_id"])
    message = receipt["message"]
    assert message["status"] == "cancelled"
    assert message["answer"]
    assert text_of(frames) == message["answer"]
    stop = next(frame for frame in frames if frame.event == "status")
    assert (stop.data["status"], stop.data["reason"]) == ("cancelling", "enough")
    assert names(frames)[-3:] == ["message.complete", "run.complete", "done"]
    assert frames[-3].data["partial"] is True
    assert frames[-3].data["text"] == message["answer"]
    assert frames[-2].data["status"] == "cancelled"
    await api.wait_until_aborted("fake-5000-3")
    assert (await api.model_stats("fake-5000-3"))["tokens_sent"] < 5000


async def test_a_cancel_without_waiting_returns_a_receipt(api: Api) -> None:
    session_id = await api.new_session()
    message = await api.start_turn(session_id, model="hang-500")

    response = await api.http.post(f"/sessions/{session_id}/cancel")

    receipt = ok(response, 202)
    assert (receipt["turn_id"], receipt["status"]) == (message["turn_id"], "cancelling")
    assert (await api.wait_until_idle(session_id))["run_meta"]["status"] == "cancelled"


async def test_a_second_cancel_of_the_same_turn_adds_nothing(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-501")

    responses = await asyncio.gather(*(api.cancel(session_id) for _ in range(5)))

    assert {response.status_code for response in responses} == {200}
    assert types(await api.events(session_id)).count("status") == 1


@pytest.mark.parametrize("model", ["hang-0", "mute-30"])
async def test_a_cancel_before_the_first_word_ends_the_turn(api: Api, model: str) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model=model)
    await api.wait_for_event(session_id, "message.start")

    message = ok(await api.cancel(session_id))["message"]

    assert (message["status"], message["answer"]) == ("cancelled", None)
    assert (await api.run_turn(session_id))["status"] == "completed"
    stats = await api.model_stats(model)
    assert stats["active"] == stats["finished"] == 0


async def test_a_cancel_right_after_the_post_ends_the_turn(api: Api) -> None:
    session_id = await api.new_session()
    message = await api.start_turn(session_id, model="hang-502")

    ended = ok(await api.cancel(session_id, turn_id=message["turn_id"]))["message"]

    assert (ended["message_id"], ended["status"]) == (message["message_id"], "cancelled")
    assert types(await api.events(session_id))[-1] == "run.complete"


async def test_the_conversation_contains_a_partial_answer(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-503")
    await api.wait_for_event(session_id, "message.delta")
    await api.cancel(session_id)

    message = await api.run_turn(session_id, "and then?", model="fake-40-0")

    assert "given 3 messages" in message["answer"]


async def test_a_cancelled_turn_shows_in_the_session(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-8")
    await api.wait_for_event(session_id, "message.delta")

    message = ok(await api.cancel(session_id))["message"]

    session = await api.session(session_id)
    assert (session["status"], session["state"], session["active_turn"]) == ("finished", "idle", None)
    assert (session["run_meta"]["status"], session["error_detail"]) == ("cancelled", None)
    assert session["diagnosis"] == message["answer"]
    full = ok(await api.http.get(f"/messages/{message['message_id']}/full"))
    assert full["response"]["choices"][0]["message"]["content"] == message["answer"]
    assert full["response"]["choices"][0]["finish_reason"] is None
    assert full["response"]["object"] == "chat.completion"


async def test_after_a_cancel_the_queue_continues(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-504")
    waiting = await api.start_turn(session_id, "next")

    await api.cancel(session_id)
    await api.wait_until_idle(session_id)

    assert (await api.message(waiting["message_id"]))["status"] == "completed"


async def test_a_cancel_with_nothing_running_does_nothing(api: Api) -> None:
    session_id = await api.new_session()
    before = ok(await api.cancel(session_id))
    message = await api.run_turn(session_id)
    head = (await api.session(session_id))["head"]

    after = [ok(await api.cancel(session_id)), ok(await api.cancel(session_id, turn_id=message["turn_id"]))]

    assert [each["status"] for each in (before, *after)] == ["idle", "idle", "idle"]
    assert (await api.session(session_id))["head"] == head


async def test_a_cancel_of_another_turn_does_not_touch_the_running_one(api: Api) -> None:
    session_id = await api.new_session()
    ended = await api.run_turn(session_id)
    running = await api.start_turn(session_id, model="hang-505")
    queued = await api.start_turn(session_id)

    for turn_id in (ended["turn_id"], queued["turn_id"], "turn_none"):
        assert ok(await api.cancel(session_id, turn_id=turn_id))["status"] == "idle"

    assert (await api.session(session_id))["active_turn"]["turn_id"] == running["turn_id"]
    assert (await api.session(session_id))["state"] == "running"
    await api.cancel(session_id)
    await api.wait_until_idle(session_id)


@pytest.mark.parametrize("body", [{"turn": "x"}, {"turn_id": 5}, {"reason": "x" * 1025}])
async def test_an_invalid_cancel_is_refused(api: Api, body: dict[str, object]) -> None:
    session_id = await api.new_session()

    refused = refusal(await api.http.post(f"/sessions/{session_id}/cancel", json=body), 422, "invalid_request")

    assert refused["errors"][0]["pointer"] == f"/{next(iter(body))}"


async def test_a_cancel_between_two_attempts_ends_the_turn(api: Api) -> None:
    session_id = await api.new_session()
    # The model is called again after a pause. The cancel comes during this pause.
    message = await api.start_turn(session_id, model="flaky-9-cancelled")
    await api.wait_for_event(session_id, "message.start")

    ended = ok(await api.cancel(session_id))["message"]

    assert (ended["message_id"], ended["status"]) == (message["message_id"], "cancelled")
    assert (await api.run_turn(session_id, new_id()))["status"] == "completed"


async def test_a_waiting_cancel_returns_the_stop_of_the_model_and_the_message(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, 'call calculate {"expression": "1"}', model="fake-3000-5")
    await api.wait_for_event(session_id, "message.delta")

    receipt = ok(await api.cancel(session_id, reason="enough"))

    partial = [event for event in await api.events(session_id) if event["type"] == "message.complete"][-1]
    assert partial["data"]["partial"] is True
    assert receipt["model_stopped_at"] == partial["timestamp"]
    assert receipt["usage"] == receipt["message"]["usage"]
    assert receipt["usage"]["total_tokens"] > 0
    assert receipt["message"]["answer"] == partial["data"]["text"]


async def test_a_cancel_may_wait_without_a_number_of_seconds(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-946")

    answer = await api.http.post(f"/sessions/{session_id}/cancel", headers={"prefer": "wait"})

    assert ok(answer)["status"] == "cancelled"
    assert answer.headers["preference-applied"].startswith("wait=")


async def test_a_cancel_keeps_the_queue_by_default(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-946")
    waiting = await api.start_turn(session_id)
    refusal(await api.http.post(f"/sessions/{session_id}/cancel", json={"queue": "drop"}), 422, "invalid_request")

    ok(await api.cancel(session_id, queue="keep"))
    await api.wait_until_idle(session_id)

    assert (await api.message(waiting["message_id"]))["status"] == "completed"


async def test_a_cancel_of_another_turn_clears_nothing(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-947")
    waiting = await api.start_turn(session_id)

    assert ok(await api.cancel(session_id, queue="clear", turn_id=waiting["turn_id"]))["status"] == "idle"

    assert (await api.session(session_id))["queued"] == 1
    await api.cancel(session_id)
    await api.wait_until_idle(session_id)
