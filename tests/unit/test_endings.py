"""A turn ends once, leaves nothing open, and the next one begins."""

import asyncio
from datetime import timedelta
from typing import Literal

import pytest

from shared.domain.chunks import (
    Draft,
)
from shared.domain.documents import Message, ModelResponse, Step, ToolResult, response_id
from shared.domain.errors import SessionNotFoundError
from shared.domain.events import (
    ErrorRaised,
    MessageComplete,
    MessageDelta,
    MessageStart,
    RunComplete,
    RunHandover,
    ToolCallComplete,
    ToolCallStart,
)
from shared.domain.ids import SessionId
from shared.domain.values import Failure, ToolCall
from shared.scheduler import TurnStart
from shared.services.turns.endings import EndRequest
from shared.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.telling import (
    OWNER,
    TRACE,
    appended,
    cancelled,
    end_turn,
    events_of,
    kept,
    opened,
    posted,
    state_of,
    types_of,
)

pytestmark = pytest.mark.anyio

BROKE = Failure(code="model_error", message="It broke.", retryable=True)
CALLS = (ToolCall(id="call_a", name="t", arguments="{}"), ToolCall(id="call_b", name="u", arguments='{"x": 1}'))


async def end(
    on: Services,
    message: Message,
    status: Literal["completed", "failed", "cancelled"] = "completed",
    failure: Failure | None = None,
) -> TurnStart | None:
    _, start = await end_turn(on, message, EndRequest(status, failure))
    return start


async def asked_for_tools(on: Services, message: Message) -> Message:
    """The turn's first step is recorded: it requests two tools."""
    step = Step(text="", tool_calls=CALLS, finish_reason="tool_calls")
    document = message.model_copy(update={"steps": (step,)})
    answer = MessageComplete(step=1, attempt=1, text="", finish_reason="tool_calls")
    await appended(on, message.session_id, MessageStart(step=1, attempt=1), answer, documents=(document,))
    return document


async def test_a_turn_that_is_ended_twice_ends_once(on: Services) -> None:
    message = await posted(on, await opened(on))

    assert await end(on, message) is None
    assert await end(on, message, "failed", BROKE) is None

    assert (await types_of(on, message.session_id))[-2:] == ["run.start", "run.complete"]
    assert (await kept(on, message)).status == "completed"


async def test_of_several_ends_at_once_one_is_recorded(on: Services) -> None:
    message = await posted(on, await opened(on))
    following = await posted(on, message.session_id, "Next")

    starts = await asyncio.gather(*(end(on, message) for _ in range(5)))

    assert len(await events_of(on, message.session_id, "run.complete")) == 1
    assert {start.turn_id for start in starts if start} == {following.turn_id}
    assert len(await events_of(on, message.session_id, "run.start")) == 2


async def test_the_message_is_stored_with_its_end(on: Services) -> None:
    message = await posted(on, await opened(on))
    await end(on, message, "failed", BROKE)

    ended = await kept(on, message)
    assert (ended.status, ended.error, ended.completed_at) == ("failed", BROKE, on.clock.now())
    (error,) = await events_of(on, message.session_id, "error")
    assert error.data == ErrorRaised(**BROKE.model_dump())


async def test_the_next_message_begins_in_the_batch_of_the_end(on: Services) -> None:
    message = await posted(on, await opened(on))
    first = await posted(on, message.session_id, "First", model="fake-1-0")
    second = await posted(on, message.session_id, "Second")

    start = await end(on, message)

    assert start is not None
    assert (start.turn_id, start.instance_id, start.first_attempt) == (first.turn_id, first.turn_id, 1)
    assert start.deadline == on.clock.now() + on.turn_timeout
    (chunk,) = await on.log.newest_of_type(message.session_id, "run.complete", 1)
    assert [event.type for event in chunk.events] == ["run.complete", "user_message", "run.start"]
    state = await state_of(on, message.session_id)
    assert state.active_turn is not None
    assert (state.active_turn.turn_id, state.active_turn.model, state.queue) == (
        first.turn_id,
        "fake-1-0",
        (second.id,),
    )
    begun = await kept(on, first)
    assert (begun.status, begun.sequence) == ("running", chunk.first + 1)


async def test_a_second_run_starts_a_turn_whose_start_was_lost(on: Services) -> None:
    message = await posted(on, await opened(on))
    following = await posted(on, message.session_id, "Next")
    first = await end(on, message)

    assert await end(on, message) == first
    await appended(on, message.session_id, MessageStart(step=1, attempt=1))

    assert await end(on, message) is None
    assert (await kept(on, following)).status == "running"


