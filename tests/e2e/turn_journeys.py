"""Journeys of turns: post, stream, resume, repeat, call tools, approve, queue, cancel."""

import json

import httpx2

from tests.e2e.service import Service
from tests.http.api_client import new_id, ok, refusal
from tests.http.sse_client import JSON, Frame, Stream, ids, names, text_of

_LONG = "Write a very long story, of three thousand words at least."
_DRAW = 'call draw_lots {"names": ["Ann"], "count": 1}'
_ASK = 'call ask_user {"question": "Who takes part?"}'


async def post_a_message_and_read_its_answer_everywhere(service: Service) -> None:
    api = service.api
    session_id = await api.new_session()

    message = await api.run_turn(session_id, "Say hello.")

    assert (message["status"], message["session_id"]) == ("completed", session_id)
    assert message["answer"]
    assert message["usage"]["total_tokens"] > 0
    assert await _answer_everywhere(service, message) == message["answer"]
    found = ok(await api.http.get(f"/messages/{message['message_id']}/full"))
    assert found["response"]["choices"][0]["message"]["content"] == message["answer"]
    usage = ok(await api.http.get(f"/sessions/{session_id}/usage"))
    assert usage["usage"] == message["usage"]
    assert ok(await api.http.get(f"/sessions/{session_id}/status"))["status"] == "finished"


async def _answer_everywhere(service: Service, message: JSON) -> str:
    """Read the answer from every other route; they all give the same text."""
    http, session_id = service.api.http, message["session_id"]
    answers = [
        ok(await http.get(f"/messages/{message['message_id']}"))["answer"],
        ok(await http.get(f"/sessions/{session_id}/messages"))[-1]["answer"],
        ok(await http.get(f"/sessions/{session_id}/result"))["result"],
        text_of(await service.api.read(session_id)),
    ]
    assert len(set(answers)) == 1, answers
    return answers[0]


async def leave_a_stream_and_resume_it(service: Service) -> None:
    api = service.api
    session_id = await api.new_session()

    seen: list[Frame] = []
    async with api.post_stream(session_id, "Tell me a story.") as stream:
        await stream.until("message.delta")
        seen += stream.seen
    path = f"/api/sessions/{session_id}/stream"  # the same stream under its other address
    async with api.http.stream("GET", path, headers={"last-event-id": seen[-1].cursor}) as response:
        assert response.status_code == 200
        seen += await Stream(response).read_to_end()

    assert names(seen)[-2:] == ["run.complete", "done"]
    first = ids(seen)[0] or 0
    assert ids(seen) == list(range(first, first + len(seen) - 1))
    (message,) = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert text_of(seen) == message["answer"]


async def repeat_a_post_with_its_idempotency_key(service: Service) -> None:
    api, headers = service.api, {"idempotency-key": "once"}
    session_id = await api.new_session()

    first = await api.run_turn(session_id, "Say hello.", headers=headers)
    again = await api.post(session_id, "Say hello.", headers=headers)

    assert ok(again)["message_id"] == first["message_id"]
    assert again.headers["idempotency-replayed"] == "true"
    refusal(await api.post(session_id, "Say goodbye.", headers=headers), 422, "idempotency_key_reused")
    assert len(ok(await api.http.get(f"/sessions/{session_id}/messages"))) == 1


