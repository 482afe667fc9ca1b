"""How each event changes a session. tests/contract shows that a fold may stop and continue at any event."""

from datetime import timedelta
from typing import Any, Literal

import pytest

from tests.domain.factories import MESSAGE, SESSION, THEN, TURN, fold_events, new_state
from turnlog.domain.chunks import (
    Chunk,
    Draft,
    sequenced,
)
from turnlog.domain.events import (
    ErrorRaised,
    EventData,
    MessageComplete,
    MessageDelta,
    MessageQueued,
    MessageStart,
    Outside,
    RunComplete,
    RunHandover,
    RunStart,
    SessionCreated,
    SessionDeleted,
    SessionUpdated,
    Status,
    TokenUsage,
    ToolCallComplete,
    ToolCallStart,
    UserMessage,
)
from turnlog.domain.fold import MAX_USAGE_ROWS, fold, fold_without_deltas, needs_checkpoint, text_of
from turnlog.domain.ids import MessageId, TurnId, WriterId
from turnlog.domain.session import ActiveTurn, Attempt, SessionState
from turnlog.domain.turn_fold import call_crashes
from turnlog.domain.values import Usage

START = (UserMessage(content="Hello"), RunStart(agent="assistant", model="m"))
CANCEL = Status(status="cancelling")
USED = TokenUsage(prompt_tokens=2, completion_tokens=3, total_tokens=5, model="m", agent="assistant", iteration=1)
OTHER = TurnId("turn_2")


def call(step: int = 1, attempt: int = 1) -> MessageStart:
    return MessageStart(step=step, attempt=attempt)


def answer(text: str = "Hi", step: int = 1, **fields: Any) -> MessageComplete:
    return MessageComplete(step=step, attempt=1, text=text, **fields)


def tool(call_id: str = "call_a", attempt: int = 1) -> ToolCallStart:
    return ToolCallStart(id=call_id, step=1, attempt=attempt, name="t", arguments="{}")


def tool_answer(call_id: str = "call_a") -> ToolCallComplete:
    return ToolCallComplete(id=call_id, step=1, name="t", arguments="{}", status="completed", duration_ms=1)


def end(status: Literal["completed", "failed", "cancelled"] = "completed") -> RunComplete:
    return RunComplete(status=status, steps=1, usage={}, duration_ms=1, model="m")


def running() -> SessionState:
    return fold_events(new_state(), *START)


def turn_of(state: SessionState) -> ActiveTurn:
    assert state.active_turn is not None
    return state.active_turn


def test_a_new_session_has_the_fields_of_its_creation() -> None:
    state = new_state(session_name="First", project_id="p", node_id="n", agent_name="a", metadata={"k": [1]})

    assert (state.head, state.epoch, state.owner) == (1, 1, "me")
    assert (state.session_name, state.project_id, state.node_id, state.agent_name) == ("First", "p", "n", "a")
    assert state.metadata == {"k": [1]}
    assert state.created_at == state.updated_at == THEN
    assert (state.status, state.ui_state, state.is_open) == ("running", "idle", True)


def test_a_log_that_does_not_begin_with_a_creation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"begins with user_message"):
        fold_events(None, START[0])


def test_a_second_creation_is_refused() -> None:
    with pytest.raises(ValueError, match="created twice"):
        fold_events(new_state(), SessionCreated(thread_id="t", owner="you"))


def test_a_gap_in_the_log_is_refused() -> None:
    events = sequenced([Draft(data=CANCEL)], 2, THEN)

    with pytest.raises(ValueError, match="event 3 follows 1"):
        fold(new_state(), [Chunk(session_id=SESSION, writer=WriterId("w"), events=events)])


def test_events_that_are_already_folded_are_skipped() -> None:
    state = running()
    again = sequenced([Draft(data=item, turn_id=TURN, message_id=MESSAGE) for item in START], 1, THEN)

    assert fold(state, [Chunk(session_id=SESSION, writer=WriterId("w"), events=again)]) == state


def test_an_empty_log_has_no_session() -> None:
    assert fold(None, []) is None


def test_an_update_changes_only_the_updatable_fields() -> None:
    changes: dict[str, Any] = {"session_name": "New", "metadata": {"a": 1}, "archived": True, "owner": "you", "head": 7}
    state = fold_events(new_state(), SessionUpdated(changes=changes))

    assert (state.session_name, state.metadata, state.archived) == ("New", {"a": 1}, True)
    assert (state.owner, state.head) == ("me", 2)


