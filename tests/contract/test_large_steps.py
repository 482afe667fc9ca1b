"""Large steps: too many calls, arguments that are cut off or elsewhere, the last resort of an end, and pages."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest

from tests.behaviour.factories import append_events
from tests.contract.factories import read_all
from tests.contract.large_turns import AGENT, OWNER, TRACE, Answer, Call, LargeTurns, arguments_of
from turnlog.agents.registry import AGENTS
from turnlog.domain.events import MessageDelta, MessageStart, ToolCallActionRequired, ToolCallComplete, ToolCallStart
from turnlog.domain.export import ExportedEvent
from turnlog.domain.ids import MessageId
from turnlog.domain.stored_documents import Message
from turnlog.domain.values import ARGUMENTS_TOO_LARGE, MAX_ARGUMENTS_BYTES, MAX_TOOL_CALLS
from turnlog.services.fork import ForkRequest
from turnlog.services.turns.endings import EndRequest
from turnlog.stores import Stores

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

LARGE = arguments_of(text="large " * 10_000)
MIDDLE = arguments_of(text="x" * 2_000)


@pytest.fixture
async def turns(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> LargeTurns:
    monkeypatch.setitem(AGENTS, "large", AGENT)
    return LargeTurns(stores)


async def run(turns: LargeTurns, *answers: Answer, **options: Any) -> Message:
    return await turns.run(await turns.begin(*answers), **options)


async def outcomes(turns: LargeTurns, message: Message, step: int = 0) -> Sequence[tuple[str, Any]]:
    calls = [call.id for call in message.steps[step].tool_calls]
    results = [await turns.messages.tool_result(OWNER, message.session_id, call) for call in calls]
    return [(result.outcome.status, result.outcome.response) for result in results]


async def test_of_more_than_64_calls_the_rest_fails_and_the_model_reads_why(turns: LargeTurns) -> None:
    message = await run(turns, Answer(calls=[Call("repeat", '{"text": "a"}')] * 70))

    assert message.status == "completed"
    answered = await outcomes(turns, message)
    assert answered[:MAX_TOOL_CALLS] == [("completed", "a")] * MAX_TOOL_CALLS
    assert {status for status, _ in answered[MAX_TOOL_CALLS:]} == {"failed"}
    assert len(answered) == 70
    assert all("64 tool calls" in response["error"] for _, response in answered[MAX_TOOL_CALLS:])


async def test_a_call_whose_arguments_were_cut_off_fails_with_a_reason(turns: LargeTurns) -> None:
    too_large = arguments_of(text="x" * MAX_ARGUMENTS_BYTES)
    message = await run(turns, Answer(calls=[Call("repeat", '{"text": "a"}'), Call("repeat", too_large)]))

    assert message.status == "completed"
    assert await outcomes(turns, message) == [("completed", "a"), ("failed", {"error": ARGUMENTS_TOO_LARGE})]
    assert too_large.startswith(message.steps[0].tool_calls[1].arguments)


async def test_64_calls_with_arguments_that_nobody_decides_expire_at_once(turns: LargeTurns) -> None:
    message = await run(turns, Answer(calls=[Call("approve_me", MIDDLE)] * MAX_TOOL_CALLS))

    assert message.status == "completed"
    denied = ("denied", {"error": "The call was denied: expired"})
    assert await outcomes(turns, message) == [denied] * MAX_TOOL_CALLS


async def test_large_arguments_are_in_the_steps_document_and_readers_have_them_everywhere(turns: LargeTurns) -> None:
    message = await run(turns, Answer(calls=[Call("repeat", LARGE), Call("approve_me", LARGE)]), decides=1)

    stored = [event.data for chunk in await read_all(turns.log, message.session_id) for event in chunk.events]
    named = [each for each in stored if isinstance(each, ToolCallStart | ToolCallComplete | ToolCallActionRequired)]
    assert len(named) == 5
    assert all(each.arguments == "" and each.arguments_in is not None for each in named)
    fork, _ = await turns.forks.fork(OWNER, message.session_id, ForkRequest(TRACE))
    await turns.sessions.delete(OWNER, message.session_id, TRACE)
    await turns.log.clear(message.session_id)
    assert await _exported_arguments(turns, fork.session_id) == [(LARGE, None)] * 5
    (copy,) = (await turns.messages.list(OWNER, fork.session_id, after=None, limit=9, newest=True)).messages
    assert [call.arguments for call in copy.steps[0].tool_calls] == [LARGE] * 2
    result = await turns.messages.tool_result(OWNER, fork.session_id, copy.steps[0].tool_calls[0].id)
    assert result.arguments == LARGE


async def _exported_arguments(turns: LargeTurns, session_id: Any) -> list[tuple[str, str | None]]:
    lines: list[ExportedEvent] = [
        line async for line in turns.exports.events(session_id, await turns.exports.header(OWNER, session_id))
    ]
    named = (ToolCallStart, ToolCallComplete, ToolCallActionRequired)
    return [(line.data.arguments, line.data.arguments_in) for line in lines if isinstance(line.data, named)]


async def test_the_end_of_a_turn_that_does_not_fit_is_shortened(
    turns: LargeTurns, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    message, piece = await turns.begin(), "x" * 50_000
    deltas = [MessageDelta(step=1, attempt=1, text=piece)] * 8
    await append_events(turns, message.session_id, MessageStart(step=1, attempt=1), *deltas)
    monkeypatch.setattr("turnlog.stores.limits.MAX_BATCH_BYTES", 200_000)

    with caplog.at_level(logging.ERROR):
        ended = await turns.end(message, EndRequest("cancelled"))

    assert "is too large; it is shortened" in caplog.text
    assert (ended.status, ended.truncated) == ("cancelled", True)
    assert ended.answer == piece[: 32 * 1024]
    assert (await turns.sessions.get(OWNER, message.session_id)).status == "finished"


@pytest.mark.parametrize("newest", [False, True])
async def test_pages_of_messages_with_large_steps_are_complete_in_both_orders(
    turns: LargeTurns, *, newest: bool
) -> None:
    first = await run(turns, Answer("0" * 250_000, calls=[Call("repeat", LARGE)]))
    for number in range(1, 6):
        await turns.run(await turns.post(first, Answer(str(number) * 250_000, calls=[Call("repeat", LARGE)])))
    pages, after = list[Sequence[Message]](), None

    while True:
        page = await turns.messages.list(OWNER, first.session_id, after=after, limit=50, newest=newest)
        pages.append(page.messages)
        if not page.has_more:
            break
        after = MessageId(page.messages[-1].id)

    found = [message for page in pages for message in page]
    letters = [message.steps[0].text[0] for message in found]
    assert letters == sorted("012345", reverse=newest)
    assert all(len(message.steps) == 2 and message.steps[1].text == "Done." for message in found)
    assert [call.arguments for message in found for call in message.steps[0].tool_calls] == [LARGE] * 6
    assert len(pages) > 1
