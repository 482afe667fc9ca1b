"""The outcomes of tool calls in lists of messages: each is there, and what is read at once is bounded."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.contract.factories import create_session, message
from turnlog.domain.ids import CallId, SessionId
from turnlog.domain.pages import MAX_RESPONSE_BYTES
from turnlog.domain.stored_documents import Message, Step, StepDocument, ToolResult, step_id
from turnlog.domain.values import ToolCall, ToolOutcome
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

OWNER = "owner"
LARGE = "x" * 60_000  # an event has it, so a message has it as well
LARGER = "x" * 70_000  # an event has a link to it


async def session_with(app: Services, *messages: Sequence[str | None]) -> SessionId:
    """A session whose messages have one step, with a tool call for each response; None is a call that still runs."""
    state = await create_session(app.log, owner=OWNER)
    for number, responses in enumerate(messages, 1):
        stored = message(state, number, number, status="completed", step_count=1)
        calls = tuple(
            ToolCall(id=CallId(f"call_{number}_{index}"), name="look", arguments="{}")
            for index, _ in enumerate(responses)
        )
        place: dict[str, Any] = {"message_id": stored.message_id, "sequence": number}
        await app.log.put(state.session_id, stored)
        document = StepDocument(
            id=step_id(stored.message_id, 1), number=1, step=Step(text="", tool_calls=calls), **place
        )
        await app.log.put(state.session_id, document)
        for call, response in zip(calls, responses, strict=True):
            if response is not None:
                outcome = ToolOutcome(status="completed", response=response)
                result = ToolResult(id=call.id, step=1, name="look", arguments="{}", outcome=outcome, **place)
                await app.log.put(state.session_id, result)
    return state.session_id


async def read_pages(app: Services, session_id: SessionId, *, newest: bool) -> list[tuple[list[Message], Any]]:
    pages: list[tuple[list[Message], Any]] = []
    after, has_more = None, True
    while has_more:
        page = await app.messages.list(OWNER, session_id, after=after, limit=100, newest=newest)
        pages.append((list(page.messages), page.outcomes))
        after, has_more = page.messages[-1].message_id, page.has_more
    return pages


def inline_size(outcomes: Any) -> int:
    return sum(len(outcome.response or "") for outcome in outcomes.values())


@pytest.mark.parametrize("newest", [False, True])
async def test_every_page_has_the_outcomes_of_its_messages_and_not_more_than_fits(app: Services, newest: bool) -> None:
    session_id = await session_with(app, *([LARGE] for _ in range(40)))

    pages = await read_pages(app, session_id, newest=newest)

    found = [each.sequence for messages, _ in pages for each in messages]
    assert found == (list(range(40, 0, -1)) if newest else list(range(1, 41)))
    assert len(pages) > 2
    for messages, outcomes in pages:
        assert all(outcomes[call.id].response == LARGE for each in messages for call in each.tool_calls)
        assert inline_size(outcomes) <= MAX_RESPONSE_BYTES


async def test_of_one_message_the_responses_that_do_not_fit_are_references(app: Services) -> None:
    session_id = await session_with(app, [LARGE] * 30)

    ((messages, outcomes),) = await read_pages(app, session_id, newest=False)

    assert len(messages[0].tool_calls) == len(outcomes) == 30
    assert {outcome.status for outcome in outcomes.values()} == {"completed"}
    assert inline_size(outcomes) <= MAX_RESPONSE_BYTES
    referred = [outcome for outcome in outcomes.values() if outcome.overflow is not None]
    assert [outcome.overflow for outcome in referred] == [outcome.id for outcome in referred]
    assert len(referred) == 30 - MAX_RESPONSE_BYTES // (len(LARGE) + 2)


async def test_a_large_response_is_a_reference_as_in_its_event(app: Services) -> None:
    session_id = await session_with(app, [LARGER, "small"])

    ((_, outcomes),) = await read_pages(app, session_id, newest=False)

    assert (outcomes["call_1_0"].response, outcomes["call_1_0"].overflow) == (None, "call_1_0")
    assert (outcomes["call_1_1"].response, outcomes["call_1_1"].overflow) == ("small", None)


@pytest.mark.parametrize("calls", [1, 6])
async def test_a_call_that_still_runs_has_no_outcome(app: Services, calls: int) -> None:
    session_id = await session_with(app, [*(["done"] * calls), None])

    ((_, outcomes),) = await read_pages(app, session_id, newest=False)

    assert set(outcomes) == {f"call_1_{index}" for index in range(calls)}