def test_a_deleted_session_has_no_turn_and_no_queue_and_is_not_open() -> None:
    queued = fold_events(running(), MessageQueued(content="Next"), message=MessageId("msg_2"), turn=OTHER)
    state = fold_events(queued, SessionDeleted(), message=None, turn=None)

    assert (state.deleted, state.active_turn, state.queue) == (True, None, ())
    assert (state.status, state.is_open) == ("finished", False)


def test_a_new_turn_belongs_to_its_message() -> None:
    turn = turn_of(running())

    assert (turn.turn_id, turn.message_id, turn.instance_id, turn.generation) == (TURN, MESSAGE, TURN, 1)
    assert (turn.agent, turn.model, turn.started_at) == ("assistant", "m", THEN)
    assert (turn.step, turn.call, turn.steps_done, turn.cancelling) == (0, None, 0, False)


def test_a_session_with_a_turn_is_running() -> None:
    state = running()

    assert (state.status, state.ui_state, state.is_open) == ("running", "running", True)
    assert state.last_resumed_at == THEN


def test_queued_messages_wait_in_order_and_leave_the_queue_when_they_begin() -> None:
    first, second = MessageId("msg_2"), MessageId("msg_3")
    state = fold_events(running(), MessageQueued(content="a"), message=first, turn=OTHER)
    state = fold_events(state, MessageQueued(content="b"), message=second, turn=TurnId("turn_3"))
    assert state.queue == (first, second)
    state = fold_events(state, end())
    assert (state.status, state.ui_state, state.is_open) == ("running", "queued", True)
    state = fold_events(state, *START, message=first, turn=OTHER)

    assert state.queue == (second,)
    assert turn_of(state).turn_id == OTHER


def test_a_finished_turn_without_a_queue_finishes_the_session() -> None:
    state = fold_events(running(), end())

    assert (state.active_turn, state.status, state.ui_state, state.is_open) == (None, "finished", "idle", False)
    assert state.run_meta is not None
    assert state.run_meta["status"] == "completed"


def test_a_step_belongs_to_the_writer_of_its_newest_attempt() -> None:
    state = fold_events(running(), call(), writer="w1")
    state = fold_events(state, call(attempt=2), writer="w2")

    call_of_turn = turn_of(state).call
    assert call_of_turn is not None
    assert (call_of_turn.number, call_of_turn.writer, call_of_turn.done) == (2, "w2", False)
    assert (turn_of(state).step, turn_of(state).steps_done) == (1, 0)


def test_an_answered_step_is_done_and_its_text_is_the_diagnosis() -> None:
    state = fold_events(running(), call(), MessageDelta(step=1, attempt=1, text="Hi"), answer("Hi"), USED)
    turn = turn_of(state)

    assert turn.call is not None
    assert (turn.call.number, turn.call.writer, turn.call.done) == (1, "w1", True)
    assert (turn.steps_done, turn.model_calls, turn.usage) == (
        1,
        1,
        Usage(prompt_tokens=2, completion_tokens=3, total_tokens=5),
    )
    assert (state.diagnosis, state.usage) == ("Hi", turn.usage)


def crashes(*data: EventData) -> int:
    """The crashes that the next attempt at the model call would count."""
    state = fold_events(running(), *data)
    return call_crashes(turn_of(state).call, state.head)


def test_attempts_that_end_without_a_trace_are_counted() -> None:
    assert crashes(call()) == 1
    assert crashes(call(), call(attempt=2), call(attempt=3)) == 3


def test_events_of_others_are_no_trace_of_an_attempt() -> None:
    assert crashes(call(), *STALLED, Outside(event_type="x"), call(attempt=2), CANCEL) == 2


def test_a_delta_or_an_answer_ends_the_row_of_crashes() -> None:
    delta = MessageDelta(step=1, attempt=2, text="x")

    assert crashes(call(), call(attempt=2), delta) == 0
    assert crashes(call(), call(attempt=2), delta, *STALLED, call(attempt=3)) == 1
    assert crashes(call(), call(attempt=2), answer()) == 0
    assert crashes(call(), call(attempt=2), answer(), call(2)) == 1


