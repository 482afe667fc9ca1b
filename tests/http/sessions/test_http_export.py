"""The export of a session, and what is rebuilt from it."""

import json
import subprocess
import sys

import pytest

from tests.http.api_client import JSON, ROOT, Api, is_gapless, ok, refusal, wait_until
from turnlog.local.rebuild import ExportError, read_export, render

pytestmark = pytest.mark.anyio

OUTSIDE: list[JSON] = [
    {"event_type": "message", "role": "assistant", "content": [{"type": "text", "text": "from outside"}]},
    {"event_type": "tool_call.complete", "id": "c1", "name": "grep", "response": {"n": 2**60, "none": None}},
    {"event_type": "error", "message": "it broke"},
    {"event_type": "message.complete", "text": "line\u2028end"},
]


async def export_of(api: Api, session_id: str) -> list[str]:
    response = await api.http.get(f"/sessions/{session_id}/export")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["x-session-id"] == session_id
    return response.text.removesuffix("\n").split("\n")


async def _read_unchanged(api: Api, session_id: str) -> tuple[list[str], JSON, list[JSON]] | None:
    """Read export, session and messages; None if something was appended in the meantime."""
    before = await api.session(session_id)
    lines = await export_of(api, session_id)
    messages = ok(await api.http.get(f"/sessions/{session_id}/messages?limit=200"))
    session = await api.session(session_id)
    return (lines, session, messages) if session["head"] == before["head"] else None


async def assert_rebuilt(api: Api, session_id: str) -> JSON:
    """Rebuild the session from its export, and check that it equals what the API returns."""
    seen = await wait_until(lambda: _read_unchanged(api, session_id))
    assert seen is not None
    lines, session, messages = seen
    found: JSON = json.loads(json.dumps(render(read_export(lines)), default=lambda view: view.model_dump(mode="json")))
    assert {**found["session"], "steps": session["steps"], "trace_id": session["trace_id"]} == session
    assert found["messages"] == messages
    assert found["usage"] == session["usage"]
    return found


async def test_an_export_has_a_header_and_one_event_per_line(api: Api) -> None:
    session_id = await api.new_session(session_name="mine", metadata={"a": 1}, project_dir="/tmp/x")
    await api.append(session_id, *OUTSIDE)
    await api.run_turn(session_id)

    header, *events = map(json.loads, await export_of(api, session_id))

    session = await api.session(session_id)
    assert header.items() >= {"format": "turnlog-export", "version": 1, "session_id": session_id, "epoch": 1}.items()
    assert header["head"] == session["head"] == len(events)
    assert is_gapless(events)
    assert [event["type"] for event in events] == [event["type"] for event in await api.events(session_id)]
    created = events[0]["data"]
    assert (created["metadata"], created["project_dir"], created["owner"]) == ({"a": 1}, "/tmp/x", "local")
    assert events[2]["data"]["fields"]["response"] == {"n": 2**60, "none": None}
    assert all(len(line.splitlines()) == 1 for line in await export_of(api, session_id))


async def test_a_new_session_is_rebuilt(api: Api) -> None:
    await assert_rebuilt(api, await api.new_session(session_name="new", agent_name="assistant", metadata={"a": [1]}))


async def test_turns_with_tools_are_rebuilt(api: Api) -> None:
    session_id = await api.new_session()
    content = 'call calculate {"expression": "6 * 7"} and use current_time {"timezone": "Asia/Tokyo"}'
    await api.run_turn(session_id, content, metadata={"by": "me"})
    await api.run_turn(session_id, 'call calculate {"expression": "1 / 0"}')

    found = await assert_rebuilt(api, session_id)

    assert [len(message["tool_calls"]) for message in found["messages"]] == [2, 1]
    assert found["usage"]["total_tokens"] > 0


async def test_cancelled_and_failed_turns_are_rebuilt(api: Api) -> None:
    session_id = await api.new_session()
    async with api.post_stream(session_id, model="fake-600-20") as stream:
        await stream.until("message.delta", 2)
        await api.cancel(session_id)
    await api.run_turn(session_id, model="fail-400")
    await api.wait_until_idle(session_id)

    found = await assert_rebuilt(api, session_id)

    assert [message["status"] for message in found["messages"]] == ["cancelled", "failed"]
    assert found["session"]["error_detail"]


