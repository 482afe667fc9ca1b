"""Telemetry does not contain what people and models write, unless TELEMETRY_CONTENT is true."""

import asyncio
from pathlib import Path

import pytest

from tests.http.api_client import Api, api_client, ok, running_host
from tests.telemetry.console_telemetry import CONSOLE_TELEMETRY, Recorded, wait_for_telemetry

pytestmark = pytest.mark.anyio

SECRET = "zebra crossing 4711"
TOOL_SECRET = "Atlantis/Nowhere"
PROMPT = f'{SECRET} call calculate {{"expression": "1234567+1"}} and use current_time {{"timezone": "{TOOL_SECRET}"}}'
WRITTEN = (SECRET, TOOL_SECRET, "1234567", "1234568", "Scripted model", "My secret name", "not a Chat")


async def run_turns(api: Api, log: Path) -> Recorded:
    """Run turns with tools and with a model that fails in every way, and send requests that are refused."""
    session_id = await api.new_session(session_name="My secret name", metadata={"note": SECRET})
    await api.run_turn(session_id, PROMPT, model="fake-30-0", metadata={"note": SECRET})
    # At the same time, since their retries have pauses.
    await asyncio.gather(*(_fail(api, model) for model in ("fail-400", "error-3", "garbage-3", "cut-3")))
    await api.append(session_id, {"event_type": "note", "text": SECRET})
    ok(await api.http.patch(f"/sessions/{session_id}", json={"session_name": "My secret name"}))
    await api.http.get(f"/sessions/{session_id}/events?types={SECRET}")
    await api.http.post(f"/sessions/{session_id}/messages", content=f'{{"content": "{SECRET}')
    await api.http.post(f"/sessions/{session_id}/messages", json={"content": [{"type": "text", "wrong": SECRET}]})
    await api.read(session_id)

    def complete(seen: Recorded) -> bool:
        return len(seen.named("invoke_agent assistant")) == 5 and seen.point("turnlog.turns") is not None

    return await wait_for_telemetry(log, complete)


async def _fail(api: Api, model: str) -> None:
    await api.run_turn(await api.new_session(), SECRET, model=model)


async def test_written_text_is_not_recorded_by_default(tmp_path: Path) -> None:
    with running_host(tmp_path, {**CONSOLE_TELEMETRY, "LOG_LEVEL": "INFO"}) as host:
        async with api_client(host) as api:
            seen = await run_turns(api, tmp_path / "host.log")

    assert [text for text in WRITTEN if text in seen.text] == []
    assert {"execute_tool calculate", "execute_tool current_time"} <= {span.name for span in seen.spans}
    assert seen.logs


async def test_written_text_is_recorded_if_the_setting_says_so(tmp_path: Path) -> None:
    with running_host(tmp_path, {**CONSOLE_TELEMETRY, "TELEMETRY_CONTENT": "true"}) as host:
        async with api_client(host) as api:
            await api.run_turn(await api.new_session(), PROMPT, model="fake-30-0")
            seen = await wait_for_telemetry(tmp_path / "host.log", lambda seen: seen.named("invoke_agent assistant"))

    first, second = [span.attributes for span in seen.named("chat fake-30-0")]
    assert SECRET in first["gen_ai.input.messages"]
    assert "1234567" in first["gen_ai.output.messages"]
    assert "tool_call_response" in second["gen_ai.input.messages"]
    assert "Scripted model" in second["gen_ai.output.messages"]
    tool = seen.one("execute_tool calculate").attributes
    assert tool["gen_ai.tool.call.arguments"] == '{"expression": "1234567+1"}'
    assert "1234568" in tool["gen_ai.tool.call.result"]