async def test_tool_calls_without_an_answer_are_closed(on: Services) -> None:
    message = await asked_for_tools(on, await posted(on, await opened(on)))
    done = ToolCallComplete(id="call_a", step=1, name="t", arguments="{}", status="completed", duration_ms=1)
    await appended(
        on, message.session_id, ToolCallStart(id="call_b", step=1, attempt=1, name="u", arguments="{}"), done
    )
    await cancelled(on, message)

    await end(on, message)

    closed = [event.data for event in await events_of(on, message.session_id, "tool_call.complete")]
    assert [(call.id, call.status) for call in closed if isinstance(call, ToolCallComplete)] == [
        ("call_a", "completed"),
        ("call_b", "cancelled"),
    ]
    result = await on.log.get(ToolResult, message.session_id, "call_b")
    assert result is not None
    assert (result.outcome.status, result.name, result.arguments) == ("cancelled", "u", '{"x": 1}')
    assert await on.log.get(ToolResult, message.session_id, "call_a") is None


async def test_calls_of_an_earlier_step_are_not_closed_again(on: Services) -> None:
    message = await asked_for_tools(on, await posted(on, await opened(on)))
    await appended(on, message.session_id, MessageStart(step=2, attempt=1))

    await end(on, message, "failed", BROKE)

    assert await events_of(on, message.session_id, "tool_call.complete") == []


async def test_the_text_of_an_interrupted_step_is_its_partial_answer(on: Services) -> None:
    message = await posted(on, await opened(on))
    for attempt, words in ((1, ("void",)), (2, ("Half ", "an ", "answer"))):
        deltas = [MessageDelta(step=1, attempt=attempt, text=word) for word in words]
        await appended(on, message.session_id, MessageStart(step=1, attempt=attempt), *deltas)

    await end(on, message, "failed", BROKE)

    *_, partial, error, last = [event.data for event in await events_of(on, message.session_id)]
    assert partial == MessageComplete(step=1, attempt=2, text="Half an answer", partial=True)
    assert isinstance(error, ErrorRaised)
    assert isinstance(last, RunComplete)
    assert last.steps == 1
    assert (await kept(on, message)).answer == "Half an answer"
    response = await on.log.get(ModelResponse, message.session_id, response_id(message.message_id, 1))
    assert response is not None
    assert response.body["choices"][0]["message"]["content"] == "Half an answer"


async def test_an_interrupted_answer_is_found_however_many_chunks_it_took(on: Services) -> None:
    message = await posted(on, await opened(on))
    writer = await appended(on, message.session_id, MessageStart(step=1, attempt=1))
    draft = (await events_of(on, message.session_id))[-1].model_dump(include={"turn_id", "message_id", "trace_id"})
    for number in range(120):
        delta = MessageDelta(step=1, attempt=1, text=f"{number} ")
        await writer.append([_draft(draft, delta)])

    await end(on, message, "failed", BROKE)

    assert (await kept(on, message)).answer == "".join(f"{number} " for number in range(120))


def _draft(fields: dict[str, str], delta: MessageDelta) -> Draft:
    return Draft.model_validate({**fields, "data": delta})


async def test_a_cancelled_turn_ends_as_cancelled_whatever_it_achieved(on: Services) -> None:
    message = await posted(on, await opened(on))
    await cancelled(on, message)

    await end(on, message, "failed", BROKE)

    assert (await kept(on, message)).status == "cancelled"
    assert await events_of(on, message.session_id, "error") == []


async def test_a_superseded_instance_ends_nothing(on: Services) -> None:
    message = await posted(on, await opened(on))
    await appended(on, message.session_id, RunHandover(instance_id=f"{message.turn_id}~2"))

    assert await end(on, message) is None
    assert await events_of(on, message.session_id, "run.complete") == []

    await end_turn(on, message, EndRequest("completed"), generation=2)
    assert len(await events_of(on, message.session_id, "run.complete")) == 1


async def test_the_turn_of_a_deleted_session_is_not_ended_again(on: Services) -> None:
    message = await posted(on, await opened(on))
    await on.sessions.delete(OWNER, message.session_id, TRACE)

    assert await end(on, message) is None
    assert (await types_of(on, message.session_id))[-1] == "session.deleted"


async def test_a_session_that_does_not_exist_has_no_turn_to_end(on: Services) -> None:
    message = await posted(on, await opened(on))

    with pytest.raises(SessionNotFoundError):
        await end(on, message.model_copy(update={"session_id": SessionId("ses_other")}))


async def test_a_turn_says_how_long_it_took(on: Services, clock: Clock) -> None:
    message = await posted(on, await opened(on))
    clock.move(timedelta(seconds=3))
    await end(on, message)

    (last,) = await events_of(on, message.session_id, "run.complete")
    assert isinstance(last.data, RunComplete)
    assert last.data.duration_ms == 3000
