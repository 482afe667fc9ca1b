"""Journeys of turns: what a client does with a conversation while it is going on."""

from tests.e2e.service import Service
from tests.http.driving import ok, refusal
from tests.http.streaming import JSON, Frame, Stream, ids, names, written

_LONG = "Write a very long story, of three thousand words at least."
_DRAW = 'call draw_lots {"names": ["Ann"], "count": 1}'
_ASK = 'call ask_user {"question": "Who takes part?"}'


async def a_message_is_answered_and_kept(service: Service) -> None:
    api = service.api
    session_id = await api.new_session()

    message = await api.say(session_id, "Say hello.")

    assert (message["status"], message["session_id"]) == ("completed", session_id)
    assert message["answer"]
    assert message["usage"]["total_tokens"] > 0
    assert await _kept(service, message) == message["answer"]
    found = ok(await api.http.get(f"/messages/{message['message_id']}/full"))
    assert found["response"]["choices"][0]["message"]["content"] == message["answer"]
    usage = ok(await api.http.get(f"/sessions/{session_id}/usage"))
    assert usage["usage"] == message["usage"]
    assert ok(await api.http.get(f"/sessions/{session_id}/status"))["status"] == "finished"


async def _kept(service: Service, message: JSON) -> str:
    """The answer as every other place tells it."""
    http, session_id = service.api.http, message["session_id"]
    told = [
        ok(await http.get(f"/messages/{message['message_id']}"))["answer"],
        ok(await http.get(f"/sessions/{session_id}/messages"))[-1]["answer"],
        ok(await http.get(f"/sessions/{session_id}/result"))["result"],
        written(await service.api.read(session_id)),
    ]
    assert len(set(told)) == 1, told
    return told[0]


async def a_reader_that_leaves_and_comes_back_misses_nothing_and_sees_nothing_twice(service: Service) -> None:
    api = service.api
    session_id = await api.new_session()

    seen: list[Frame] = []
    async with api.posting(session_id, "Tell me a story.") as stream:
        await stream.until("message.delta")
        seen += stream.seen
    path = f"/api/sessions/{session_id}/stream"  # the same stream under its other address
    async with api.http.stream("GET", path, headers={"last-event-id": seen[-1].cursor}) as response:
        assert response.status_code == 200
        seen += await Stream(response).rest()

    assert names(seen)[-2:] == ["run.complete", "done"]
    first = ids(seen)[0] or 0
    assert ids(seen) == list(range(first, first + len(seen) - 1))
    (message,) = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert written(seen) == message["answer"]


async def a_post_that_is_repeated_by_its_key_is_the_same_message(service: Service) -> None:
    api, headers = service.api, {"idempotency-key": "once"}
    session_id = await api.new_session()

    first = await api.say(session_id, "Say hello.", headers=headers)
    again = await api.post(session_id, "Say hello.", headers=headers)

    assert ok(again)["message_id"] == first["message_id"]
    assert again.headers["idempotency-replayed"] == "true"
    refusal(await api.post(session_id, "Say goodbye.", headers=headers), 422, "idempotency_key_reused")
    assert len(ok(await api.http.get(f"/sessions/{session_id}/messages"))) == 1


async def a_tool_is_called_and_its_result_goes_to_the_model(service: Service) -> None:
    api = service.api
    session_id = await api.new_session()

    message = await api.say(session_id, 'call calculate {"expression": "6 * 7"}')

    assert message["status"] == "completed"
    assert "42" in message["answer"]
    call = next(call for call in message["tool_calls"] if call["name"] == "calculate")
    result = ok(await api.http.get(f"/sessions/{session_id}/tool_calls/{call['id']}"))
    assert (result["status"], result["response"]) == ("completed", 42)


async def a_call_waits_for_its_approval(service: Service) -> None:
    action = await _parked(service, _DRAW)
    path = f"/sessions/{action['session_id']}/tool_calls/{action['call_id']}/approval"

    receipt = ok(await service.api.http.post(path, json={"decision": "approve"}))

    assert (receipt["decision"], receipt["required_action"]) == ("approve", [])
    await _went_on(service, action, "Ann")
    refusal(await service.api.http.post(path, json={"decision": "deny"}), 409, "already_decided")


async def a_call_waits_for_the_clients_result(service: Service) -> None:
    action = await _parked(service, _ASK)
    path = f"/sessions/{action['session_id']}/tool_calls/{action['call_id']}/result"

    receipt = ok(await service.api.http.post(path, json={"result": ["Ann", "Ben"]}))

    assert (receipt["decision"], receipt["required_action"]) == ("result", [])
    await _went_on(service, action, "Ben")


async def _parked(service: Service, content: str) -> JSON:
    """Post a message whose turn needs an action; that action, with the session's id."""
    session_id = await service.api.new_session()
    response = await service.api.post(session_id, content, agent="raffle")
    assert ok(response, 202)["status"] == "requires_action"
    (action,) = (await service.api.session(session_id))["required_action"]
    return {**action, "session_id": session_id}


async def _went_on(service: Service, action: JSON, word: str) -> None:
    await service.api.quiet(action["session_id"])
    (message,) = ok(await service.api.http.get(f"/sessions/{action['session_id']}/messages"))
    assert message["status"] == "completed"
    assert word in message["answer"]


async def messages_wait_their_turn_and_can_be_taken_back(service: Service) -> None:
    api = service.api
    session_id = await api.new_session()
    await api.begin(session_id, _LONG, **service.slow)
    await api.wait_for(session_id, "message.delta")

    gone, stays = [await api.begin(session_id, text) for text in ("Say one.", "Say two.")]
    waiting = ok(await api.http.get(f"/sessions/{session_id}/queue"))
    withdrawn = await api.http.delete(f"/sessions/{session_id}/queue/{gone['message_id']}")

    assert [message["message_id"] for message in waiting] == [gone["message_id"], stays["message_id"]]
    assert (withdrawn.status_code, withdrawn.content) == (204, b"")
    await api.cancel(session_id)
    await api.quiet(session_id)
    listed = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert [message["status"] for message in listed] == ["cancelled", "withdrawn", "completed"]


async def a_turn_is_stopped_and_keeps_what_was_written(service: Service) -> None:
    api = service.api
    session_id = await api.new_session()
    begun = await api.begin(session_id, _LONG, **service.slow)
    await api.wait_for(session_id, "message.delta")

    receipt = ok(await api.cancel(session_id))

    assert (receipt["status"], receipt["turn_id"]) == ("cancelled", begun["turn_id"])
    assert receipt["message"]["answer"]
    assert written(await api.read(session_id)) == receipt["message"]["answer"]
    assert ok(await api.cancel(session_id))["status"] == "idle"
