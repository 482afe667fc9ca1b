"""Tools: they run when the model calls them, their events are logged, and the model reads their results."""

import asyncio
import json

import pytest

from tests.http.api_client import JSON, Api, is_gapless, ok, types

pytestmark = pytest.mark.anyio


async def completed_calls(api: Api, session_id: str) -> list[JSON]:
    return [event["data"] for event in await api.events(session_id) if event["type"] == "tool_call.complete"]


async def test_a_tool_runs_and_the_model_reads_its_result(api: Api) -> None:
    session_id = await api.new_session()

    message = await api.run_turn(session_id, 'call calculate {"expression": "(2 + 3) * 4"}', model="fake-40-0")

    assert (message["status"], message["finish_reason"]) == ("completed", "stop")
    assert "calculate returned “20”" in message["answer"]
    (listed,) = message["tool_calls"]
    (called,) = await completed_calls(api, session_id)
    assert listed == {
        "id": called["id"],
        "name": "calculate",
        "arguments": '{"expression": "(2 + 3) * 4"}',
        "status": "completed",
        "response": 20,
        "truncated": False,
        "duration_ms": called["duration_ms"],
    }
    assert ok(await api.http.get(f"/sessions/{session_id}/messages")) == [message]
    assert (called["status"], called["response"], called["step"]) == ("completed", 20, 1)
    assert called["duration_ms"] >= 0
    assert (await api.session(session_id))["steps"] == [called]


async def test_the_events_of_a_turn_with_tools_come_in_order(api: Api) -> None:
    session_id = await api.new_session()

    await api.run_turn(session_id, "use current_time")

    events = await api.events(session_id)
    assert is_gapless(events)
    assert list(dict.fromkeys((event["type"], event["data"].get("step")) for event in events))[3:] == [
        ("message.start", 1), ("tool_call.delta", 1), ("message.complete", 1), ("token_usage", None),
        ("tool_call.start", 1), ("tool_call.complete", 1),
        ("message.start", 2), ("message.delta", 2), ("message.complete", 2),
        ("run.complete", None),
    ]  # fmt: skip
    usages = [event["data"] for event in events if event["type"] == "token_usage"]
    assert [usage["iteration"] for usage in usages] == [1, 2]
    end = events[-1]["data"]
    assert end["steps"] == 2
    assert end["usage"]["total_tokens"] == sum(usage["total_tokens"] for usage in usages)


async def test_tool_calls_of_one_response_run_in_one_step(api: Api) -> None:
    session_id = await api.new_session()

    message = await api.run_turn(
        session_id,
        'call calculate {"expression": "2+3"} and call current_time and call calculate {"expression": "7*6"}',
    )

    calls = await completed_calls(api, session_id)
    assert len(message["tool_calls"]) == len(calls) == len({call["id"] for call in calls}) == 3
    assert {call["step"] for call in calls} == {1}
    assert sorted(str(call["response"]) for call in calls if call["name"] == "calculate") == ["42", "5"]


async def test_consecutive_tool_calls_take_a_step_each(api: Api) -> None:
    session_id = await api.new_session()

    message = await api.run_turn(
        session_id, 'call calculate {"expression": "1+1"} then call calculate {"expression": "2+2"}'
    )

    assert [(call["step"], call["response"]) for call in await completed_calls(api, session_id)] == [(1, 2), (2, 4)]
    assert (await api.session(session_id))["run_meta"]["steps"] == 3
    assert len(message["tool_calls"]) == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"wrong": 1}', "expression"),
        ('{"expression": 5}', "expression"),
        ('{"expression": "1/0"}', "division"),
        ('{"expression": "__import__"}', "only numbers and"),
        ("{no json}", "calculate"),
    ],
)
async def test_the_model_reads_the_error_of_a_tool_and_the_turn_continues(
    api: Api, arguments: str, expected: str
) -> None:
    session_id = await api.new_session()

    message = await api.run_turn(session_id, f"call calculate {arguments}")

    (call,) = await completed_calls(api, session_id)
    assert message["status"] == "completed"
    assert call["status"] == "failed"
    assert expected in call["response"]["error"]