def test_crashes_are_the_same_if_chunks_of_deltas_are_not_read() -> None:
    began = fold_events(running(), call(), call(attempt=2))
    drafts = [Draft(data=MessageDelta(step=1, attempt=2, text="x"), turn_id=TURN)]
    deltas = Chunk(session_id=began.session_id, writer=WriterId("w1"), events=sequenced(drafts, began.head, THEN))
    for skipped in (fold_without_deltas(began, (), began.head + 1), fold(began, (deltas,))):
        assert skipped is not None
        assert call_crashes(turn_of(skipped).call, skipped.head) == 0


def test_usage_adds_up_over_the_turns() -> None:
    state = fold_events(running(), call(), answer(), USED, end())
    state = fold_events(state, *START, call(), answer(), USED, USED, turn=OTHER)

    assert state.usage.total_tokens == 15
    assert turn_of(state).usage.total_tokens == 10


def test_of_many_models_the_last_ones_share_a_row_of_usage_and_nothing_is_lost() -> None:
    used = [USED.model_copy(update={"model": f"m{number}"}) for number in range(60)]

    state = fold_events(running(), *used, used[0])

    assert len(state.usage_rows) == MAX_USAGE_ROWS
    assert state.usage_rows[-1].model == "m0"
    assert (state.usage_rows[-2].model, state.usage_rows[-2].calls) == ("other", 11)
    assert sum(row.total_tokens for row in state.usage_rows) == state.usage.total_tokens == 61 * 5


def test_a_large_answer_is_in_its_document_until_the_next_answer() -> None:
    state = fold_events(running(), call(), answer("", overflow="step_1"))
    assert (state.diagnosis, state.diagnosis_sequence) == ("", state.head)

    state = fold_events(state, call(2), answer("short", step=2))
    assert (state.diagnosis, state.diagnosis_sequence) == ("short", 0)


def test_tool_calls_are_known_until_the_next_step_begins() -> None:
    state = fold_events(running(), call(), answer(), tool("call_a"), tool("call_b"))
    state = fold_events(state, tool("call_b", attempt=2), tool_answer("call_a"), writer="w2")
    assert turn_of(state).tools == {
        "call_a": Attempt(number=1, writer=WriterId("w1"), done=True),
        "call_b": Attempt(number=2, writer=WriterId("w2"), crashes=1),
    }

    state = fold_events(state, call(2))
    assert turn_of(state).tools == {}


def test_another_attempt_at_a_step_keeps_its_tool_calls() -> None:
    state = fold_events(running(), call(), answer(), tool(), call(attempt=2))

    assert set(turn_of(state).tools) == {"call_a"}


def test_a_call_that_is_answered_without_a_start_is_done() -> None:
    state = fold_events(running(), call(), answer(), tool_answer(), writer="w3")

    assert turn_of(state).tools == {"call_a": Attempt(number=1, writer=WriterId("w3"), done=True)}


def test_a_handover_changes_the_instance_and_keeps_the_steps() -> None:
    state = fold_events(running(), call(), RunHandover(instance_id="turn_1~2"))
    turn = turn_of(state)

    assert (turn.instance_id, turn.generation, turn.step) == ("turn_1~2", 2, 1)


def test_a_cancel_marks_the_turn() -> None:
    state = fold_events(running(), CANCEL)

    assert turn_of(state).cancelling
    assert state.ui_state == "cancelling"


STALLED = (Status(status="stalled"), RunHandover(instance_id="turn_1~2"))


@pytest.mark.parametrize("event", [call(2), answer(), tool(), tool_answer()])
def test_a_turn_is_stalled_until_a_step_or_a_tool_call_begins_or_ends(event: EventData) -> None:
    state = fold_events(running(), call(), *STALLED)
    assert state.ui_state == "stalled"

    assert fold_events(state, event).ui_state == "running"


def test_a_stalled_turn_that_is_cancelled_is_cancelling() -> None:
    assert fold_events(running(), *STALLED, CANCEL).ui_state == "cancelling"


def test_a_parked_turn_requires_action() -> None:
    state = running()
    parked = state.model_copy(update={"active_turn": turn_of(state).model_copy(update={"parked": True})})

    assert parked.ui_state == "requires_action"


@pytest.mark.parametrize("late", [call(3), answer(step=3), tool(), tool_answer(), CANCEL, RunHandover(instance_id="x")])
def test_events_of_another_turn_do_not_touch_the_active_one(late: EventData) -> None:
    state = fold_events(running(), call(), MessageDelta(step=1, attempt=1, text="x"))

    assert turn_of(fold_events(state, late, turn=OTHER)) == turn_of(state)


