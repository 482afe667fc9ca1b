"""Readers see a model's reasoning, and a tool call while it is written."""

from pathlib import Path

import pytest

from tests.http.api_client import JSON, Api, api_client, ok, running_host

pytestmark = pytest.mark.anyio

THOUGHT = "Let me think. Let me think. "


def joined(events: list[JSON], event_type: str, field: str = "text") -> str:
    return "".join(event["data"][field] for event in events if event["type"] == event_type)


async def test_reasoning_is_streamed_before_the_text_and_stored_with_the_message(api: Api) -> None:
    session_id = await api.new_session()

    async with api.post_stream(session_id, model="think-6-5") as stream:
        frames = await stream.read_to_end()

    kinds = list(dict.fromkeys(frame.event for frame in frames))
    assert kinds[3:6] == ["reasoning.delta", "message.delta", "message.complete"]
    assert "".join(frame.data["text"] for frame in frames if frame.event == "reasoning.delta") == THOUGHT
    (complete,) = [frame.data for frame in frames if frame.event == "message.complete"]
    assert complete["reasoning"] == THOUGHT
    (message,) = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert (message["reasoning"], message["usage"]["reasoning_tokens"]) == (THOUGHT, 6)
    assert message["answer"] == complete["text"]


async def test_a_message_without_reasoning_has_none(api: Api) -> None:
    message = await api.run_turn(await api.new_session())

    assert message["reasoning"] is None
    assert "reasoning_tokens" not in message["usage"]


async def test_the_arguments_of_a_call_are_streamed_under_its_id(api: Api) -> None:
    session_id = await api.new_session()

    await api.run_turn(session_id, 'call calculate {"expression": "6 * 7"} and call current_time')

    events = await api.events(session_id)
    starts = [event["data"] for event in events if event["type"] == "tool_call.start"]
    deltas = [event["data"] for event in events if event["type"] == "tool_call.delta"]
    for start in starts:
        own = [delta for delta in deltas if delta["id"] == start["id"]]
        assert "".join(delta["arguments"] for delta in own) == start["arguments"]
        assert {(delta["step"], delta["name"]) for delta in own} == {(1, start["name"])}


async def test_pages_join_each_text_of_an_attempt(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id, 'call calculate {"expression": "6 * 7"} and call current_time', model="think-30-2")

    page = ok(await api.http.get(f"/sessions/{session_id}/events", params={"coalesce": "true", "limit": 100}))

    kinds = [event["type"] for event in page["events"]]
    assert kinds.count("tool_call.delta") == 2
    assert (kinds.count("reasoning.delta"), kinds.count("message.delta")) == (2, 1)
    log = await api.events(session_id)
    for kind, field in (("reasoning.delta", "text"), ("message.delta", "text"), ("tool_call.delta", "arguments")):
        assert sorted(joined(page["events"], kind, field)) == sorted(joined(log, kind, field))


async def test_reasoning_of_a_cancelled_turn_stays(api: Api) -> None:
    session_id = await api.new_session()
    started = await api.start_turn(session_id, model="think-300-20")
    await api.wait_for_event(session_id, "reasoning.delta")
    ok(await api.http.post(f"/sessions/{session_id}/cancel"), 202)
    await api.wait_until_idle(session_id)

    message = await api.message(started["message_id"])
    assert message["status"] == "cancelled"
    assert message["reasoning"]
    assert message["reasoning"] == joined(await api.events(session_id), "reasoning.delta")


async def test_a_setting_leaves_reasoning_and_arguments_out_of_the_log(
    store_environment: dict[str, str], tmp_path: Path
) -> None:
    with running_host(tmp_path, {"DETAIL_DELTAS": "false", **store_environment}) as host:
        async with api_client(host) as api:
            session_id = await api.new_session()
            message = await api.run_turn(session_id, "call current_time", model="think-6-0")
            kinds = {event["type"] for event in await api.events(session_id)}

    assert message["reasoning"]
    assert kinds & {"reasoning.delta", "tool_call.delta", "message.delta"} == {"message.delta"}