async def test_the_full_response_has_the_calls_in_the_form_of_openai(api: Api) -> None:
    message = await api.run_turn(await api.new_session(), 'call calculate {"expression": "2+3"} and call current_time')

    full = ok(await api.http.get(f"/messages/{message['message_id']}/full"))

    first, last = full["responses"]
    assert full["response"] == last
    assert first["choices"][0]["finish_reason"] == "tool_calls"
    assert full["tool_calls"] == first["choices"][0]["message"]["tool_calls"]
    for call in full["tool_calls"]:
        assert call.keys() == {"id", "type", "function"}
        assert call["type"] == "function"
        assert call["function"].keys() == {"name", "arguments"}
        assert isinstance(json.loads(call["function"]["arguments"]), dict)


async def test_a_tool_call_can_be_read(api: Api) -> None:
    session_id = await api.new_session()
    message = await api.run_turn(session_id, 'call calculate {"expression": "2+3"}')
    call_id = message["tool_calls"][0]["id"]

    call = ok(await api.http.get(f"/sessions/{session_id}/tool_calls/{call_id}"))

    assert (call["id"], call["name"], call["status"], call["response"]) == (call_id, "calculate", "completed", 5)
    missing = await api.http.get(f"/sessions/{session_id}/tool_calls/call_none")
    assert missing.json()["code"] == "tool_call_not_found"


async def test_tool_results_stay_in_the_conversation(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id, 'call calculate {"expression": "2+3"}')

    message = await api.run_turn(session_id, "and now?", model="fake-40-0")

    # user, assistant with the call, tool, assistant, user
    assert "given 5 messages" in message["answer"]


async def test_the_last_step_must_answer_with_text(api: Api) -> None:
    session_id = await api.new_session()

    message = await api.run_turn(session_id, " then ".join(["call current_time"] * 12))

    assert (message["status"], len(message["tool_calls"])) == ("completed", 9)
    assert (await api.session(session_id))["run_meta"]["steps"] == 10


async def test_a_cancel_during_tool_calls_leaves_a_valid_conversation(api: Api) -> None:
    session_id = await api.new_session()
    content = 'call calculate {"expression": "2+3"} and call current_time'
    async with asyncio.TaskGroup() as group:
        posting = group.create_task(api.run_turn(session_id, content))
        await api.wait_for_event(session_id, "message.start")
        await api.cancel(session_id)
    assert posting.result()["status"] in {"cancelled", "completed"}

    message = await api.run_turn(session_id, "go on")

    # Like OpenAI, the scripted model refuses a conversation with a tool call that has no result.
    assert message["status"] == "completed"
    events = await api.events(session_id)
    assert types(events).count("run.complete") == 2
    started = {call["id"] for call in posting.result()["tool_calls"]}
    assert started == {event["data"]["id"] for event in events if event["type"] == "tool_call.complete"}


async def test_a_message_lists_every_call_as_its_events_have_it(api: Api) -> None:
    session_id = await api.new_session()
    many = " and ".join(f'call calculate {{"expression": "{number} / 0"}}' for number in range(4))
    await api.run_turn(session_id, f'{many} and call calculate {{"expression": "6*7"}}')
    await api.run_turn(session_id, "call current_time")

    for order in ("asc", "desc"):
        listed = ok(await api.http.get(f"/sessions/{session_id}/messages?order={order}"))
        calls = {call["id"]: call for message in listed for call in message["tool_calls"]}
        events = await completed_calls(api, session_id)
        assert len(calls) == len(events) == 6
        for event in events:
            assert calls[event["id"]].items() <= event.items()
        assert {call["status"] for call in calls.values()} == {"completed", "failed"}


async def test_a_step_that_only_calls_tools_shows_no_empty_text(api: Api) -> None:
    session_id = await api.new_session()

    message = await api.run_turn(session_id, "use current_time")

    first, second = [event["data"] for event in await api.events(session_id) if event["type"] == "message.complete"]
    assert (first["step"], first["text"]) == (1, "")  # it closes the step
    assert message["answer"] == second["text"] != ""
    assert (await api.session(session_id))["diagnosis"] == second["text"]
    pieces = await api.read(session_id)
    assert not [frame for frame in pieces if frame.event == "message.delta" and frame.data["step"] == 1]
