"""Where a message is: in the queue or in the running turn, read or not; the log alone decides."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.factories import MESSAGE, SESSION, THEN, TURN, fold_events, new_state
from turnlog.domain.events import (
    EventData,
    MessageComplete,
    MessageQueued,
    MessageStart,
    MessageWithdrawn,
    RunComplete,
    RunStart,
    UserMessage,
)
from turnlog.domain.ids import MessageId, TurnId, turn_of
from turnlog.domain.message_status import with_current_status
from turnlog.domain.queue import Queue, joined, without
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import Message, Step
from turnlog.domain.values import MessageStatus, OnBusy

Kind = Literal["enqueue", "interrupt", "steer"]


def msg(number: int) -> MessageId:
    return MessageId(f"msg_{number:026}_{SESSION}")


def running() -> SessionState:
    return fold_events(new_state(), UserMessage(content="Hello"), RunStart(agent="assistant", model="m"))


def after_event(state: SessionState, number: int, data: EventData, turn: TurnId | None = None) -> SessionState:
    """`state` after an event of message `number`, by default of its own turn."""
    return fold_events(state, data, message=msg(number), turn=turn or turn_of(msg(number)))


def waits(state: SessionState, number: int, on_busy: Kind = "enqueue") -> SessionState:
    return after_event(state, number, MessageQueued(content="x", on_busy=on_busy))


def steered(state: SessionState, number: int) -> SessionState:
    return after_event(state, number, UserMessage(content="x"), TURN)


def order(state: SessionState) -> list[int]:
    return [int(message_id[4:30]) for message_id in state.queue]


def unread(state: SessionState) -> list[int]:
    return [] if state.active_turn is None else [int(message_id[4:30]) for message_id in state.active_turn.unread]


def reading(state: SessionState) -> list[int]:
    return [] if state.active_turn is None else [int(message_id[4:30]) for message_id in state.active_turn.reading]


def test_enqueued_messages_wait_behind_all_others_in_order_of_arrival() -> None:
    state = waits(waits(waits(waits(running(), 2), 3, "steer"), 4), 5, "interrupt")

    assert order(state) == [5, 3, 2, 4]


def test_the_last_interrupt_is_first_and_steering_messages_follow_in_order() -> None:
    state = waits(running(), 2)
    for number, on_busy in ((3, "steer"), (4, "steer"), (5, "interrupt"), (6, "interrupt"), (7, "steer")):
        state = waits(state, number, "interrupt" if on_busy == "interrupt" else "steer")

    assert order(state) == [6, 5, 3, 4, 7, 2]


def test_a_message_that_begins_or_is_withdrawn_leaves_the_queue() -> None:
    state = waits(waits(waits(waits(running(), 2), 3), 4, "interrupt"), 5, "steer")
    state = after_event(state, 4, MessageWithdrawn())
    assert order(state) == [5, 2, 3]
    state = after_event(state, 5, MessageWithdrawn())

    assert order(waits(state, 6, "steer")) == [6, 2, 3]
    assert state.queued_ahead == 0


_MOVES = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from(("enqueue", "interrupt", "steer", "leaves"))), max_size=20
)


@given(_MOVES)
def test_messages_ahead_stay_ahead_and_none_is_lost(moves: list[tuple[int, str]]) -> None:
    queue: Queue = ((), 0)
    kinds: dict[MessageId, str] = {}
    for number, move in moves:
        queue = without(queue, msg(number))
        kinds.pop(msg(number), None)
        if move != "leaves":
            on_busy: OnBusy = "steer" if move == "steer" else "interrupt" if move == "interrupt" else "enqueue"
            queue = joined(queue, msg(number), on_busy)
            kinds[msg(number)] = move

    waiting, ahead = queue
    assert sorted(waiting) == sorted(kinds)
    assert all(kinds[message_id] != "enqueue" for message_id in waiting[:ahead])
    assert all(kinds[message_id] == "enqueue" for message_id in waiting[ahead:])


def test_a_message_put_into_the_turn_is_unread_until_a_step_begins() -> None:
    state = steered(steered(fold_events(running(), MessageStart(step=1, attempt=1)), 2), 3)
    assert (order(state), unread(state), reading(state)) == ([], [2, 3], [])
    state = fold_events(state, MessageComplete(step=1, attempt=1, text="Hi"), MessageStart(step=2, attempt=1))
    assert (unread(state), reading(state)) == ([], [2, 3])

    state = fold_events(state, MessageComplete(step=2, attempt=1, text="Hi"), MessageStart(step=3, attempt=1))
    assert reading(state) == []


def test_another_attempt_reads_what_came_during_the_attempt_before_it() -> None:
    state = steered(running(), 2)
    state = steered(fold_events(state, MessageStart(step=1, attempt=1)), 3)
    assert (unread(state), reading(state)) == ([3], [2])

    state = fold_events(state, MessageStart(step=1, attempt=2))
    assert (unread(state), reading(state)) == ([], [2, 3])


def test_the_message_that_began_the_turn_is_not_unread() -> None:
    assert unread(running()) == []


def test_a_message_that_gets_its_own_turn_leaves_the_running_turn() -> None:
    state = waits(steered(running(), 2), 2, "steer")

    assert (order(state), unread(state)) == ([2], [])
    end = RunComplete(status="failed", steps=0, usage={}, duration_ms=1, model="m")
    state = after_event(
        after_event(fold_events(state, end), 2, UserMessage(content="x")), 2, RunStart(agent="assistant", model="m")
    )
    assert (order(state), unread(state)) == ([], [])
    assert state.active_turn is not None
    assert state.active_turn.message_id == msg(2)


def test_an_unread_message_can_be_withdrawn() -> None:
    assert unread(after_event(steered(running(), 2), 2, MessageWithdrawn())) == []


# The current status of a message


def document(number: int = 2, status: MessageStatus = "queued", *steps: Step, steers: bool = False) -> Message:
    return Message(
        id=msg(number),
        sequence=1,
        session_id=SESSION,
        turn_id=TURN if steers else turn_of(msg(number)),
        steers=MESSAGE if steers else None,
        content="x",
        steps=steps,
        status=status,
        agent="assistant",
        model="own" if steers else "m",
        created_at=THEN,
    )


def lead(status: MessageStatus = "completed", *read: MessageId) -> Message:
    steps = (Step(text="First."), Step(text="Second.", read=read))
    return document(1, status, *steps).model_copy(update={"id": MESSAGE, "turn_id": TURN})


@pytest.mark.parametrize("status", ["running", "completed", "failed", "cancelled"])
def test_a_message_that_has_begun_has_the_status_of_its_document(status: MessageStatus) -> None:
    assert with_current_status(document(2, status), running()).status == status


def test_a_message_waits_in_the_queue_and_is_withdrawn_outside_it() -> None:
    state = waits(running(), 2)
    assert with_current_status(document(), state).status == "queued"

    assert with_current_status(document(), after_event(state, 2, MessageWithdrawn())).status == "withdrawn"


def test_a_message_that_is_newer_than_the_state_keeps_its_status() -> None:
    later = document().model_copy(update={"sequence": 99})

    assert with_current_status(later, running()).status == "queued"


def test_an_unread_message_runs_with_its_turn_and_has_no_answer_yet() -> None:
    stands = with_current_status(document(2, "running", steers=True), steered(running(), 2), lead("running"))

    assert (stands.status, stands.turn_id, stands.answer) == ("running", TURN, None)


def test_a_message_that_is_being_read_shares_the_answer() -> None:
    state = fold_events(steered(running(), 2), MessageStart(step=1, attempt=1))
    stands = with_current_status(document(2, "running", steers=True), state, lead("running"))

    assert (stands.status, stands.turn_id, stands.answer, stands.model) == ("running", TURN, "Second.", "m")


def test_a_message_that_was_read_shares_the_end() -> None:
    stands = with_current_status(document(2, "running", steers=True), new_state(), lead("failed", msg(2)))

    assert (stands.status, stands.turn_id, stands.answer) == ("failed", TURN, "Second.")


def test_a_message_that_was_not_read_waits_for_its_own_turn() -> None:
    state = waits(steered(running(), 2), 2, "steer")
    stands = with_current_status(document(2, "running", steers=True), state, lead("cancelled"))

    assert (stands.status, stands.turn_id, stands.answer) == ("queued", turn_of(msg(2)), None)


def test_a_message_that_was_not_read_and_does_not_wait_was_withdrawn() -> None:
    state = after_event(steered(running(), 2), 2, MessageWithdrawn())
    stands = with_current_status(document(2, "running", steers=True), state, lead("cancelled"))

    assert (stands.status, stands.turn_id) == ("withdrawn", turn_of(msg(2)))
