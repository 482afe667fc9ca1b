"""A turn ends once, leaves nothing open, and the next one begins."""

import asyncio
from datetime import timedelta
from typing import Literal

import pytest

from tests.behaviour.conftest import Clock
from tests.behaviour.factories import (
    append_events,
    cancel_turn,
    create_session,
    end_turn,
    load_events,
    load_message,
    load_state,
    load_types,
    post_message,
)
from tests.domain.factories import OWNER, TRACE
from turnlog.domain.chunks import (
    Draft,
)
from turnlog.domain.errors import SessionNotFoundError
from turnlog.domain.events import (
    ErrorRaised,
    MessageComplete,
    MessageDelta,
    MessageStart,
    RunComplete,
    RunHandover,
    ToolCallComplete,
    ToolCallStart,
)
from turnlog.domain.ids import SessionId
from turnlog.domain.stored_documents import Message, Step, ToolResult
from turnlog.domain.values import Failure, ToolCall
from turnlog.scheduler import TurnStart
from turnlog.services.turns.answers import step_documents
from turnlog.services.turns.endings import EndRequest
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

BROKE = Failure(code="model_error", message="It broke.", retryable=True)
CALLS = (ToolCall(id="call_a", name="t", arguments="{}"), ToolCall(id="call_b", name="u", arguments='{"x": 1}'))


async def end(
    app: Services,
    message: Message,
    status: Literal["completed", "failed", "cancelled"] = "completed",
    failure: Failure | None = None,
) -> TurnStart | None:
    _, start = await end_turn(app, message, EndRequest(status, failure))
    return start


async def asked_for_tools(app: Services, message: Message) -> Message:
    """The turn's first step is recorded: it requests two tools."""
    step = Step(text="", tool_calls=CALLS, finish_reason="tool_calls")
    answer = MessageComplete(step=1, attempt=1, text="", finish_reason="tool_calls")
    documents = step_documents(message, 1, step)
    await append_events(app, message.session_id, MessageStart(step=1, attempt=1), answer, documents=documents)
    return message


async def test_a_turn_that_is_ended_twice_ends_once(app: Services) -> None:
    message = await post_message(app, await create_session(app))

    assert await end(app, message) is None
    assert await end(app, message, "failed", BROKE) is None

    assert (await load_types(app, message.session_id))[-2:] == ["run.start", "run.complete"]
    assert (await load_message(app, message)).status == "completed"