async def run_an_agent_over_ag_ui(service: Service) -> None:
    http, thread = service.api.http, new_id()
    messages = [{"id": "m1", "role": "user", "content": "Say hello."}]
    body = {"threadId": thread, "runId": new_id("run"), "messages": messages}

    first, again = [_ag_ui_events(await http.post("/ag-ui/assistant", json=body)) for _ in range(2)]
    connected = _ag_ui_events(await http.get(f"/sessions/{thread}/stream?format=ag-ui"))

    (message,) = ok(await http.get(f"/sessions/{thread}/messages"))
    for events in (first, again):
        assert (events[0]["type"], events[-1]["outcome"]) == ("RUN_STARTED", {"type": "success"})
        written = [event["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT"]
        assert "".join(written) == message["answer"]
    assert again[1] == {"type": "MESSAGES_SNAPSHOT", "messages": messages}
    assert connected[1]["messages"][-1]["content"] == message["answer"]


def _ag_ui_events(response: httpx2.Response) -> list[JSON]:
    assert response.status_code == 200, response.text
    return [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line.startswith("data: ")]


async def have_a_tool_called(service: Service) -> None:
    api = service.api
    session_id = await api.new_session()

    message = await api.run_turn(session_id, 'call calculate {"expression": "6 * 7"}')

    assert message["status"] == "completed"
    assert "42" in message["answer"]
    call = next(call for call in message["tool_calls"] if call["name"] == "calculate")
    result = ok(await api.http.get(f"/sessions/{session_id}/tool_calls/{call['id']}"))
    assert (result["status"], result["response"]) == ("completed", 42)


async def approve_a_tool_call(service: Service) -> None:
    action = await _post_until_action(service, _DRAW)
    path = f"/sessions/{action['session_id']}/tool_calls/{action['call_id']}/approval"

    receipt = ok(await service.api.http.post(path, json={"decision": "approve"}))

    assert (receipt["decision"], receipt["required_action"]) == ("approve", [])
    await _assert_completed_with(service, action, "Ann")
    refusal(await service.api.http.post(path, json={"decision": "deny"}), 409, "already_decided")


async def give_the_result_of_a_client_tool(service: Service) -> None:
    action = await _post_until_action(service, _ASK)
    path = f"/sessions/{action['session_id']}/tool_calls/{action['call_id']}/result"

    receipt = ok(await service.api.http.post(path, json={"result": ["Ann", "Ben"]}))

    assert (receipt["decision"], receipt["required_action"]) == ("result", [])
    await _assert_completed_with(service, action, "Ben")


async def _post_until_action(service: Service, content: str) -> JSON:
    """Post a message whose turn needs an action; return that action, with the session's id."""
    session_id = await service.api.new_session()
    response = await service.api.post(session_id, content, agent="raffle")
    assert ok(response, 202)["status"] == "requires_action"
    (action,) = (await service.api.session(session_id))["required_action"]
    return {**action, "session_id": session_id}


async def _assert_completed_with(service: Service, action: JSON, word: str) -> None:
    await service.api.wait_until_idle(action["session_id"])
    (message,) = ok(await service.api.http.get(f"/sessions/{action['session_id']}/messages"))
    assert message["status"] == "completed"
    assert word in message["answer"]


async def queue_messages_and_withdraw_one(service: Service) -> None:
    api = service.api
    session_id = await api.new_session()
    await api.start_turn(session_id, _LONG, **service.slow)
    await api.wait_for_event(session_id, "message.delta")

    withdrawn, next_one = [await api.start_turn(session_id, text) for text in ("Say one.", "Say two.")]
    waiting = ok(await api.http.get(f"/sessions/{session_id}/queue"))
    response = await api.http.delete(f"/sessions/{session_id}/queue/{withdrawn['message_id']}")

    assert [message["message_id"] for message in waiting] == [withdrawn["message_id"], next_one["message_id"]]
    assert (response.status_code, response.content) == (204, b"")
    await api.cancel(session_id)
    await api.wait_until_idle(session_id)
    listed = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert [message["status"] for message in listed] == ["cancelled", "withdrawn", "completed"]


async def cancel_a_turn(service: Service) -> None:
    api = service.api
    session_id = await api.new_session()
    message = await api.start_turn(session_id, _LONG, **service.slow)
    await api.wait_for_event(session_id, "message.delta")

    receipt = ok(await api.cancel(session_id))

    assert (receipt["status"], receipt["turn_id"]) == ("cancelled", message["turn_id"])
    assert receipt["message"]["answer"]
    assert text_of(await api.read(session_id)) == receipt["message"]["answer"]
    assert ok(await api.cancel(session_id))["status"] == "idle"
