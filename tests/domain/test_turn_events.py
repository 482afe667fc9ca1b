"""What a turn's start and end append, and what the message stores."""

from datetime import timedelta

import pytest

from tests.domain.factories import MESSAGE, SESSION, THEN, TURN, fold_events, new_state
from turnlog.domain.events import (
    ErrorRaised,
    MessageComplete,
    MessageQueued,
    MessageStart,
    RunComplete,
    RunStart,
    ToolCallComplete,
    UserMessage,
)
from turnlog.domain.session import ActiveTurn
from turnlog.domain.stored_documents import Message, Step, ToolResult, step_id
from turnlog.domain.turn_ending import Ending
from turnlog.domain.turn_events import (
    closed_calls,
    inline_or_reference,
    requeued_drafts,
    start_drafts,
    step_completion,
    tool_completion,
)
from turnlog.domain.values import MAX_INLINE_RESPONSE_BYTES, MAX_INLINE_TEXT_BYTES, Failure, ToolCall, ToolOutcome

LARGE = "é" * (MAX_INLINE_TEXT_BYTES // 2 + 1)


def message(content: str = "Hello", *steps: Step) -> Message:
    return Message(
        id=MESSAGE,
        session_id=SESSION,
        turn_id=TURN,
        trace_id="trace",
        content=content,
        steps=steps,
        status="running",
        agent="assistant",
        model="m",
        created_at=THEN,
    )


def turn(*steps: MessageStart | MessageComplete) -> ActiveTurn:
    state = fold_events(new_state(), UserMessage(content="Hello"), RunStart(agent="assistant", model="m"), *steps)
    assert state.active_turn is not None
    return state.active_turn


def test_a_turn_begins_with_the_message_and_the_runs_start() -> None:
    entered, started = start_drafts(message())

    assert (entered.data, started.data) == (UserMessage(content="Hello"), RunStart(agent="assistant", model="m"))
    assert {(draft.turn_id, draft.message_id, draft.trace_id) for draft in (entered, started)} == {
        (TURN, MESSAGE, "trace")
    }


def test_large_content_stays_in_its_document() -> None:
    entered, _ = start_drafts(message("").model_copy(update={"parts_bytes": 40_000}))

    assert entered.data == UserMessage(content="", parts_bytes=40_000)


def test_many_messages_that_wait_again_have_short_events_together() -> None:
    waiting = [message("x" * MAX_INLINE_TEXT_BYTES)] * 20

    assert [draft.data for draft in requeued_drafts(waiting[:1])] == [
        MessageQueued(content=waiting[0].content, on_busy="steer")
    ]
    shortened = MessageQueued(content="", on_busy="steer", parts_bytes=MAX_INLINE_TEXT_BYTES)
    assert [draft.data for draft in requeued_drafts(waiting)] == [shortened] * 20


def test_a_completed_turn_ends_with_one_event() -> None:
    ending = Ending("completed", THEN + timedelta(seconds=2))
    begun = turn(MessageStart(step=1, attempt=1), MessageComplete(step=1, attempt=1, text="Hi"))
    (end,) = ending.drafts(begun, message())

    assert isinstance(end.data, RunComplete)
    assert (end.data.status, end.data.steps, end.data.duration_ms, end.data.error) == ("completed", 1, 2000, None)


def test_a_clock_that_went_back_gives_no_negative_duration() -> None:
    (end,) = Ending("completed", THEN - timedelta(seconds=2)).drafts(turn(), message())

    assert isinstance(end.data, RunComplete)
    assert end.data.duration_ms == 0


def test_open_steps_and_calls_are_closed_before_the_end() -> None:
    calls = closed_calls([ToolCall(id="call_a", name="t", arguments="{}")], message(), 1)
    failure = Failure(code="model_error", message="It broke.")
    ending = Ending("failed", THEN, failure, unfinished=Step(text="Half"), dangling=calls)
    drafts = ending.drafts(turn(MessageStart(step=1, attempt=2)), message())

    assert [type(draft.data) for draft in drafts] == [MessageComplete, ToolCallComplete, ErrorRaised, RunComplete]
    partial, _, _, end = (draft.data for draft in drafts)
    assert partial == MessageComplete(step=1, attempt=2, text="Half", partial=True)
    assert isinstance(end, RunComplete)
    assert (end.steps, end.error) == (1, failure)


def test_an_interrupted_step_is_the_last_step_of_its_message() -> None:
    done = Step(text="Let me see.", finish_reason="tool_calls")
    ending = Ending("cancelled", THEN, last=done, unfinished=Step(text="Half"))
    begun = turn(
        MessageStart(step=1, attempt=1), MessageComplete(step=1, attempt=1, text=""), MessageStart(step=2, attempt=1)
    )
    ended = ending.ended_message(begun, message())

    assert (ended.status, ended.step_count, ended.completed_at) == ("cancelled", 2, THEN)
    assert ended.finish_reason is None


def test_a_message_holds_the_finish_reason_of_its_last_step() -> None:
    last = Step(text="Hi", finish_reason="length")
    ended = Ending("completed", THEN, last=last).ended_message(turn(), message())

    assert ended.finish_reason == "length"


def test_a_messages_answer_is_the_last_text_the_model_wrote() -> None:
    assert message().answer is None
    assert message("Hello", Step(text="a"), Step(text="b"), Step(text="")).answer == "b"


def test_a_large_answer_stays_in_the_document_of_its_step() -> None:
    event = step_completion(MESSAGE, 3, 1, Step(text=LARGE, truncated=True), partial=False)

    assert (event.text, event.overflow, event.truncated) == ("", step_id(MESSAGE, 3), True)


@pytest.mark.parametrize("text", ["", "a" * MAX_INLINE_TEXT_BYTES, LARGE[: MAX_INLINE_TEXT_BYTES // 2]])
def test_a_text_that_fits_is_in_its_event(text: str) -> None:
    assert inline_or_reference(text, "elsewhere") == (text, None)


@pytest.mark.parametrize("over", [False, True])
def test_a_large_tool_response_stays_in_its_document(over: bool) -> None:
    response = "x" * (MAX_INLINE_RESPONSE_BYTES - len('\\"' * 2) + over)
    outcome = ToolOutcome(status="completed", response=response)
    result = ToolResult(id="call_a", message_id=MESSAGE, step=1, name="t", arguments="{}", outcome=outcome)
    event = tool_completion(result)

    assert (event.response, event.overflow) == ((None, "call_a") if over else (response, None))


def test_a_call_that_was_never_run_is_answered_as_cancelled() -> None:
    (result,) = closed_calls([ToolCall(id="call_a", name="t", arguments='{"x": 1}')], message(), 2)
    event = tool_completion(result)

    assert (event.id, event.name, event.arguments, event.step) == ("call_a", "t", '{"x": 1}', 2)
    assert event.status == "cancelled"