async def test_of_several_ends_at_once_one_is_recorded(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    following = await post_message(app, message.session_id, "Next")

    starts = await asyncio.gather(*(end(app, message) for _ in range(5)))

    assert len(await load_events(app, message.session_id, "run.complete")) == 1
    assert {start.turn_id for start in starts if start} == {following.turn_id}
    assert len(await load_events(app, message.session_id, "run.start")) == 2


async def test_the_message_is_stored_with_its_end(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    await end(app, message, "failed", BROKE)

    ended = await load_message(app, message)
    assert (ended.status, ended.error, ended.completed_at) == ("failed", BROKE, app.clock.now())
    (error,) = await load_events(app, message.session_id, "error")
    assert error.data == ErrorRaised(**BROKE.model_dump())


async def test_the_next_message_begins_in_the_batch_of_the_end(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    first = await post_message(app, message.session_id, "First", model="fake-1-0")
    second = await post_message(app, message.session_id, "Second")

    start = await end(app, message)

    assert start is not None
    assert (start.turn_id, start.instance_id, start.first_attempt) == (first.turn_id, first.turn_id, 1)
    assert start.deadline == app.clock.now() + app.turn_timeout
    (chunk,) = await app.log.newest_of_type(message.session_id, "run.complete", 1)
    assert [event.type for event in chunk.events] == ["run.complete", "user_message", "run.start"]
    state = await load_state(app, message.session_id)
    assert state.active_turn is not None
    assert (state.active_turn.turn_id, state.active_turn.model, state.queue) == (
        first.turn_id,
        "fake-1-0",
        (second.id,),
    )
    begun = await load_message(app, first)
    assert (begun.status, begun.sequence) == ("running", chunk.first + 1)


async def test_a_second_run_starts_a_turn_whose_start_was_lost(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    following = await post_message(app, message.session_id, "Next")
    first = await end(app, message)

    assert await end(app, message) == first
    await append_events(app, message.session_id, MessageStart(step=1, attempt=1))

    assert await end(app, message) is None
    assert (await load_message(app, following)).status == "running"


async def test_tool_calls_without_an_answer_are_closed(app: Services) -> None:
    message = await asked_for_tools(app, await post_message(app, await create_session(app)))
    done = ToolCallComplete(id="call_a", step=1, name="t", arguments="{}", status="completed", duration_ms=1)
    await append_events(
        app, message.session_id, ToolCallStart(id="call_b", step=1, attempt=1, name="u", arguments="{}"), done
    )
    await cancel_turn(app, message)

    await end(app, message)

    closed = [event.data for event in await load_events(app, message.session_id, "tool_call.complete")]
    assert [(call.id, call.status) for call in closed if isinstance(call, ToolCallComplete)] == [
        ("call_a", "completed"),
        ("call_b", "cancelled"),
    ]
    result = await app.log.get(ToolResult, message.session_id, "call_b")
    assert result is not None
    assert (result.outcome.status, result.name, result.arguments) == ("cancelled", "u", '{"x": 1}')
    assert await app.log.get(ToolResult, message.session_id, "call_a") is None


async def test_calls_of_an_earlier_step_are_not_closed_again(app: Services) -> None:
    message = await asked_for_tools(app, await post_message(app, await create_session(app)))
    await append_events(app, message.session_id, MessageStart(step=2, attempt=1))

    await end(app, message, "failed", BROKE)

    assert await load_events(app, message.session_id, "tool_call.complete") == []


async def test_the_text_of_an_interrupted_step_is_its_partial_answer(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    for attempt, words in ((1, ("void",)), (2, ("Half ", "an ", "answer"))):
        deltas = [MessageDelta(step=1, attempt=attempt, text=word) for word in words]
        await append_events(app, message.session_id, MessageStart(step=1, attempt=attempt), *deltas)

    await end(app, message, "failed", BROKE)

    *_, partial, error, last = [event.data for event in await load_events(app, message.session_id)]
    assert partial == MessageComplete(step=1, attempt=2, text="Half an answer", partial=True)
    assert isinstance(error, ErrorRaised)
    assert isinstance(last, RunComplete)
    assert last.steps == 1
    assert (await load_message(app, message)).answer == "Half an answer"
    (response,) = await app.messages.responses(await load_message(app, message))
    assert response["choices"][0]["message"]["content"] == "Half an answer"


async def test_an_interrupted_answer_is_found_however_many_chunks_it_took(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    writer = await append_events(app, message.session_id, MessageStart(step=1, attempt=1))
    draft = (await load_events(app, message.session_id))[-1].model_dump(include={"turn_id", "message_id", "trace_id"})
    for number in range(120):
        delta = MessageDelta(step=1, attempt=1, text=f"{number} ")
        await writer.append([_draft(draft, delta)])

    await end(app, message, "failed", BROKE)

    assert (await load_message(app, message)).answer == "".join(f"{number} " for number in range(120))


def _draft(fields: dict[str, str], delta: MessageDelta) -> Draft:
    return Draft.model_validate({**fields, "data": delta})


async def test_a_cancelled_turn_ends_as_cancelled_whatever_it_achieved(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    await cancel_turn(app, message)

    await end(app, message, "failed", BROKE)

    assert (await load_message(app, message)).status == "cancelled"
    assert await load_events(app, message.session_id, "error") == []


async def test_a_superseded_instance_ends_nothing(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    await append_events(app, message.session_id, RunHandover(instance_id=f"{message.turn_id}~2"))

    assert await end(app, message) is None
    assert await load_events(app, message.session_id, "run.complete") == []

    await end_turn(app, message, EndRequest("completed"), generation=2)
    assert len(await load_events(app, message.session_id, "run.complete")) == 1


async def test_the_turn_of_a_deleted_session_is_not_ended_again(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    await app.sessions.delete(OWNER, message.session_id, TRACE)

    assert await end(app, message) is None
    assert (await load_types(app, message.session_id))[-1] == "session.deleted"


async def test_a_session_that_does_not_exist_has_no_turn_to_end(app: Services) -> None:
    message = await post_message(app, await create_session(app))

    with pytest.raises(SessionNotFoundError):
        await end(app, message.model_copy(update={"session_id": SessionId("ses_other")}))


async def test_a_turn_says_how_long_it_took(app: Services, clock: Clock) -> None:
    message = await post_message(app, await create_session(app))
    clock.move(timedelta(seconds=3))
    await end(app, message)

    (last,) = await load_events(app, message.session_id, "run.complete")
    assert isinstance(last.data, RunComplete)
    assert last.data.duration_ms == 3000
