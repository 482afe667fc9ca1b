"""Turns as UI message streams of the AI SDK. `tests/front_ends` reads them with the library itself."""

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from tests.http.api_client import Api, ok
from tests.http.turns.test_http_approvals import DRAW, decide, park, wait_for_end

pytestmark = pytest.mark.anyio

_CALL = 'call calculate {"expression": "6*7"}'


def pieces_of(text: str) -> list[dict[str, Any]]:
    """The pieces of a whole stream, which ends with `[DONE]`."""
    *frames, done = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert done == "[DONE]"
    return [json.loads(frame) for frame in frames]


async def post(api: Api, session_id: str, content: str = "Hello", **more: str) -> list[dict[str, Any]]:
    body = {"content": content, **more}
    answer = await api.http.post(f"/sessions/{session_id}/messages?format=ai-sdk", json=body)
    assert (answer.status_code, answer.headers["x-vercel-ai-ui-message-stream"]) == (200, "v1")
    return pieces_of(answer.text)


def kinds(pieces: list[dict[str, Any]]) -> list[str]:
    """The types of the pieces, with repeated ones once."""
    types = [piece["type"] for piece in pieces]
    return [types[0], *(after for before, after in pairwise(types) if after != before)]


async def test_an_answer_without_accept_is_a_message_with_reasoning_and_text(api: Api) -> None:
    session_id = await api.new_session()

    pieces = await post(api, session_id, model="think-20-0")

    reasoning, text = ([f"{part}-start", f"{part}-delta", f"{part}-end"] for part in ("reasoning", "text"))
    end = ["finish-step", "message-metadata", "finish"]
    assert kinds(pieces) == ["start", "start-step", *reasoning, *text, *end]
    (message,) = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert "".join(piece["delta"] for piece in pieces if piece["type"] == "text-delta") == message["answer"]
    assert pieces[0]["messageId"] == message["turn_id"]
    assert pieces[-2]["messageMetadata"]["usage"]["total_tokens"] == message["usage"]["total_tokens"]


async def test_a_tool_of_the_server_is_shown_as_executed_in_its_step(api: Api) -> None:
    pieces = await post(api, await api.new_session(), _CALL)

    (called,) = [piece for piece in pieces if piece["type"] == "tool-input-available"]
    (returned,) = [piece for piece in pieces if piece["type"] == "tool-output-available"]
    assert (called["toolName"], called["input"]) == ("calculate", {"expression": "6*7"})
    assert called["providerExecuted"]
    assert called["toolCallId"] == returned["toolCallId"]
    assert "text-start" not in kinds(pieces[: pieces.index(called)])  # the step has no text
    between = kinds(pieces[pieces.index(called) :])
    assert between[:4] == ["tool-input-available", "tool-output-available", "finish-step", "start-step"]


async def test_a_page_that_returns_gets_the_active_turn_from_its_start(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id, DRAW)

    path = f"/sessions/{session_id}/stream?format=ai-sdk"
    lines: list[str] = []
    async with api.http.stream("GET", path, headers={"last-event-id": "4"}) as response:
        async for line in response.aiter_lines():
            lines.append(line)
            if "tool-approval-request" in line:
                await decide(api, session_id, action["call_id"], decision="deny")
    pieces = pieces_of("\n".join(lines))

    assert kinds(pieces)[:2] == ["start", "start-step"]
    types = [piece["type"] for piece in pieces]
    assert types.index("tool-approval-request") < types.index("tool-output-denied") < types.index("finish")
    await wait_for_end(api, session_id)
    assert (await api.http.get(path)).status_code == 204


async def test_a_failed_turn_is_an_error(api: Api) -> None:
    session_id = await api.new_session()

    pieces = await post(api, session_id, model="fail-401")

    (message,) = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert pieces[-1] == {"type": "error", "errorText": message["error"]["message"]}


async def test_a_queued_message_shows_its_own_turn_only(api: Api) -> None:
    session_id = await api.new_session()
    first = await api.http.post(
        f"/sessions/{session_id}/messages",
        json={"content": "First", "model": "fake-30-10"},
        headers={"prefer": "respond-async"},
    )
    assert first.status_code == 202

    pieces = await post(api, session_id, "Second")

    assert [piece["type"] for piece in pieces].count("start") == 1
    assert pieces[0]["messageMetadata"]["message_id"] != first.json()["message_id"]
    assert pieces[-1]["type"] == "finish"


async def test_a_message_that_steered_in_vain_shows_its_own_turn_and_one_end(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, "First", model="fake-400-30")
    await api.wait_for_event(session_id, "message.delta")
    posting = asyncio.create_task(post(api, session_id, "Second", on_busy="steer"))
    await api.wait_for_event(session_id, "user_message", times=2)
    await api.cancel(session_id)

    pieces = await posting

    types = [piece["type"] for piece in pieces]
    assert [each for each in types if each in {"finish", "abort", "error"}] == ["finish"] == types[-1:]
    assert types.count("start-step") == types.count("finish-step")
    assert {piece["id"] for piece in pieces if piece["type"] == "text-start"} <= {"text-1-1"}


async def test_an_unknown_format_is_refused_and_nothing_is_written(api: Api) -> None:
    session_id = await api.new_session()

    refused = await api.http.post(f"/sessions/{session_id}/messages?format=morse", json={"content": "Hello"})

    assert refused.status_code == 422
    assert ok(await api.http.get(f"/sessions/{session_id}/messages")) == []