@pytest.mark.parametrize("late", [call(), MessageDelta(step=1, attempt=1, text="x"), tool(), CANCEL, USED])
def test_events_without_an_active_turn_start_no_turn(late: EventData) -> None:
    assert fold_events(new_state(), late).active_turn is None


def test_an_error_is_kept_until_a_turn_completes() -> None:
    failed = fold_events(running(), ErrorRaised(message="It broke.", code="model_error"), end("failed"))
    assert failed.error_detail == "It broke."
    cancelled = fold_events(failed, *START, end("cancelled"))
    assert cancelled.error_detail == "It broke."

    assert fold_events(cancelled, *START, end()).error_detail is None


def outside(event_type: str, **fields: Any) -> Outside:
    return Outside(event_type=event_type, fields=fields)


def test_another_producers_stop_finishes_a_session_without_a_turn() -> None:
    stop = outside("session_stop")

    assert fold_events(new_state(), stop).status == "finished"
    assert fold_events(running(), stop).status == "running"


def test_another_producers_answer_is_the_result_until_an_own_answer() -> None:
    state = fold_events(new_state(), outside("message", role="assistant", content=[{"type": "text", "text": "Done"}]))
    assert state.result_sequence == state.head
    assert fold_events(state, outside("message", role="user", content="Hm")).result_sequence == state.result_sequence

    own = fold_events(state, *START, call(), answer("Own"))
    assert own.result_sequence == own.head


def test_another_producers_answer_and_error_show_like_own_ones() -> None:
    state = fold_events(new_state(), outside("message.complete", text="Theirs"), outside("error", message="Oh"))

    assert (state.diagnosis, state.error_detail) == ("Theirs", "Oh")


@pytest.mark.parametrize("event_type", ["run.complete", "run.start", "session.deleted", "status", "anything"])
def test_another_producers_events_do_not_change_the_turn(event_type: str) -> None:
    state = running()
    touched = fold_events(state, outside(event_type, status="cancelling", turn_id=TURN), turn=TURN)

    assert touched.active_turn == state.active_turn
    assert not touched.deleted


def test_deltas_and_starts_do_not_count_as_changes() -> None:
    state = running()
    later = THEN + timedelta(minutes=1)
    touched = fold_events(state, call(), MessageDelta(step=1, attempt=1, text="x"), tool(), at=later)
    assert touched.updated_at == THEN

    assert fold_events(touched, answer(), at=later).updated_at == later


def test_a_sessions_size_grows_by_the_size_of_its_texts() -> None:
    state = running()
    grown = fold_events(state, answer("é" * 1000))

    assert grown.size_bytes - state.size_bytes >= 2000


def test_a_fold_may_leave_out_chunks_of_deltas() -> None:
    piece = MessageDelta(step=1, attempt=1, text="word")
    parts = [[call()], [piece], [piece], [piece, answer(), USED], [call(step=2)], [piece]]
    chunks: list[Chunk] = []
    for part in parts:
        events = sequenced([Draft(data=data, turn_id=TURN) for data in part], chunks[-1].last if chunks else 3, THEN)
        chunks.append(Chunk(session_id=SESSION, writer=WriterId("w"), events=events))
    chunks_without_deltas = [chunk for chunk in chunks if chunk.types != ("message.delta",)]

    for end in range(len(chunks) + 1):
        seen = [chunk for chunk in chunks_without_deltas if chunk in chunks[:end]]
        last = chunks[end - 1].last if end else 3
        assert fold_without_deltas(running(), seen, last) == fold(running(), chunks[:end])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([call()], False),
        ([MessageDelta(step=1, attempt=1, text="x")], False),
        ([tool()], False),
        ([MessageDelta(step=1, attempt=1, text="x"), answer()], True),
        ([CANCEL], True),
    ],
)
def test_the_state_is_stored_with_chunks_that_change_what_lists_show(data: list[EventData], expected: bool) -> None:
    events = sequenced([Draft(data=item) for item in data], 1, THEN)

    assert needs_checkpoint(Chunk(session_id=SESSION, writer=WriterId("w"), events=events)) is expected


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        ([{"type": "text", "text": "a"}, {"type": "image"}, "b", {"type": "text", "text": "c"}], "ac"),
        (None, ""),
        (5, ""),
        ({"text": "x"}, ""),
    ],
)
def test_the_text_is_found_in_all_forms_that_producers_use(content: Any, text: str) -> None:
    assert text_of(content) == text
