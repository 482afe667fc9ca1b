"""All activities of a turn, one after the other, as its orchestrator calls them."""

import threading
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from tests.behaviour.factories import (
    DurableClient,
    activity_input,
    create_session,
    load_events,
    load_message,
    load_types,
    post_message,
)
from turnlog.domain.events import (
    DELTA_TYPES,
    ToolCallComplete,
)
from turnlog.domain.stored_documents import Message
from turnlog.models.openai import Endpoint, OpenAIModelClient
from turnlog.orchestrations.activities import call_model, finish_turn, run_tool
from turnlog.orchestrations.contracts import Reply
from turnlog.ports import ModelClient
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

PROMPT = 'call calculate {"expression": "6 * 7"} and use current_time {"timezone": "Asia/Tokyo"}'


async def run(message: Message, client: DurableClient) -> None:
    """The turn from its first step to its end."""
    step = 1
    while (reply := Reply[str].model_validate(await call_model(activity_input(message, step=step)))).outcome == "tools":
        for call_id in reply.call_ids:
            await run_tool(activity_input(message, step=step, call_id=call_id))
        step += 1
    await end(message, client)


async def end(message: Message, client: Any) -> None:
    await finish_turn(activity_input(message, step=0, ends="completed"), client)


async def test_a_turn_with_tools_is_answered_with_their_results(app: Services, model: ModelClient) -> None:
    message = await post_message(app, await create_session(app), PROMPT)
    await run(message, DurableClient())

    types = [each for each in await load_types(app, message.session_id) if each not in DELTA_TYPES]
    step = ["message.start", "message.complete", "token_usage"]
    call = ["tool_call.start", "tool_call.complete"]
    assert types == ["session.created", "user_message", "run.start", *step, *call, *call, *step, "run.complete"]
    ended = await load_message(app, message)
    assert ended.status == "completed"
    assert "calculate returned “42”" in (ended.answer or "")


async def test_the_end_of_a_turn_starts_the_next_again_if_the_start_was_lost(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    following = await post_message(app, message.session_id, "Next")
    await end(message, DurableClient(broken=True))
    client = DurableClient()
    await end(message, client)

    assert [payload["turn_id"] for payload in client.started] == [following.turn_id]


async def test_a_turn_never_blocks_the_loop_that_streams_others(app: Services, model: ModelClient) -> None:
    session = await create_session(app)
    await run(await post_message(app, session, PROMPT), DurableClient())  # imports and first connections are made
    message = await post_message(app, session, PROMPT.replace("Tokyo", "Seoul"))
    with blockbuster_ctx() as blocking:
        for name, call in blocking.functions.items():
            if name.startswith("sqlite3."):
                call.can_block_in("turnlog/stores/sqlite/database.py", "read")  # a few rows, by their keys
        await run(message, DurableClient())

    assert (await load_message(app, message)).status == "completed"
    # A tool that blocks fails, because the error is caught as the tool's failure.
    called = [event.data for event in await load_events(app, session, "tool_call.complete")]
    assert [call.status for call in called if isinstance(call, ToolCallComplete)] == ["completed"] * 4


async def test_the_model_client_is_created_on_a_thread_because_it_reads_certificates(
    app: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    class Noting(OpenAIModelClient):
        def __init__(self, endpoint: Endpoint) -> None:
            threads.append(threading.current_thread())
            super().__init__(endpoint)

    monkeypatch.setattr("turnlog.models.openai.OpenAIModelClient", Noting)
    model = await app.model()

    assert await app.model() is model
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()
    await model.close()
