"""An outside event never affects a turn, whatever type it names and whatever ids it holds."""

from typing import Any

import pytest

from tests.behaviour.factories import LOST_STARTS, create_session, load_events, load_state, post_message
from tests.domain.factories import FENCE, MESSAGE, OWNER, TRACE, TURN, fold_events, new_state
from turnlog.api.shapes.events import OutsideEvent
from turnlog.domain import events
from turnlog.domain.events import (
    MessageDelta,
    MessageStart,
    Outside,
    RunStart,
    ToolCallStart,
    UserMessage,
)
from turnlog.domain.history import PageBuilder, attempt_of, settles_attempt
from turnlog.domain.ids import WriterId
from turnlog.domain.session import SessionState
from turnlog.domain.turn import permission_for_step, permission_for_tool
from turnlog.services.messages import EndOf
from turnlog.services.turns.submit import NewMessage
from turnlog.wiring import Services

CALL = "call_1"
OWN_TYPES = sorted(kind.model_fields["type"].default for kind in events.EVENT_TYPES if kind is not Outside)
EVENT_TYPES = [
    *OWN_TYPES,
    "session_stop",
    "session_start",
    "message",
    "tool_call.action",
    "tool_call.action_required",
    "done",
    "x",
]
FIELDS: dict[str, Any] = {
    "turn_id": TURN,
    "message_id": MESSAGE,
    "instance_id": f"{TURN}~9",
    "writer": "w9",
    "step": 1,
    "attempt": 9,
    "id": CALL,
    "status": "cancelling",
    "decision": "deny",
    "text": "not mine",
    "message": "not mine",
    "role": "assistant",
    "content": "not mine",
    "on_busy": "interrupt",
    "total_tokens": 10**9,
    "changes": {"archived": True},
    "agent": "other",
    "model": "other",
}


def running() -> SessionState:
    """A session whose turn calls a tool in its first step. The writer `w1` made both attempts."""
    state = fold_events(new_state(), UserMessage(content="Hello"), RunStart(agent="assistant", model="fake"))
    started = ToolCallStart(id=CALL, step=1, attempt=1, name="calculate", arguments="{}")
    return fold_events(state, MessageStart(step=1, attempt=1), started)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_running_turn_stays_as_it_is(event_type: str) -> None:
    state = fold_events(running(), MessageDelta(step=1, attempt=1, text="x"))

    after_event = fold_events(
        state, Outside(event_type=event_type, fields=FIELDS), message=None, turn=None, writer="w9"
    )

    assert after_event.active_turn == state.active_turn
    assert (after_event.queue, after_event.archived, after_event.deleted, after_event.agent_name) == (
        (),
        False,
        False,
        state.agent_name,
    )
    assert (after_event.status, after_event.ui_state, after_event.usage, after_event.run_meta) == (
        "running",
        "running",
        state.usage,
        None,
    )
    for writer in map(WriterId, ("w1", "w9")):
        for attempt in (1, 2):
            permission = permission_for_step(state, FENCE, 1, attempt, writer)
            assert permission_for_step(after_event, FENCE, 1, attempt, writer) == permission
            assert permission_for_tool(after_event, FENCE, CALL, attempt, writer) == permission_for_tool(
                state, FENCE, CALL, attempt, writer
            )


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_an_idle_session_gets_no_turn_no_queue_and_no_usage(event_type: str) -> None:
    outside = Outside(event_type=event_type, fields=FIELDS)

    after_event = fold_events(new_state(), outside, message=None, turn=None)

    assert (after_event.active_turn, after_event.queue, after_event.usage) == (None, (), new_state().usage)


@pytest.mark.anyio
@pytest.mark.parametrize("event_type", EVENT_TYPES)
async def test_it_is_never_taken_for_an_event_of_the_turn(app: Services, event_type: str) -> None:
    message = await post_message(app, await create_session(app))
    waiting = await app.turns.submit(OWNER, message.session_id, NewMessage("Next", TRACE), LOST_STARTS)
    before = await load_state(app, message.session_id)
    ids = {"turn_id": message.turn_id, "message_id": waiting.message.id}

    await app.outside_events.append(OWNER, message.session_id, [(event_type, {**FIELDS, **ids})], TRACE)

    event = (await load_events(app, message.session_id))[-1]
    state = await load_state(app, message.session_id)
    assert (event.turn_id, event.message_id) == (None, None)
    assert (state.active_turn, state.queue) == (before.active_turn, before.queue)
    assert not EndOf(message)(event)
    assert not EndOf(waiting.message)(event)
    assert (attempt_of(event), settles_attempt(event)) == (None, False)
    builder = PageBuilder(10)
    assert builder.add(event)
    assert [entry.first_sequence for entry in builder.entries] == [None]


@pytest.mark.parametrize(
    "event_type", [event_type for event_type in OWN_TYPES if event_type.startswith(("run.", "session."))]
)
def test_event_types_of_this_service_are_refused(event_type: str) -> None:
    with pytest.raises(ValueError, match="reserved"):
        OutsideEvent(event_type=event_type)