@pytest.mark.parametrize("on_busy", ["enqueue", "steer", "interrupt"])
async def test_waiting_and_running_messages_are_rebuilt(api: Api, on_busy: str) -> None:
    session_id = await api.new_session()
    async with api.post_stream(session_id, model="hang-610") as stream:
        await stream.until("message.start")
        for number in range(3):
            await api.start_turn(session_id, f"{number}", on_busy=on_busy, metadata={"number": number})
        await api.append(session_id, *OUTSIDE)
        if on_busy != "interrupt":
            await assert_rebuilt(api, session_id)
        await api.cancel(session_id)
    await api.wait_until_idle(session_id)

    found = await assert_rebuilt(api, session_id)

    assert {message["content"] for message in found["messages"]} == {"Hello", "0", "1", "2"}


async def test_a_withdrawn_message_and_changed_fields_are_rebuilt(api: Api) -> None:
    session_id = await api.new_session()
    async with api.post_stream(session_id, model="hang-611") as stream:
        await stream.until("message.start")
        waiting = await api.start_turn(session_id, "never mind")
        await api.http.delete(f"/sessions/{session_id}/queue/{waiting['message_id']}")
        ok(await api.http.patch(f"/sessions/{session_id}", json={"session_name": "x", "metadata": {"b": None, "c": 1}}))
        await api.cancel(session_id)
    await api.append(session_id, {"event_type": "session_stop"})

    found = await assert_rebuilt(api, session_id)

    assert found["session"]["status"] == "finished"


async def test_large_texts_are_exported_whole(api: Api) -> None:
    session_id = await api.new_session()
    content = "word " * 20_000
    await api.run_turn(session_id, content, model="fake-9000-0")

    found = await assert_rebuilt(api, session_id)

    assert found["messages"][0]["content"] == content
    assert len(found["messages"][0]["answer"]) > 32 * 1024
    assert not any('"overflow"' in line for line in await export_of(api, session_id))


async def test_a_large_text_from_outside_is_the_diagnosis_of_the_rebuilt_session(api: Api) -> None:
    session_id = await api.new_session()
    text = "outside " * 5_000
    await api.append(session_id, {"event_type": "message.complete", "text": text})

    found = await assert_rebuilt(api, session_id)

    assert found["session"]["diagnosis"] == text


@pytest.mark.parametrize("names", [1, 500, 3_000])
async def test_a_turn_that_waits_is_rebuilt_with_the_whole_arguments(api: Api, names: int) -> None:
    session_id = await api.new_session()
    arguments = json.dumps({"names": [f"name {number}" for number in range(names)], "count": 1})
    parked = await api.post(session_id, f"call draw_lots {arguments} and call draw_lots {arguments}", agent="raffle")
    assert ok(parked, 202)["status"] == "requires_action"

    found = await assert_rebuilt(api, session_id)

    assert [action["arguments"] for action in found["session"]["required_action"]] == [arguments] * 2
    assert not any('"arguments_in":"' in line for line in await export_of(api, session_id))


async def test_the_command_prints_what_it_rebuilt(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id)
    lines = "\n".join(await export_of(api, session_id))
    command = [sys.executable, "-m", "turnlog.local.rebuild", "-"]

    done = subprocess.run(command, input=lines, capture_output=True, text=True, cwd=ROOT, check=True)  # noqa: ASYNC221

    printed = json.loads(done.stdout)
    assert printed["session"]["session_id"] == session_id
    assert printed["messages"] == ok(await api.http.get(f"/sessions/{session_id}/messages"))
    cut = "\n".join(lines.split("\n")[:-1])
    failed = subprocess.run(command, input=cut, capture_output=True, text=True, cwd=ROOT, check=False)  # noqa: ASYNC221
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "cut off" in failed.stderr


@pytest.mark.parametrize("lines", [[], [""], ["{}"], ['{"format": "other"}'], ["no JSON"]])
def test_a_file_that_is_not_an_export_is_refused(lines: list[str]) -> None:
    with pytest.raises(ExportError):
        read_export(lines)


async def test_a_missing_session_has_no_export(api: Api) -> None:
    session_id = await api.new_session()
    await api.http.delete(f"/sessions/{session_id}")

    refusal(await api.http.get(f"/sessions/{session_id}/export"), 404, "session_not_found")
    refusal(await api.http.get("/sessions/nowhere/export"), 404, "session_not_found")
