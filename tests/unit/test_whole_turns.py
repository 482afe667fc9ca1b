"""All activities of a turn, one after the other, as its orchestrator calls them."""

import threading
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from orchestrations.activities import call_model, finish_turn, run_tool
from orchestrations.contracts import Reply
from shared.domain.documents import Message
from shared.domain.events import (
    ToolCallComplete,
)
from shared.models.openai import OpenAIModelClient
from shared.ports import ModelClient
from shared.wiring import Services
from tests.unit.telling import Client, events_of, kept, opened, posted, types_of, work

pytestmark = pytest.mark.anyio

PROMPT = 'call calculate {"expression": "6 * 7"} and use current_time {"timezone": "Asia/Tokyo"}'


async def run(message: Message, client: Client) -> None:
    """The turn from its first step to its end."""
    step = 1
    while (reply := Reply[str].model_validate(await call_model(work(message, step=step)))).outcome == "tools":
        for call_id in reply.call_ids:
            await run_tool(work(message, step=step, call_id=call_id))
        step += 1
    await end(message, client)


async def end(message: Message, client: Any) -> None:
    await finish_turn(work(message, step=0, ends="completed"), client)


async def test_a_turn_with_tools_is_answered_with_their_results(on: Services, model: ModelClient) -> None:
    message = await posted(on, await opened(on), PROMPT)
    await run(message, Client())

    types = [event_type for event_type in await types_of(on, message.session_id) if event_type != "message.delta"]
    step = ["message.start", "message.complete", "token_usage"]
    call = ["tool_call.start", "tool_call.complete"]
    assert types == ["session.created", "user_message", "run.start", *step, *call, *call, *step, "run.complete"]
    ended = await kept(on, message)
    assert ended.status == "completed"
    assert "calculate returned “42”" in (ended.answer or "")


async def test_the_end_of_a_turn_starts_the_next_again_if_the_start_was_lost(on: Services) -> None:
    message = await posted(on, await opened(on))
    following = await posted(on, message.session_id, "Next")
    await end(message, Client(broken=True))
    client = Client()
    await end(message, client)

    assert [payload["turn_id"] for payload in client.started] == [following.turn_id]


async def test_a_turn_never_blocks_the_loop_that_streams_others(on: Services, model: ModelClient) -> None:
    session = await opened(on)
    await run(await posted(on, session, PROMPT), Client())  # imports and first connections are made
    message = await posted(on, session, PROMPT.replace("Tokyo", "Seoul"))
    with blockbuster_ctx():
        await run(message, Client())

    assert (await kept(on, message)).status == "completed"
    # A tool that blocks fails, because the error is caught as the tool's failure.
    called = [event.data for event in await events_of(on, session, "tool_call.complete")]
    assert [call.status for call in called if isinstance(call, ToolCallComplete)] == ["completed"] * 4


async def test_the_model_client_is_created_on_a_thread_because_it_reads_certificates(
    on: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    class Noting(OpenAIModelClient):
        def __init__(self, base_url: str | None, api_key: str | None) -> None:
            threads.append(threading.current_thread())
            super().__init__(base_url, api_key)

    monkeypatch.setattr("shared.models.openai.OpenAIModelClient", Noting)
    model = await on.model()

    assert await on.model() is model
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()
    await model.close()
